"""The series of a consumer exist before its first message."""

from __future__ import annotations

import re

from prometheus_client import CollectorRegistry

from runtime.messaging.metrics import CHECKS, RESULTS, MessagingMetrics
from tests.unit.docs.pages import ROOT


def test_first_dead_letter_is_an_increase() -> None:
    registry = CollectorRegistry()
    metrics = MessagingMetrics(registry)
    metrics.add_consumer("vault.events", lambda: 3.5)
    for result in RESULTS:
        labels = {"consumer": "vault.events", "result": result}
        assert registry.get_sample_value("kopuro_messages_consumed_total", labels) == 0
    for check in CHECKS:
        labels = {"consumer": "vault.events", "check": check}
        assert registry.get_sample_value("kopuro_messages_not_authentic_total", labels) == 0
    consumer = {"consumer": "vault.events"}
    assert registry.get_sample_value("kopuro_messages_parked", consumer) == 0
    assert registry.get_sample_value("kopuro_consumer_oldest_seconds", consumer) == 3.5


def test_every_result_and_check_of_the_code_is_known() -> None:
    folder = ROOT / "runtime" / "messaging"
    batches = (folder / "batches.py").read_text(encoding="utf-8")
    verifier = (folder / "signatures" / "verifier.py").read_text(encoding="utf-8")
    assert set(re.findall(r'consumed\.labels\(self\.consumer, "(\w+)"\)', batches)) == set(RESULTS)
    named = re.findall(r'NotAuthentic\("(\w+)"', verifier)
    named += re.findall(r'not_authentic\.labels\(self\.consumer, "(\w+)"\)', batches)
    assert set(named) == set(CHECKS)
