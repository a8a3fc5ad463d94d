"""The SQL implementation of `ports.ServiceIndex`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Text,
    delete,
    exists,
    insert,
    select,
    tuple_,
    type_coerce,
)

from contracts.codes import Vetting
from contracts.organization import Organization, Service
from runtime.turn import Turn, in_turns
from services.directory.adapters.decoded_records import DecodedRecords
from services.directory.adapters.tables import SERVICE_AREAS, SERVICE_NEEDS, SERVICES
from services.directory.ports import Offered, OfferedAt

_KEY = (SERVICES.c.organization, SERVICES.c.service)
_RECORD = type_coerce(SERVICES.c.record, Text).label("record")  # not decoded
WINDOW: Final = 1000  # services; a search looks at them within about two milliseconds


class SqlServiceIndex:
    """See `ports.ServiceIndex`."""

    def __init__(self, window: int = WINDOW) -> None:
        """window: how many services a search looks at before other requests run."""
        self._window = window
        self._decoded = DecodedRecords()

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
        conditions = []
        for column, wanted in ((SERVICE_NEEDS.c.need, needs), (SERVICE_AREAS.c.area, areas)):
            if wanted is not None:
                table = column.table
                conditions.append(
                    exists().where(
                        table.c.organization == SERVICES.c.organization,
                        table.c.service == SERVICES.c.service,
                        column.in_(wanted),
                    )
                )
        rows = self._searched(transaction, conditions, after, limit)
        return [
            Offered(organization=row.organization, service=self._decoded.read(Service, row.record))
            for row in in_turns(rows)
        ]

    def _searched(
        self,
        transaction: Connection,
        conditions: Sequence[ColumnElement[bool]],
        after: tuple[str, str],
        limit: int,
    ) -> list[Row[str, str]]:
        """Return the first rows behind `after` that meet the conditions.

        A search looks at `window` services at a time, because SQLite holds the process for a whole query,
        and a search for what few services offer looks at all of them.
        """
        wanted = select(SERVICES.c.organization, _RECORD).where(*conditions).order_by(*_KEY)
        if not conditions:
            return list(transaction.execute(wanted.where(tuple_(*_KEY) > after).limit(limit)).all())
        found: list[Row[str, str]] = []
        turn = Turn()
        while len(found) < limit:
            ahead = tuple_(*_KEY) > after
            window = select(*_KEY).where(ahead).order_by(*_KEY).offset(self._window - 1).limit(1)
            last = transaction.execute(window).first()
            query = wanted.where(ahead).limit(limit - len(found))
            if last is not None:
                query = query.where(tuple_(*_KEY) <= tuple(last))
            found += transaction.execute(query).all()
            if last is None:
                break
            after = last.organization, last.service
            turn.end_if_over()
        return found

    def areas(self, transaction: Connection, after: tuple[str, str, str], limit: int) -> list[OfferedAt]:
        """See `ports.ServiceIndex`."""
        key = (*_KEY, SERVICE_AREAS.c.area)
        query = (
            select(SERVICES.c.organization, _RECORD, SERVICE_AREAS.c.area)
            .join(SERVICE_AREAS)
            .where(tuple_(*key) > after)
            .order_by(*key)
            .limit(limit)
        )
        return [
            OfferedAt(
                organization=row.organization, service=self._decoded.read(Service, row.record), area=row.area
            )
            for row in in_turns(transaction.execute(query).all())
        ]
