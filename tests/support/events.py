"""Facts as messages, for tests."""

from __future__ import annotations

import datetime as dt

from contracts.envelope import Event
from contracts.facts import Fact
from runtime.identifiers import new_id
from tests.support.hub_keys import source_of


def message_of(
    fact: Fact,
    key: str | None = None,
    *,
    time: dt.datetime | None = None,
    id_: str | None = None,
    source: str | None = None,
    correlation_id: str | None = None,
    causation_id: str | None = None,
    traceparent: str | None = None,
) -> Event[Fact]:
    """Return the message of a fact.

    key: the partition key; None: the fact's referral, which it must have. time: None for now. id_: None for
    a new one. source: None for an owner of the fact. correlation_id: None for the message's own id.
    """
    number = id_ or new_id()
    return Event(
        id=number,
        source=source or source_of(fact),
        time=time or dt.datetime.now(dt.UTC),
        partition_key=key or fact.referral_id,  # type: ignore[attr-defined]
        correlation_id=correlation_id or number,
        causation_id=causation_id,
        data=fact,
        traceparent=traceparent,
    )
