"""Events that a service has published and for which audit has sent no receipt.

The table `unreceipted` of every service: runtime/messaging/tables.py.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, column, select, table

from admin.reconciliation.differences import Difference
from admin.reconciliation.stored_values import StoredBytes, StoredTime
from contracts.envelope import Envelope
from contracts.facts import routing_key_of
from contracts.records import Malformed
from runtime.messaging.outbox.event_batch import decode_batch

_COPIES = table(
    "unreceipted", column("number"), column("body", StoredBytes), column("published_at", StoredTime)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class UnreceiptedEvent:
    """A published event. fact: its type without `kopuro.` and the version; empty if the copy is damaged.

    id: of the event, or the number of a damaged copy.
    """

    id: str
    fact: str
    published_at: dt.datetime


def unreceipted_events(engine: Engine, limit: int) -> Iterator[list[UnreceiptedEvent]]:
    """Yield a service's published events without a receipt, in pages. limit: messages per query."""
    after = 0
    with engine.connect() as connection:
        while True:
            wanted = select(_COPIES).where(_COPIES.c.number > after).order_by(_COPIES.c.number).limit(limit)
            rows = connection.execute(wanted).all()
            if not rows:
                return
            after = rows[-1].number
            yield [_unreceipted(body, row) for row in rows for body in decode_batch(row.body)]


def unlogged_events(
    service: str, published: Sequence[UnreceiptedEvent], logged: Set[tuple[str, str]]
) -> Iterator[Difference]:
    """Yield the events that the log does not have. logged: the id and the fact of entries."""
    for event in published:
        if not event.fact:
            what = "the copy of a published event is damaged"
            yield Difference(referral_id=None, record=f"copy {event.id}", where=service, what=what)
        elif (event.id, event.fact) not in logged:
            what = f"{event.fact} was published, but the log does not have it"
            yield Difference(referral_id=None, record=f"event {event.id}", where=service, what=what)


def _unreceipted(body: bytes, row: Any) -> UnreceiptedEvent:
    try:
        event = Envelope.decode(body)
    except Malformed:
        return UnreceiptedEvent(id=str(row.number), fact="", published_at=row.published_at)
    return UnreceiptedEvent(id=event.id, fact=routing_key_of(event.type), published_at=row.published_at)
