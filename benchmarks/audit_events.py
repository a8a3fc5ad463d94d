"""Sample events for a log: interleaved closed loops of referrals with ten facts each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from itertools import count, islice
from typing import Any, Final

from contracts.envelope import Envelope
from runtime.identifiers import new_id

# Interleaved referrals: adjacent log entries rarely belong to the same one.
_UNDER_WAY: Final = 100
_SENDER, _RECEIVER = "kg.osh-legal-aid", "ru.moscow-common-table"
_FACTS: Final[Mapping[str, Any]] = {
    "needs": ["legal.wage_claim"],
    "urgency": "urgent",
    "region": "RU-MOW",
    "settlement": "urban",
    "languages": ["ky", "ru"],
    "stage": "in_destination",
    "origin_country": "KG",
    "age_band": "25_59",
    "sex": "female",
    "special_categories": [],
    "to": None,
    "accepts_cost": False,
}
_PARTIES: Final[Mapping[str, Any]] = {"sender": _SENDER, "organization": _RECEIVER}
_LOOP: Final[tuple[tuple[str, str, Mapping[str, Any]], ...]] = (
    ("referral.submitted", "/kg/intake", {"sender": _SENDER, "facts": _FACTS}),
    ("offer.opened", "/kg/routing", {**_PARTIES, "rank": 1, "facts": _FACTS}),
    ("delivery.delivered", "/kg/delivery", {"organization": _RECEIVER}),
    ("delivery.acknowledged", "/kg/delivery", {"organization": _RECEIVER}),
    ("answer.submitted", "/kg/intake", {"organization": _RECEIVER, "accepted": True}),
    ("offer.accepted", "/kg/routing", _PARTIES),
    ("case.released", "/kg/vault", _PARTIES),
    ("progress.submitted", "/kg/intake", {"organization": _RECEIVER, "status": "in_progress"}),
    ("referral.progressed", "/kg/routing", {**_PARTIES, "status": "in_progress"}),
    ("referral.completed", "/kg/routing", {**_PARTIES, "outcome": "resolved"}),
)


def events() -> Iterator[Envelope]:
    """Yield events without end."""
    while True:
        referrals = [new_id() for _ in range(_UNDER_WAY)]
        for fact, source, data in _LOOP:
            for referral in referrals:
                yield _event(fact, source, referral, data)


def batches(size: int, number: int | None = None) -> Iterator[list[Envelope]]:
    """Yield `number` batches of `size` events; without `number`, without end."""
    coming = events()
    for _ in count() if number is None else range(number):
        yield list(islice(coming, size))


def _event(fact: str, source: str, referral: str, data: Mapping[str, Any]) -> Envelope:
    number = new_id()
    return Envelope(
        id=number,
        source=source,
        type=f"kopuro.{fact}.v1",
        time=dt.datetime.now(dt.UTC),
        partition_key=referral,
        correlation_id=number,
        causation_id=None,
        traceparent=None,
        data={"referral_id": referral, **data},
        body=b"",
    )
