"""Events that a service has recorded with its rows and that the log may not have yet.

They are in its outbox, or in its copies of published events until audit's receipt.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

from sqlalchemy import Engine, column, select, table

from admin.reconciliation.stored_values import StoredBytes
from contracts.envelope import Envelope
from contracts.moments import CLOCK_TOLERANCE
from contracts.records import Malformed
from runtime.messaging.outbox.event_batch import decode_batch

# The relay moves a message from the first table to the second, so none is missed in this order.
_TABLES: Final = tuple(
    table(name, column("number"), column("body", StoredBytes)) for name in ("outbox", "unreceipted")
)


def ids_in_transit(
    engine: Engine, names: Mapping[str, str], settled: dt.datetime, limit: int
) -> dict[str, set[str]]:
    """Return the ids that events later than `settled` are about, by type. limit: messages per query.

    names: of the member with the id, for each type. Read them after the rows and before the log: then a
    change that the rows have and the log lacks is among them. A time in the future makes no event later: it
    would hide a row until then.
    """
    latest = dt.datetime.now(dt.UTC) + CLOCK_TOLERANCE
    found: dict[str, set[str]] = {type_: set() for type_ in names}
    for event in _events(engine, limit):
        if event.type in names and settled < event.time <= latest:
            found[event.type].add(str(event.data.get(names[event.type])))
    return found


def _events(engine: Engine, limit: int) -> Iterator[Envelope]:
    with engine.connect() as connection:
        for messages in _TABLES:
            wanted = select(messages).order_by(messages.c.number).limit(limit)
            rows = connection.execute(wanted).all()
            while rows:
                for event in (body for row in rows for body in decode_batch(row.body or b"")):
                    with suppress(Malformed):
                        yield Envelope.decode(event)
                rows = connection.execute(wanted.where(messages.c.number > rows[-1].number)).all()
