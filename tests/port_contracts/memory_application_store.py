"""An ApplicationStore in memory, which ignores the transaction."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Connection

from contracts.codes import ApplicationState
from services.directory.domain.application import KeptApplication


class MemoryApplicationStore:
    """See `ports.ApplicationStore`."""

    def __init__(self) -> None:
        self._kept: dict[str, KeptApplication] = {}

    def add(self, transaction: Connection, application: KeptApplication) -> None:
        self._kept[application.id] = application

    def settle(self, transaction: Connection, application: KeptApplication) -> None:
        self._kept[application.id] = application

    def one(self, transaction: Connection, application_id: str) -> KeptApplication | None:
        return self._kept.get(application_id)

    def by_reference(self, transaction: Connection, reference_sha256: str) -> KeptApplication | None:
        return next((one for one in self._kept.values() if one.reference_sha256 == reference_sha256), None)

    def by_approval(self, transaction: Connection, approval_id: str) -> KeptApplication | None:
        return next((one for one in self._kept.values() if one.approval_id == approval_id), None)

    def page(
        self, transaction: Connection, state: ApplicationState | None, after: str, limit: int
    ) -> list[KeptApplication]:
        found = sorted(self._kept.values(), key=lambda one: one.id)
        return [one for one in found if one.id > after and state in (None, one.state)][:limit]

    def count_open(self, transaction: Connection) -> int:
        return sum(one.is_open for one in self._kept.values())

    def count_withdrawn(self, transaction: Connection, since: dt.datetime, limit: int) -> int:
        withdrawn = [one for one in self._kept.values() if one.state is ApplicationState.withdrawn]
        latest = sorted(withdrawn, key=lambda one: one.id, reverse=True)[:limit]
        return sum(one.submitted_at > since for one in latest)

    def overdue(self, transaction: Connection, now: dt.datetime, limit: int) -> list[str]:
        waiting = [one for one in self._kept.values() if one.state is ApplicationState.waiting]
        due = sorted((one.expires_at, one.id) for one in waiting if one.expires_at <= now)
        return [application_id for _, application_id in due[:limit]]

    def forget(self, transaction: Connection, now: dt.datetime, limit: int) -> int:
        ended = [one for one in self._kept.values() if not one.is_open and one.expires_at <= now]
        chosen = sorted(ended, key=lambda one: one.expires_at)[:limit]
        for one in chosen:
            del self._kept[one.id]
        return len(chosen)
