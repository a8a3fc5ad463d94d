"""The states of messages and webhooks' notices in delivery's database."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any, Final

from sqlalchemy import Connection

from contracts.responses.mailbox import ToldEndpoint
from runtime.storage.columns import moment_of
from runtime.storage.sql_statement import SqlStatement
from services.delivery.message_tracing import TracedMessage

# `webhooks.domain.notice.NoticeState.waiting`; the webhooks are built on these adapters.
_NOTICE_WAITS: Final = "waiting"

_COLUMNS: Final = (
    "organization, message_id, type, referral_id, state, queued_at, delivered_at, acknowledged_at, closed_at,"
    " offer_id"
)
# Made of constants of this module. Two statements, each for one index.
_BY_REFERRAL = SqlStatement(
    f"SELECT {_COLUMNS} FROM mailbox_messages WHERE referral_id = ? ORDER BY sequence LIMIT ?"  # noqa: S608
)
_OWN_BY_REFERRAL = SqlStatement(
    f"SELECT {_COLUMNS} FROM mailbox_messages"  # noqa: S608
    " WHERE referral_id = ? AND organization = ANY (?) ORDER BY sequence LIMIT ?"
)
_BY_ID = SqlStatement(
    f"SELECT {_COLUMNS} FROM mailbox_messages WHERE message_id = ? ORDER BY sequence"  # noqa: S608
)
_TOLD = SqlStatement(
    "SELECT endpoints.organization, notices.message_id, notices.endpoint_id, notices.state,"
    " notices.attempts, notices.due_at, notices.until"
    " FROM webhook_notices AS notices JOIN webhook_endpoints AS endpoints"
    " ON endpoints.id = notices.endpoint_id"
    " WHERE endpoints.organization = ANY (?) AND notices.message_id = ANY (?) ORDER BY notices.number"
)


class SqlTracedMessages:
    """See `message_tracing.TracedMessages`."""

    def found(
        self, transaction: Connection, id_: str, mailboxes: Collection[str] | None, limit: int
    ) -> list[TracedMessage]:
        """See `message_tracing.TracedMessages`."""
        if mailboxes is None:
            rows = _BY_REFERRAL.run(transaction, id_, limit).all()
        else:
            rows = _OWN_BY_REFERRAL.run(transaction, id_, list(mailboxes), limit).all()
        if not rows:
            found = _BY_ID.run(transaction, id_).all()
            rows = [row for row in found if mailboxes is None or row[0] in mailboxes]
        return [_traced(*row) for row in rows]

    def told(
        self, transaction: Connection, messages: Collection[TracedMessage]
    ) -> Mapping[tuple[str, str], tuple[ToldEndpoint, ...]]:
        """See `message_tracing.TracedMessages`."""
        if not messages:
            return {}
        owners = sorted({one.organization for one in messages})
        ids = sorted({one.message_id for one in messages})
        told: dict[tuple[str, str], list[ToldEndpoint]] = defaultdict(list)
        for owner, message_id, endpoint_id, state, attempts, due_at, until in _TOLD.run(
            transaction, owners, ids
        ):
            waits = due_at is not None and state == _NOTICE_WAITS
            told[owner, message_id].append(
                ToldEndpoint(
                    endpoint_id=endpoint_id,
                    state=state,
                    attempts=attempts,
                    next_attempt_at=moment_of(due_at) if waits else None,
                    until=moment_of(until),
                )
            )
        return {place: tuple(each) for place, each in told.items()}


def _traced(
    organization: str,
    message_id: str,
    type_: str,
    referral_id: str,
    state: str,
    queued_at: int,
    *rest: Any,
) -> TracedMessage:
    delivered_at, acknowledged_at, closed_at, offer_id = rest
    return TracedMessage(
        organization=organization,
        message_id=message_id,
        type=type_,
        referral_id=referral_id,
        state=state,
        queued_at=moment_of(queued_at),
        delivered_at=_moment(delivered_at),
        acknowledged_at=_moment(acknowledged_at),
        closed_at=_moment(closed_at),
        offer_id=offer_id,
    )


def _moment(at: int | None) -> dt.datetime | None:
    return None if at is None else moment_of(at)
