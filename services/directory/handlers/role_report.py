"""Clients of earlier builds that break the separation of roles or have an organisation's id.

They are reported until an operator has replaced them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from contracts.organization import Organization
from runtime.background import Spawn
from runtime.storage.database import Database
from services.directory.domain.client import Client
from services.directory.domain.entry import Subject
from services.directory.domain.separation import ambiguous_clients, broken_principals
from services.directory.ports import Register

_log = logging.getLogger(__name__)


class RoleReport:
    """Checks every client when the service starts (`application.Background`)."""

    def __init__(self, *, database: Database, register: Register, count: Callable[[int], object]) -> None:
        """count: called after each check with the number of principals that break the separation."""
        self._database = database
        self._register = register
        self._count = count
        self._broken: Mapping[str, str] = {}
        self._ambiguous: list[str] = []

    def start(self, _spawn: Spawn) -> None:
        """Check the clients, and log each wrong principal and client once."""
        self.check()
        for principal, rule in self._broken.items():
            _log.warning("principal has conflicting roles", extra={"principal": principal, "rule": rule})
        for client_id in self._ambiguous:
            _log.warning("client id resembles another organisation's", extra={"client": client_id})

    def stop(self) -> None:
        """Do nothing: no task is running."""

    def check(self) -> None:
        """Read the clients and update the report. Raises DatabaseUnavailable."""
        with self._database.read() as transaction:
            entries = [standing.entry for standing in self._register.every(transaction, Subject.client)]
            clients = [entry for entry in entries if isinstance(entry, Client)]
            principals = sorted({client.principal for client in clients})
            known = self._register.standing(transaction, Organization, principals)
            ids = self._register.known_ids(transaction)
        self._broken = broken_principals(clients, lambda principal: principal in known)
        self._ambiguous = ambiguous_clients(clients, ids)
        self._count(len(self._broken))

    def alarm(self) -> str | None:
        """Return the warning of `/readyz`. Checks again only while there is something to report."""
        if self._broken or self._ambiguous:
            self.check()
        warnings = []
        if self._broken:
            named = ", ".join(sorted(self._broken))
            warnings.append(
                f"these principals break the separation of roles: {named}."
                " See `kopuro admin keep-role --help`"
            )
        if self._ambiguous:
            named = ", ".join(self._ambiguous)
            warnings.append(
                f"these clients have ids that could be read as another organisation's: {named}."
                " Revoke them, and issue others"
            )
        return "; ".join(warnings) or None
