"""Writes a principal's only role to the directory's database, for `kopuro admin keep-role`."""

from __future__ import annotations

from collections.abc import Sequence

from admin.operator_name import login_name
from runtime.storage.database import Database
from services.directory.domain.approval import Policy
from services.directory.domain.client import Client, Role
from services.directory.handlers.kept_role import keep_role
from services.directory.offline import offline_approvals, offline_ledger


def keep_role_in(
    database: Database, hub: str, principal: str, role: str, client_id: str | None
) -> Sequence[Client]:
    """Remove every other role of the principal; return its changed clients. The facts name the operator.

    database: the directory's. The service may be running: its relay publishes the facts. Raises Refused as
    `keep_role` does, and ValueError for an unknown role.
    """
    ledger = offline_ledger(database, hub)
    offline_approvals(ledger, Policy.two_person)  # ends the requests of revoked clients
    return keep_role(ledger, principal, Role(role), client_id=client_id, by=login_name())
