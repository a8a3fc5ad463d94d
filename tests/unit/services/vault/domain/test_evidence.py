from __future__ import annotations

import datetime as dt

from runtime.messaging.clocks import Clocks
from services.vault.domain.evidence import ProvenEvent
from tests.golden_messages.examples import EXAMPLES


def test_proven_event_has_the_time_and_the_trace_of_its_event() -> None:
    event = EXAMPLES["kopuro.offer.accepted.v1"]
    proven = ProvenEvent.decode(event.encode())
    assert (proven.time, proven.traceparent) == (event.time, event.traceparent)
    clocks = Clocks()
    clocks.note([proven], event.time - dt.timedelta(minutes=1))
    assert clocks.furthest() == 60
