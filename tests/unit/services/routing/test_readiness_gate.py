from __future__ import annotations

from collections.abc import Sequence

import pytest

from contracts.errors import Unavailable
from runtime.messaging.ports import Delivery
from services.routing.readiness_gate import ReadinessGate
from tests.unit.services.routing.workbench import delivery, submitted

REFERRAL = "018f0000-0000-7000-8000-000000000001"


class Recorder:
    def __init__(self) -> None:
        self.processed: list[Sequence[Delivery]] = []

    def process(self, deliveries: Sequence[Delivery]) -> None:
        self.processed.append(deliveries)


def test_facts_are_processed_once_the_directory_is_complete() -> None:
    reasons = ["The replica of the directory is not complete yet.", None]
    recorder = Recorder()
    batch = [delivery(submitted(REFERRAL))]
    entry = ReadinessGate(recorder, lambda: reasons.pop(0))
    with pytest.raises(Unavailable, match="not complete yet"):
        entry.process(batch)
    assert recorder.processed == []
    entry.process(batch)
    assert recorder.processed == [batch]
