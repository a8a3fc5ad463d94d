"""When a notice is sent again, and until when."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from contracts.codes import Urgency
from contracts.facts import OfferOpened


class Haste(StrEnum):
    """How soon a notice is useless."""

    emergency = "emergency"  # an offer of an emergency
    offer = "offer"  # any other offer
    other = "other"


# Seconds from the start of one attempt to the start of the next; the last one repeats. An emergency is thus
# sent at 0, 5, 30 and 120 s, and then every two minutes.
_DELAYS: Final[Mapping[Haste, tuple[int, ...]]] = {
    Haste.emergency: (5, 25, 90, 120),
    Haste.offer: (5, 55, 240, 600, 900, 1_800),
    Haste.other: (5, 55, 240, 1_500, 5_400, 18_000, 36_000),
}
# An offer is sent until its deadline, every other message for this long.
SENT_FOR: Final = dt.timedelta(days=5)
# Retries of many notices that failed together spread over this share of their delay.
JITTER: Final = 0.1
# The owner is notified of a message after this many failed attempts, at 0, 5, 60 and 300 s.
TOLD_AFTER: Final = 4
_SHORTEST_PAUSE: Final = dt.timedelta(seconds=1)


def haste_of(message_type: str, urgency: str | None) -> Haste:
    """Return the haste of a message. urgency: of the referral that an `offer.opened` offers."""
    if message_type != OfferOpened.type:
        return Haste.other
    return Haste.emergency if urgency == Urgency.emergency else Haste.offer


def next_attempt(
    haste: Haste,
    *,
    attempts: int,
    started_at: dt.datetime,
    now: dt.datetime,
    until: dt.datetime,
    chance: float,
) -> dt.datetime | None:
    """Return when to try again after `attempts` failed attempts; None if that is later than `until`.

    started_at: of the last attempt; now: its end. chance: a random number from 0 to 1, for the jitter.
    """
    delays = _DELAYS[haste]
    delay = delays[min(attempts, len(delays)) - 1] * (1 + JITTER * chance)
    due = max(started_at + dt.timedelta(seconds=delay), now + _SHORTEST_PAUSE)
    return due if due <= until else None


def first_attempt_before(haste: Haste, *, attempts: int, started_at: dt.datetime) -> dt.datetime:
    """Return a moment at which the first of several attempts had begun. started_at: of the last one."""
    delays = _DELAYS[haste]
    waited = sum(delays[min(number, len(delays)) - 1] for number in range(1, attempts))
    return started_at - dt.timedelta(seconds=waited)
