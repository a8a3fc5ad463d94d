"""The standing of callers, read from the directory's own register: it needs no replica of itself."""

from __future__ import annotations

from contracts.organization import Organization
from runtime.access.clients import RegisteredClient, permitted_roles
from runtime.storage.database import Database
from services.directory.domain.client import Client
from services.directory.ports import Register


class RegisteredAccess:
    """Current for every request, whichever process changed the register."""

    def __init__(self, *, database: Database, register: Register) -> None:
        self._database = database
        self._register = register

    def client(self, client_id: str) -> RegisteredClient | None:
        """Return a client; None if there is none of that id. Raises DatabaseUnavailable."""
        if "\0" in client_id:  # PostgreSQL text cannot contain NUL
            return None
        with self._database.read() as transaction:
            found = self._register.standing(transaction, Client, [client_id]).get(client_id)
        if found is None:
            return None
        return RegisteredClient(
            principal=found.entry.principal,
            roles=permitted_roles(role.value for role in found.entry.roles),
            live=found.entry.live,
            token_epoch=found.entry.token_epoch,
            ended_keys=frozenset(each.key for each in found.entry.ended_keys),
        )

    def is_excluded(self, organization_id: str) -> bool:
        """Return whether the organisation may not use the hub. Raises DatabaseUnavailable."""
        with self._database.read() as transaction:
            found = self._register.standing(transaction, Organization, [organization_id])
        return organization_id in found and found[organization_id].entry.is_excluded
