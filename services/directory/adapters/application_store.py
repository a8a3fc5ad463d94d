"""The SQL implementation of `ports.ApplicationStore`."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from contracts.application import Application
from contracts.codes import ApplicationRefusal, ApplicationState
from contracts.records import read
from services.directory.adapters.tables import APPLICATIONS
from services.directory.domain.application import OPEN, KeptApplication

_COLUMNS = APPLICATIONS.c
_FIELDS = tuple(field.name for field in dataclasses.fields(KeptApplication))
_OPEN = sorted(OPEN)
_ENDED = sorted(set(ApplicationState) - OPEN)


class SqlApplicationStore:
    """See `ports.ApplicationStore`."""

    def add(self, transaction: Connection, application: KeptApplication) -> None:
        """See `ports.ApplicationStore`."""
        transaction.execute(insert(APPLICATIONS), [_row(application)])

    def settle(self, transaction: Connection, application: KeptApplication) -> None:
        """See `ports.ApplicationStore`."""
        transaction.execute(
            update(APPLICATIONS).where(_COLUMNS.id == application.id).values(**_row(application))
        )

    def one(self, transaction: Connection, application_id: str) -> KeptApplication | None:
        """See `ports.ApplicationStore`."""
        row = transaction.execute(select(APPLICATIONS).where(_COLUMNS.id == application_id)).one_or_none()
        return None if row is None else _application(row)

    def by_reference(self, transaction: Connection, reference_sha256: str) -> KeptApplication | None:
        """See `ports.ApplicationStore`."""
        query = select(APPLICATIONS).where(_COLUMNS.reference_sha256 == reference_sha256)
        row = transaction.execute(query).one_or_none()
        return None if row is None else _application(row)

    def by_approval(self, transaction: Connection, approval_id: str) -> KeptApplication | None:
        """See `ports.ApplicationStore`."""
        query = select(APPLICATIONS).where(_COLUMNS.approval_id == approval_id)
        row = transaction.execute(query).one_or_none()
        return None if row is None else _application(row)

    def page(
        self, transaction: Connection, state: ApplicationState | None, after: str, limit: int
    ) -> list[KeptApplication]:
        """See `ports.ApplicationStore`."""
        query = select(APPLICATIONS).where(_COLUMNS.id > after).order_by(_COLUMNS.id).limit(limit)
        if state is not None:
            query = query.where(_COLUMNS.state == state.value)
        return [_application(row) for row in transaction.execute(query)]

    def count_open(self, transaction: Connection) -> int:
        """See `ports.ApplicationStore`."""
        query = select(func.count()).select_from(APPLICATIONS).where(_COLUMNS.state.in_(_OPEN))
        return transaction.execute(query).scalar_one()

    def count_withdrawn(self, transaction: Connection, since: dt.datetime, limit: int) -> int:
        """See `ports.ApplicationStore`."""
        withdrawn = select(_COLUMNS.submitted_at).where(_COLUMNS.state == ApplicationState.withdrawn.value)
        latest = withdrawn.order_by(_COLUMNS.id.desc()).limit(limit).subquery()
        query = select(func.count()).select_from(latest).where(latest.c.submitted_at > since)
        return transaction.execute(query).scalar_one()

    def overdue(self, transaction: Connection, now: dt.datetime, limit: int) -> list[str]:
        """See `ports.ApplicationStore`."""
        query = (
            select(_COLUMNS.id)
            .where(_COLUMNS.state == ApplicationState.waiting.value, _COLUMNS.expires_at <= now)
            .order_by(_COLUMNS.expires_at, _COLUMNS.id)
        )
        return list(transaction.execute(query.limit(limit)).scalars())

    def forget(self, transaction: Connection, now: dt.datetime, limit: int) -> int:
        """See `ports.ApplicationStore`."""
        ended = select(_COLUMNS.id).where(_COLUMNS.state.in_(_ENDED), _COLUMNS.expires_at <= now)
        ids = transaction.execute(ended.order_by(_COLUMNS.expires_at).limit(limit)).scalars().all()
        transaction.execute(delete(APPLICATIONS).where(_COLUMNS.id.in_(ids)))
        return len(ids)


def _row(application: KeptApplication) -> dict[str, Any]:
    row = {name: getattr(application, name) for name in _FIELDS}
    reason = application.reason
    return {**row, "state": application.state.value, "reason": None if reason is None else reason.value}


def _application(row: Any) -> KeptApplication:
    values = {name: getattr(row, name) for name in _FIELDS}
    return KeptApplication(
        **{
            **values,
            "state": ApplicationState(row.state),
            "content": None if row.content is None else read(Application, row.content),
            "reason": None if row.reason is None else ApplicationRefusal(row.reason),
        }
    )
