"""The number of events that were offered to the log again. It is in the database, so it outlasts a restart.

One row: the number of events since the last day without an offer, and the time of the last offer.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from runtime.storage.columns import microseconds, moment_of
from runtime.storage.sql_statement import SqlStatement

REMEMBERED: Final = dt.timedelta(days=1)

_READ = SqlStatement("SELECT events, last_at FROM log_offers WHERE number = 1")
_ADD = SqlStatement(
    "INSERT INTO log_offers (number, events, last_at) VALUES (1, ?, ?) ON CONFLICT (number) DO UPDATE SET"
    " events = excluded.events + CASE WHEN log_offers.last_at > ? THEN log_offers.events ELSE 0 END,"
    " last_at = excluded.last_at"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LogOffers:
    """events: offered again; last_at: the last time."""

    events: int
    last_at: dt.datetime


def add_offers(transaction: Connection, events: int, now: dt.datetime) -> None:
    """Record that events are offered to the log again. Offers of more than a day ago are forgotten."""
    _ADD.run(transaction, events, microseconds(now), microseconds(now - REMEMBERED))


def last_offers(transaction: Connection, now: dt.datetime) -> LogOffers | None:
    """Return the offers of the last day, None if there were none."""
    row = _READ.run(transaction).one_or_none()
    if row is None:
        return None
    events, last_at = row
    if moment_of(last_at) <= now - REMEMBERED:
        return None
    return LogOffers(events=events, last_at=moment_of(last_at))
