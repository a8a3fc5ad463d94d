"""The comparison of webhooks, from the times of sender and receiver."""

from __future__ import annotations

import pytest

from benchmarks.webhooks import Sent, _sent

SENDER = {"started": 100.0, "backlog": ["a", "b", "c", "d"], "cpu": 0.008}


def test_rate_lasts_from_the_first_message_to_the_last_arrival() -> None:
    arrived = {"a": 100.5, "c": 102.0, "b": 101.0, "d": 101.5, "challenge": 90.0}
    assert _sent(SENDER, arrived) == Sent(rate=2.0, cpu_ms=2.0)


def test_webhook_that_did_not_arrive_ends_the_comparison() -> None:
    with pytest.raises(AssertionError, match="2 of 4"):
        _sent(SENDER, {"a": 100.5, "c": 102.0})
