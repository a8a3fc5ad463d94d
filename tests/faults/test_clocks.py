"""A service whose clock is ahead is named by those that consume its events."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import httpx
import pytest

from tests.crash.crashing import figure, until
from tests.faults.intake_harness import IntakeHarness

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


def clocks_warning(harness: IntakeHarness) -> str | None:
    answer = httpx.get(harness.intake.operations_url + "/readyz")
    assert answer.status_code == 200
    warning: str = answer.json()["warnings"]["clocks"]
    return None if warning == "ok" else warning


def test_clock_ahead_raises_warning_and_metric(hub_vhost: str, tmp_path: Path) -> None:
    harness = IntakeHarness(hub_vhost, tmp_path, altered_by=None)
    with harness.intake:
        harness.intake.until_ready()
        harness.publish_offer(at=dt.datetime.now(dt.UTC) - dt.timedelta(hours=1))
        until(lambda: harness.offers_consumed() == 1, "the offer of an hour ago")
        assert clocks_warning(harness) is None
        # From 300 s on it would be a dead letter.
        harness.publish_offer(at=dt.datetime.now(dt.UTC) + dt.timedelta(seconds=200))
        until(lambda: harness.offers_consumed() == 2, "the offer of a time to come")
        warning = clocks_warning(harness)
        assert warning is not None
        assert warning.startswith("the clock of /")
        assert warning.endswith(" s ahead of ours")
        assert 100 < figure(harness.intake, "kopuro_clock_ahead_seconds") <= 200
