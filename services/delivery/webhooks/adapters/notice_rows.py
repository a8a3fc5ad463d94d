"""Rows of notices and attempts as values."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from services.delivery.webhooks.domain.notice import Attempt, Notice, NoticeState
from services.delivery.webhooks.domain.retries import Haste


def notice_of(row: Row[Any]) -> Notice:
    """Return the notice in a row of `webhook_notices`."""
    return Notice(
        number=row.number,
        endpoint_id=row.endpoint_id,
        message_id=row.message_id,
        type=row.type,
        referral_id=row.referral_id,
        sequence=row.sequence,
        queued_at=row.queued_at,
        haste=Haste(row.haste),
        until=row.until,
        state=NoticeState(row.state),
        attempts=row.attempts,
        due_at=row.due_at,
    )


def attempt_of(row: Row[Any]) -> Attempt:
    """Return the attempt in a row of `webhook_attempts`."""
    return Attempt(
        endpoint_id=row.endpoint_id,
        message_id=row.message_id,
        type=row.type,
        number=row.number,
        started_at=row.started_at,
        milliseconds=row.milliseconds,
        url=row.url,
        status=row.status,
        answer_type=row.answer_type,
        answer_size=row.answer_size,
        fault=row.fault,
        next_at=row.next_at,
    )
