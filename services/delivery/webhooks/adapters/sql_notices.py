"""Notices and their attempts in delivery's database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import fields

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from contracts.facts import OfferOpened
from runtime.storage.columns import microseconds, moment_of
from runtime.storage.sql_statement import SqlStatement
from services.delivery.adapters.tables import WEBHOOK_ATTEMPTS, WEBHOOK_ENDPOINTS, WEBHOOK_NOTICES
from services.delivery.webhooks.adapters.notice_rows import attempt_of, notice_of
from services.delivery.webhooks.adapters.sql_endpoints import endpoint_of
from services.delivery.webhooks.domain.endpoint import Endpoint
from services.delivery.webhooks.domain.notice import CHALLENGE, Attempt, Notice, NoticeState
from services.delivery.webhooks.domain.retries import Haste
from services.delivery.webhooks.ports import UnnoticedMessage, WaitingNotices

_NOTICES = WEBHOOK_NOTICES.c
_ATTEMPTS = WEBHOOK_ATTEMPTS.c

# Each of these two probes one index for each endpoint.
_BEHIND = SqlStatement(
    "SELECT e.id FROM webhook_endpoints e WHERE e.state = 'active' AND EXISTS"
    " (SELECT 1 FROM mailbox_messages m WHERE m.organization = e.organization"
    " AND m.acknowledged_at IS NULL AND m.sequence > e.position)"
)
_OWED = SqlStatement(
    "SELECT e.id FROM webhook_endpoints e WHERE e.state <> 'disabled' AND EXISTS"
    " (SELECT 1 FROM webhook_notices n WHERE n.endpoint_id = e.id AND n.due_at IS NOT NULL"
    " AND n.due_at <= ?)"
)
_ARE_WAITING = SqlStatement("SELECT EXISTS (SELECT 1 FROM webhook_notices WHERE due_at IS NOT NULL)")

# Only offers need their bodies: a note may have a mebibyte.
_UNNOTICED = SqlStatement(
    "SELECT sequence, message_id, type, referral_id, queued_at,"
    " CASE WHEN type = ? THEN body END FROM mailbox_messages"
    " WHERE organization = ? AND acknowledged_at IS NULL AND sequence > ? ORDER BY sequence LIMIT ?"
)

_ADD = SqlStatement(
    "INSERT INTO webhook_notices (endpoint_id, message_id, type, referral_id, sequence, queued_at, haste,"
    " until, state, attempts, due_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)

# A notice waits for every earlier one of its referral. Rows that another process has claimed are skipped.
_DUE = SqlStatement(
    "SELECT n.number, n.message_id, n.type, n.referral_id, n.sequence, n.queued_at, n.haste, n.until,"
    " n.attempts, n.due_at FROM webhook_notices n"
    " WHERE n.endpoint_id = ? AND n.due_at IS NOT NULL AND n.due_at <= ? AND n.type LIKE ?"
    " AND (n.referral_id = '' OR NOT EXISTS"
    " (SELECT 1 FROM webhook_notices p WHERE p.endpoint_id = n.endpoint_id AND p.referral_id = n.referral_id"
    " AND p.due_at IS NOT NULL AND p.sequence < n.sequence AND (n.haste = 'other' OR p.attempts < 3)))"
    " ORDER BY CASE n.haste WHEN 'emergency' THEN 0 WHEN 'offer' THEN 1 ELSE 2 END,"
    " CASE WHEN n.attempts = 0 THEN 0 ELSE 1 END, n.due_at, n.number"
    " LIMIT ?",
    postgresql="FOR UPDATE OF n SKIP LOCKED",
)

_ACKNOWLEDGED = SqlStatement(
    "SELECT n.number FROM webhook_notices n JOIN webhook_endpoints e ON e.id = n.endpoint_id"
    " JOIN mailbox_messages m ON m.message_id = n.message_id AND m.organization = e.organization"
    " WHERE m.acknowledged_at IS NOT NULL AND n.number = ANY (?)"
)

_CLAIM = SqlStatement("UPDATE webhook_notices SET attempts = attempts + 1, due_at = ? WHERE number = ANY (?)")


# Built once: the result of every request is stored by these.
_TAKE = (
    select(WEBHOOK_NOTICES)
    .where(_NOTICES.endpoint_id == bindparam("endpoint"), _NOTICES.message_id == bindparam("message"))
    .with_for_update()
)
_PUT = update(WEBHOOK_NOTICES).where(_NOTICES.number == bindparam("notice"))
_RECORD = insert(WEBHOOK_ATTEMPTS)


class SqlNotices:
    """See `ports.Notices`."""

    def behind(self, transaction: Connection) -> list[Endpoint]:
        """See `ports.Notices`."""
        return _endpoints(transaction, [id_ for (id_,) in _BEHIND.run(transaction)])

    def unnoticed(
        self, transaction: Connection, organization: str, *, after: int, limit: int
    ) -> list[UnnoticedMessage]:
        """See `ports.Notices`."""
        return [
            UnnoticedMessage(
                sequence=sequence,
                message_id=message_id,
                type=message_type,
                referral_id=referral_id,
                queued_at=moment_of(queued_at),
                body=bytes(body or b""),
            )
            for sequence, message_id, message_type, referral_id, queued_at, body in _UNNOTICED.run(
                transaction, OfferOpened.type, organization, after, limit
            )
        ]

    def waiting(self, transaction: Connection, endpoint_id: str) -> WaitingNotices:
        """See `ports.Notices`."""
        waiting = (_NOTICES.endpoint_id == endpoint_id, _NOTICES.due_at.is_not(None))
        untried = func.count().filter(_NOTICES.attempts == 0)
        counted = select(func.count().label("all"), untried.label("untried")).where(*waiting)
        row = transaction.execute(counted).one()
        return WaitingNotices(untried=row.untried, tried=row.all - row.untried)

    def refused(
        self, transaction: Connection, endpoint_id: str, *, attempts: int, later_than: dt.datetime
    ) -> int:
        """See `ports.Notices`."""
        failed = (_NOTICES.attempts == attempts) & (_NOTICES.due_at > later_than)
        counted = select(func.count()).where(
            _NOTICES.endpoint_id == endpoint_id,
            _NOTICES.due_at.is_not(None),
            failed | (_NOTICES.attempts > attempts),
        )
        return int(transaction.execute(counted).scalar_one())

    def add(self, transaction: Connection, notices: Sequence[Notice]) -> None:
        """See `ports.Notices`."""
        _ADD.run_for_each(
            transaction,
            [
                (
                    notice.endpoint_id,
                    notice.message_id,
                    notice.type,
                    notice.referral_id,
                    notice.sequence,
                    microseconds(notice.queued_at),
                    notice.haste.value,
                    microseconds(notice.until),
                    notice.state.value,
                    notice.attempts,
                    None if notice.due_at is None else microseconds(notice.due_at),
                )
                for notice in notices
            ],
        )

    def advance(self, transaction: Connection, endpoint_id: str, position: int) -> None:
        """See `ports.Notices`."""
        endpoints = WEBHOOK_ENDPOINTS.c
        transaction.execute(
            update(WEBHOOK_ENDPOINTS)
            .where(endpoints.id == endpoint_id, endpoints.position < position)
            .values(position=position)
        )

    def owed(self, transaction: Connection, now: dt.datetime) -> list[Endpoint]:
        """See `ports.Notices`."""
        return _endpoints(transaction, [id_ for (id_,) in _OWED.run(transaction, microseconds(now))])

    def due(
        self,
        transaction: Connection,
        endpoint_id: str,
        now: dt.datetime,
        limit: int,
        *,
        only_challenge: bool = False,
    ) -> list[Notice]:
        """See `ports.Notices`."""
        types = CHALLENGE if only_challenge else "%"
        return [
            Notice(
                number=number,
                endpoint_id=endpoint_id,
                message_id=message_id,
                type=message_type,
                referral_id=referral_id,
                sequence=sequence,
                queued_at=moment_of(queued_at),
                haste=Haste(haste),
                until=moment_of(until),
                attempts=attempts,
                due_at=moment_of(due_at),
            )
            for (
                number,
                message_id,
                message_type,
                referral_id,
                sequence,
                queued_at,
                haste,
                until,
                attempts,
                due_at,
            ) in _DUE.run(transaction, endpoint_id, microseconds(now), types, limit)
        ]

    def acknowledged(self, transaction: Connection, notices: Sequence[Notice]) -> set[int]:
        """See `ports.Notices`."""
        numbers = [notice.number for notice in notices]
        return {number for (number,) in _ACKNOWLEDGED.run(transaction, numbers)}

    def claim(self, transaction: Connection, notices: Sequence[Notice], until: dt.datetime) -> None:
        """See `ports.Notices`."""
        if notices:
            _CLAIM.run(transaction, microseconds(until), [notice.number for notice in notices])

    def take(self, transaction: Connection, endpoint_id: str, message_id: str) -> Notice | None:
        """See `ports.Notices`."""
        row = transaction.execute(_TAKE, {"endpoint": endpoint_id, "message": message_id}).one_or_none()
        return None if row is None else notice_of(row)

    def own(self, transaction: Connection, endpoint_id: str, type_: str) -> Notice | None:
        """See `ports.Notices`."""
        chosen = (
            select(WEBHOOK_NOTICES)
            .where(
                _NOTICES.endpoint_id == endpoint_id,
                _NOTICES.due_at.is_not(None),
                _NOTICES.referral_id == "",
                _NOTICES.type == type_,
            )
            .order_by(_NOTICES.number.desc())
            .limit(1)
            .with_for_update()
        )
        row = transaction.execute(chosen).one_or_none()
        return None if row is None else notice_of(row)

    def put(self, transaction: Connection, notice: Notice, now: dt.datetime) -> None:
        """See `ports.Notices`."""
        waits = notice.state is NoticeState.waiting
        transaction.execute(
            _PUT,
            {
                "notice": notice.number,
                "state": notice.state.value,
                "attempts": notice.attempts,
                "until": notice.until,
                "due_at": notice.due_at if waits else None,
                "ended_at": None if waits else now,
            },
        )

    def resume(
        self, transaction: Connection, endpoint_id: str, *, now: dt.datetime, until: dt.datetime
    ) -> None:
        """See `ports.Notices`."""
        waiting = (_NOTICES.endpoint_id == endpoint_id, _NOTICES.due_at.is_not(None))
        transaction.execute(update(WEBHOOK_NOTICES).where(*waiting).values(due_at=now, attempts=0))
        transaction.execute(
            update(WEBHOOK_NOTICES).where(*waiting, _NOTICES.haste == Haste.other.value).values(until=until)
        )

    def hasten(
        self, transaction: Connection, endpoint_id: str, *, later_than: dt.datetime, now: dt.datetime
    ) -> None:
        """See `ports.Notices`."""
        transaction.execute(
            update(WEBHOOK_NOTICES)
            .where(_NOTICES.endpoint_id == endpoint_id, _NOTICES.due_at > later_than)
            .values(due_at=now)
        )

    def cancel_challenges(self, transaction: Connection, endpoint_id: str, now: dt.datetime) -> None:
        """See `ports.Notices`."""
        transaction.execute(
            update(WEBHOOK_NOTICES)
            .where(
                _NOTICES.endpoint_id == endpoint_id,
                _NOTICES.type == CHALLENGE,
                _NOTICES.due_at.is_not(None),
            )
            .values(state=NoticeState.cancelled.value, due_at=None, ended_at=now)
        )

    def record(self, transaction: Connection, attempt: Attempt) -> None:
        """See `ports.Notices`."""
        columns = {each.name: getattr(attempt, each.name) for each in fields(attempt)}
        transaction.execute(_RECORD, columns)

    def attempts(
        self, transaction: Connection, endpoint_id: str, *, before: int | None, limit: int
    ) -> list[tuple[int, Attempt]]:
        """See `ports.Notices`."""
        chosen = select(WEBHOOK_ATTEMPTS).where(_ATTEMPTS.endpoint_id == endpoint_id)
        if before is not None:
            chosen = chosen.where(_ATTEMPTS.position < before)
        rows = transaction.execute(chosen.order_by(_ATTEMPTS.position.desc()).limit(limit))
        return [(row.position, attempt_of(row)) for row in rows]

    def page(
        self, transaction: Connection, endpoint_id: str, *, before: int | None, limit: int
    ) -> list[Notice]:
        """See `ports.Notices`."""
        chosen = select(WEBHOOK_NOTICES).where(_NOTICES.endpoint_id == endpoint_id)
        if before is not None:
            chosen = chosen.where(_NOTICES.number < before)
        rows = transaction.execute(chosen.order_by(_NOTICES.number.desc()).limit(limit))
        return [notice_of(row) for row in rows]

    def are_waiting(self, transaction: Connection) -> bool:
        """See `ports.Notices`."""
        return bool(_ARE_WAITING.run(transaction).scalar_one())

    def count_waiting(self, transaction: Connection) -> int:
        """See `ports.Notices`."""
        return int(transaction.execute(select(func.count()).where(_NOTICES.due_at.is_not(None))).scalar_one())

    def forget(self, transaction: Connection, before: dt.datetime, limit: int) -> int:
        """See `ports.Notices`."""
        ended = select(_NOTICES.number).where(_NOTICES.ended_at < before).limit(limit)
        notices = transaction.execute(delete(WEBHOOK_NOTICES).where(_NOTICES.number.in_(ended))).rowcount
        old = select(_ATTEMPTS.position).where(_ATTEMPTS.started_at < before).limit(limit - notices)
        attempts = transaction.execute(delete(WEBHOOK_ATTEMPTS).where(_ATTEMPTS.position.in_(old))).rowcount
        return notices + attempts


def _endpoints(transaction: Connection, ids: list[str]) -> list[Endpoint]:
    if not ids:
        return []
    # In one order, in which `advance` and the outcomes lock them, so that transactions cannot deadlock.
    endpoints = WEBHOOK_ENDPOINTS.c
    chosen = select(WEBHOOK_ENDPOINTS).where(endpoints.id.in_(ids)).order_by(endpoints.id)
    return [endpoint_of(row) for row in transaction.execute(chosen)]
