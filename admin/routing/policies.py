"""Policies in routing's database and in files, for `kopuro routing policy`."""

from __future__ import annotations

from pathlib import Path

from admin.operator_name import login_name
from contracts.errors import Defect, Refused
from kopuro_client.errors import DefectError, InvalidArgumentError, Problem, RefusedError
from runtime.clock import SystemClock
from runtime.messaging.outbox.outbox import Outbox
from runtime.storage.database import Database
from services.routing.adapters.policies import SqlPolicyStore
from services.routing.adapters.tables import MESSAGING
from services.routing.domain.applied_policy import AppliedPolicy
from services.routing.domain.policy_document import PolicyDocument, parse_policy
from services.routing.handlers.policies import Policies


def policy_in(file: Path) -> PolicyDocument:
    """Return the policy in the file. Raises InvalidArgumentError, or RefusedError with every pointer."""
    try:
        text = file.read_bytes()
    except OSError as error:
        raise InvalidArgumentError(f"{file} cannot be read: {error.strerror}") from None
    try:
        return parse_policy(text)
    except Refused as refused:
        raise _for_command(refused) from None


def apply_policy(database: Database, hub: str, document: PolicyDocument) -> AppliedPolicy | None:
    """Put the policy in force; return None if it is in force already. Raises RefusedError, DefectError.

    The service may be running: its processes read the table, and its relay publishes the fact.
    """
    try:
        return _policies(database, hub).apply(document, by=login_name(), now=SystemClock().now())
    except Refused as refused:
        raise _for_command(refused) from None
    except Defect as defect:
        raise DefectError(defect.detail) from None


def check_version(database: Database, document: PolicyDocument) -> None:
    """Raise RefusedError if the policy's version names another content in the database."""
    try:
        _policies(database, "").check(document)
    except Refused as refused:
        raise _for_command(refused) from None


def applied_policies(database: Database) -> list[AppliedPolicy]:
    """Return all policies of the hub, the first one first. Raises DefectError if the table was changed."""
    try:
        return _policies(database, "").every()
    except Defect as defect:
        raise DefectError(defect.detail) from None


def _policies(database: Database, hub: str) -> Policies:
    return Policies(
        database=database,
        store=SqlPolicyStore(),
        outbox=Outbox(MESSAGING.outbox),
        source=f"/{hub}/routing",
    )


def _for_command(refused: Refused) -> RefusedError:
    return RefusedError(Problem.read(refused.problem(), status=refused.status, reason=refused.title))
