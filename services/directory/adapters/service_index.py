"""The SQL implementation of `ports.ServiceIndex`."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, exists, insert, select, tuple_

from contracts.codes import Vetting
from contracts.organization import Organization, Service
from contracts.records import read
from services.directory.adapters.tables import SERVICE_AREAS, SERVICE_NEEDS, SERVICES
from services.directory.ports import Offered, OfferedAt

_KEY = (SERVICES.c.organization, SERVICES.c.service)


class SqlServiceIndex:
    """See `ports.ServiceIndex`."""

    def replace(self, transaction: Connection, organizations: Sequence[Organization]) -> None:
        """See `ports.ServiceIndex`."""
        ids = [organization.id for organization in organizations]
        transaction.execute(delete(SERVICES).where(SERVICES.c.organization.in_(ids)))
        offered = [
            (organization.id, service)
            for organization in organizations
            if organization.active and organization.vetting is Vetting.vetted
            for service in organization.services
        ]
        if not offered:
            return
        transaction.execute(
            insert(SERVICES),
            [{"organization": of, "service": service.id, "record": service} for of, service in offered],
        )
        # A set, because a record may repeat a code.
        needs = {(of, service.id, need) for of, service in offered for need in service.needs}
        areas = {(of, service.id, area) for of, service in offered for area in service.areas}
        for table, column, found in ((SERVICE_NEEDS, "need", needs), (SERVICE_AREAS, "area", areas)):
            transaction.execute(
                insert(table),
                [{"organization": of, "service": service, column: code} for of, service, code in found],
            )

    def find(
        self,
        transaction: Connection,
        needs: frozenset[str] | None,
        areas: frozenset[str] | None,
        after: tuple[str, str],
        limit: int,
    ) -> list[Offered]:
        """See `ports.ServiceIndex`."""
        query = select(SERVICES).where(tuple_(*_KEY) > after).order_by(*_KEY).limit(limit)
        for column, wanted in ((SERVICE_NEEDS.c.need, needs), (SERVICE_AREAS.c.area, areas)):
            if wanted is not None:
                table = column.table
                query = query.where(
                    exists().where(
                        table.c.organization == SERVICES.c.organization,
                        table.c.service == SERVICES.c.service,
                        column.in_(wanted),
                    )
                )
        return [
            Offered(organization=row.organization, service=read(Service, row.record))
            for row in transaction.execute(query)
        ]

    def areas(self, transaction: Connection, after: tuple[str, str, str], limit: int) -> list[OfferedAt]:
        """See `ports.ServiceIndex`."""
        key = (*_KEY, SERVICE_AREAS.c.area)
        query = (
            select(SERVICES.c.organization, SERVICES.c.record, SERVICE_AREAS.c.area)
            .join(SERVICE_AREAS)
            .where(tuple_(*key) > after)
            .order_by(*key)
            .limit(limit)
        )
        return [
            OfferedAt(organization=row.organization, service=read(Service, row.record), area=row.area)
            for row in transaction.execute(query)
        ]
