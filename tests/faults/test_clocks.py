"""A service whose clock is ahead is named by those that consume its events."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import httpx
import pytest

from tests.crash.crashing import figure, until
from tests.faults.scene import Scene

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


def clocks_warning(scene: Scene) -> str | None:
    answer = httpx.get(scene.intake.operations_url + "/readyz")
    assert answer.status_code == 200
    warning: str | None = answer.json()["warnings"]["clocks"]
    return warning


def test_clock_that_is_ahead_is_a_warning_and_a_figure(vhost: str, tmp_path: Path) -> None:
    scene = Scene(vhost, tmp_path, program="runtime")
    with scene.intake:
        scene.intake.until_ready()
        scene.tell_an_offer(at=dt.datetime.now(dt.UTC) - dt.timedelta(hours=1))
        until(lambda: scene.offers_consumed() == 1, "the offer of an hour ago")
        assert clocks_warning(scene) is None
        scene.tell_an_offer(at=dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
        until(lambda: scene.offers_consumed() == 2, "the offer of a time to come")
        warning = clocks_warning(scene)
        assert warning is not None
        assert warning.startswith("the clock of /")
        assert warning.endswith(" s ahead of ours")
        assert 3500 < figure(scene.intake, "kopuro_clock_ahead_seconds") <= 3600
