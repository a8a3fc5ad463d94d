from __future__ import annotations

from collections.abc import Sequence

import pytest

from contracts.errors import Unavailable
from runtime.messaging.ports import Delivery
from services.routing import gate
from services.routing.gate import AfterDirectory
from tests.unit.services.routing.workbench import delivery, submitted

REFERRAL = "018f0000-0000-7000-8000-000000000001"


class Recorder:
    def __init__(self) -> None:
        self.processed: list[Sequence[Delivery]] = []

    def process(self, deliveries: Sequence[Delivery]) -> None:
        self.processed.append(deliveries)


def test_facts_pass_once_the_directory_is_complete() -> None:
    reasons = ["not yet", "not yet", None, None]
    recorder = Recorder()
    batch = [delivery(submitted(REFERRAL))]
    entry = AfterDirectory(recorder, lambda: reasons.pop(0))
    entry.process(batch)
    assert recorder.processed == [batch]
    entry.process(batch)
    assert recorder.processed == [batch, batch]


def test_held_facts_go_back_to_their_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "HELD_SECONDS", 0.01)
    recorder = Recorder()
    with pytest.raises(Unavailable):
        AfterDirectory(recorder, lambda: "not yet").process([delivery(submitted(REFERRAL))])
    assert recorder.processed == []
