"""The digest for the coordinators: what waits for a person, once for each day or week."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from contracts.facts import CoordinationDigest, WaitingReferrals
from services.routing.domain.calendar_week import CalendarWeek
from services.routing.domain.coordination_queue import QueueKind

# 02:00 UTC is the morning from Kazakhstan to Kyrgyzstan, and the end of the night in Moscow.
BEGINS: Final = dt.timedelta(hours=2)

# The number of referrals in a queue, and when the first of them was submitted.
Waiting = tuple[int, dt.datetime | None]


class DigestPeriod(StrEnum):
    """How often there is a digest (`KOPURO_DIGEST`)."""

    day = "day"
    week = "week"


def period_of(every: DigestPeriod, now: dt.datetime) -> str:
    """Return the day or the week whose digest is the latest that is due, as `2026-11-27` or `2026-W48`."""
    begun = now.astimezone(dt.UTC) - BEGINS
    return begun.date().isoformat() if every is DigestPeriod.day else str(CalendarWeek.of(begun))


def digest(period: str, waiting: Mapping[QueueKind, Waiting], now: dt.datetime) -> CoordinationDigest:
    """Return the digest of a period, with every queue, also the empty ones."""
    return CoordinationDigest(
        period=period,
        as_of=now,
        queues=tuple(
            WaitingReferrals(queue=kind.value, referrals=number, oldest=oldest)
            for kind, (number, oldest) in waiting.items()
        ),
    )
