"""Principals of earlier builds that break the separation of roles: reported until they are split."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from contracts.organization import Organization
from runtime.background import Spawn
from runtime.storage.database import Database
from services.directory.domain.client import Client
from services.directory.domain.entry import Subject
from services.directory.domain.separation import broken_principals
from services.directory.ports import Register

_log = logging.getLogger(__name__)


class RoleReport:
    """Looks at every client when the service starts (`application.Background`)."""

    def __init__(self, *, database: Database, register: Register, count: Callable[[int], object]) -> None:
        """count: called with the number of such principals after each look."""
        self._database = database
        self._register = register
        self._count = count
        self._broken: Mapping[str, str] = {}

    def start(self, _spawn: Spawn) -> None:
        """Look, and log each principal once."""
        self.look()
        for principal, rule in self._broken.items():
            _log.warning("roles are not separate", extra={"principal": principal, "rule": rule})

    def stop(self) -> None:
        """Do nothing: no task is running."""

    def look(self) -> Mapping[str, str]:
        """Return the rule that each such principal breaks. Raises DatabaseUnavailable."""
        with self._database.read() as transaction:
            entries = [standing.entry for standing in self._register.every(transaction, Subject.client)]
            clients = [entry for entry in entries if isinstance(entry, Client)]
            principals = sorted({client.principal for client in clients})
            known = self._register.standing(transaction, Organization, principals)
        self._broken = broken_principals(clients, lambda principal: principal in known)
        self._count(len(self._broken))
        return self._broken

    def alarm(self) -> str | None:
        """Return the warning of `/readyz`. Looks again only while there is something to report."""
        if not self._broken or not self.look():
            return None
        named = ", ".join(sorted(self._broken))
        return f"these principals break the separation of roles: {named}. See `kopuro admin keep-role --help`"
