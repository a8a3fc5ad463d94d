"""Queries of the directory, page by page."""

from __future__ import annotations

from collections.abc import Mapping

from contracts.errors import Refused
from contracts.organization import Agreement, Organization
from contracts.responses.directory import Suspension
from runtime.storage.database import Database
from services.directory.domain.entry import Standing
from services.directory.domain.search import areas_answering, needs_answering
from services.directory.ports import Offered, OfferedAt, Register, ServiceIndex


class Listings:
    """The directory's queries. limit: the most items to return."""

    def __init__(self, *, database: Database, register: Register, index: ServiceIndex) -> None:
        self._database = database
        self._register = register
        self._index = index

    def organization(self, organization_id: str) -> Standing[Organization]:
        """Return an organisation. Raises Refused `not-found`."""
        with self._database.read() as transaction:
            found = self._register.standing(transaction, Organization, [organization_id])
        if organization_id not in found:
            raise Refused("not-found", "The directory has no organisation with this id.")
        return found[organization_id]

    def suspension(self, organization_id: str) -> Suspension | None:
        """Return who suspended an organisation, when and why; None if it is not suspended."""
        with self._database.read() as transaction:
            return self._register.suspension(transaction, organization_id)

    def organizations(self, where: Mapping[str, str], after: str, limit: int) -> list[Standing[Organization]]:
        """Return organisations with ids above `after`, ordered by id. where: `kind`, `country`."""
        with self._database.read() as transaction:
            return self._register.page(transaction, Organization, where, after, limit)

    def agreements(self, after: str, limit: int) -> list[Standing[Agreement]]:
        """Return agreements with ids above `after`, ordered by id."""
        with self._database.read() as transaction:
            return self._register.page(transaction, Agreement, {}, after, limit)

    def services(
        self, need: str | None, region: str | None, after: tuple[str, str], limit: int
    ) -> list[Offered]:
        """Return offered services for a need (or group) in a region (or country)."""
        with self._database.read() as transaction:
            return self._index.find(
                transaction,
                None if need is None else needs_answering(need),
                None if region is None else areas_answering(region),
                after,
                limit,
            )

    def areas(self, after: tuple[str, str, str], limit: int) -> list[OfferedAt]:
        """Return each offered service once for each of its areas."""
        with self._database.read() as transaction:
            return self._index.areas(transaction, after, limit)
