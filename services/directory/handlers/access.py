"""The standing of callers, read from the directory's own register: it needs no replica of itself."""

from __future__ import annotations

from contracts.organization import Organization
from runtime.storage.database import Database
from services.directory.ports import Register


class RegisteredAccess:
    """Current for every request, whichever process changed the register."""

    def __init__(self, *, database: Database, register: Register) -> None:
        self._database = database
        self._register = register

    def is_excluded(self, organization_id: str) -> bool:
        """Return whether the organisation may not use the hub. Raises DatabaseUnavailable."""
        with self._database.read() as transaction:
            found = self._register.standing(transaction, Organization, [organization_id])
        return organization_id in found and found[organization_id].entry.is_excluded
