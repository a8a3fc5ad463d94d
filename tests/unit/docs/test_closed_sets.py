"""A member of an answer whose values the code takes from a closed set lists them in the published schema.

The sources of the services are read: a record of an answer that is built with an enumeration, as in
`WebhookNotice(state=notice.state)`, must have the enumeration's codes as the schema of that member. The types
of names are those of parameters; sets that no enumeration holds are compared by hand.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import types
import typing
from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from typing import Any

import pytest

import services
from contracts import responses
from contracts.codes import FHIR_TASK_STATUS, OfferState
from contracts.responses.coordination import NetworkChange, QueueItem, UnplacedReferral
from contracts.responses.form import json_name
from contracts.responses.mailbox import MessageState, ToldEndpoint
from contracts.responses.referrals import OfferView, ReferralView
from contracts.responses.reports import AskingDecision
from contracts.responses.webhooks import FAULTS, WebhookAttempt
from docs.record_schemas import response_schemas
from services.delivery.domain.delivery import DeliveryState
from services.delivery.webhooks.adapters import http_sender
from services.delivery.webhooks.domain.notice import NoticeState
from services.delivery.webhooks.outcomes import UNANSWERED_CHALLENGE
from services.routing.domain.wishes import ChangeKind
from services.routing.handlers import statement_queries

RECORDS = {
    record
    for module in pkgutil.iter_modules(responses.__path__)
    for record in vars(importlib.import_module(f"{responses.__name__}.{module.name}")).values()
    if isinstance(record, type)
    and dataclasses.is_dataclass(record)
    and record.__module__.startswith(responses.__name__)
}


def modules() -> Iterator[types.ModuleType]:
    """Yield the modules of the services."""
    for module in pkgutil.walk_packages(services.__path__, "services."):
        if "migrations" not in module.name and not module.name.endswith("__main__"):
            yield importlib.import_module(module.name)


def attribute_type(kind: Any, name: str) -> Any:
    """Return the type of an attribute of a class; None if it is not declared."""
    if not isinstance(kind, type):
        return None
    found = inspect.getattr_static(kind, name, None)
    if isinstance(found, property):
        return typing.get_type_hints(found.fget).get("return")
    try:
        return typing.get_type_hints(kind).get(name)
    except NameError:  # a name that is imported for the type checker only
        return None


def enumeration(hint: Any) -> type[Enum] | None:
    """Return the enumeration in a type, also in an optional one."""
    for one in (hint, *typing.get_args(hint)):
        if isinstance(one, type) and issubclass(one, Enum):
            return one
    return None


def typed(node: ast.expr, hints: Mapping[str, Any]) -> Any:
    """Return the type of a name, of a chain of attributes, or of a choice; None if it is not known."""
    if isinstance(node, ast.Name):
        return hints.get(node.id)
    if isinstance(node, ast.IfExp):
        return typed(node.body, hints) or typed(node.orelse, hints)
    if isinstance(node, ast.Attribute):
        kind = typed(node.value, hints)
        return kind if enumeration(kind) and node.attr == "value" else attribute_type(kind, node.attr)
    return None


@pytest.fixture(scope="module")
def built() -> dict[tuple[type, str], set[str]]:
    """The sources of all services are read in one test, not whenever tests are collected."""
    return built_with_enumerations()


def built_with_enumerations() -> dict[tuple[type, str], set[str]]:
    """Return the codes of each member of an answer that is built from an enumeration."""
    found: dict[tuple[type, str], set[str]] = {}
    for module in modules():
        for function in ast.walk(ast.parse(inspect.getsource(module))):
            if not isinstance(function, ast.FunctionDef):
                continue
            hints = {}
            for argument in (*function.args.args, *function.args.kwonlyargs):
                if isinstance(argument.annotation, ast.Name):
                    hints[argument.arg] = vars(module).get(argument.annotation.id)
            for call in ast.walk(function):
                if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
                    continue
                record = vars(module).get(call.func.id)
                if not (isinstance(record, type) and record in RECORDS):
                    continue
                for keyword in call.keywords:
                    kind = enumeration(typed(keyword.value, hints))
                    if keyword.arg and kind is not None:
                        found.setdefault((record, keyword.arg), set()).update(
                            str(code.value) for code in kind
                        )
    return found


def listed(record: type, member: str) -> Collection[str] | None:
    """Return the codes that the published schema lists for a member; None if it lists none."""
    (field,) = [one for one in dataclasses.fields(record) if one.name == member]
    schema = response_schemas([record])
    own = schema[record.__name__]["properties"][json_name(field)]
    own = own.get("items", own)
    for one in (own, *own.get("anyOf", ())):
        if "$ref" in one:
            one = schema[one["$ref"].rpartition("/")[2]]
        if "enum" in one:
            return {code for code in one["enum"] if code is not None}
    return None


def test_members_that_are_built_from_enumerations_are_found(built: dict[tuple[type, str], set[str]]) -> None:
    names = {f"{record.__name__}.{member}" for record, member in built}
    assert names >= {"WebhookEndpoint.state", "WebhookNotice.state", "ReferralSummary.status"}


def test_published_schema_lists_every_code_of_each_enumeration(
    built: dict[tuple[type, str], set[str]],
) -> None:
    published = {(record, member): listed(record, member) for record, member in built}
    assert published == built


# Sets that the code writes as texts, or takes from an enumeration in a way that is not read above.
WRITTEN: Mapping[tuple[type, str], Collection[str]] = {
    (MessageState, "state"): set(DeliveryState),
    (NetworkChange, "kind"): set(ChangeKind),
    (OfferView, "state"): set(OfferState),
    (ReferralView, "status_fhir"): set(FHIR_TASK_STATUS.values()),
    (ToldEndpoint, "state"): set(NoticeState),
    (UnplacedReferral, "reason"): {"no_candidate", "candidates_exhausted"},
    (AskingDecision, "unproven"): {
        statement_queries.ERASED,
        statement_queries.EARLIER_BUILD,
        statement_queries.CONTRADICTED,
    },
}


@pytest.mark.parametrize(("record", "member"), WRITTEN, ids=str)
def test_published_schema_lists_every_code_that_the_code_writes(record: type, member: str) -> None:
    assert listed(record, member) == WRITTEN[record, member]


def test_faults_of_attempts_are_those_of_the_sender_and_of_challenges() -> None:
    raised = {
        node.args[0].value
        for node in ast.walk(ast.parse(inspect.getsource(http_sender)))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "NotSent"
        and isinstance(node.args[0], ast.Constant)
    }
    assert raised | {UNANSWERED_CHALLENGE} == set(FAULTS) == listed(WebhookAttempt, "fault")


def test_reasons_of_unplaced_referrals_are_among_those_of_the_queues() -> None:
    reasons, unplaced = listed(QueueItem, "reason"), listed(UnplacedReferral, "reason")
    assert reasons is not None
    assert unplaced is not None
    assert set(reasons) > set(unplaced)
