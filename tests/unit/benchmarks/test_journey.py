"""The benchmark driver closes every loop of a real hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.journey import close_loops
from benchmarks.kopuro_hub import KopuroHub


@pytest.mark.long_run  # tests/unit/benchmarks/test_history.py closes a few loops twice
def test_twenty_referrals_are_all_closed(tmp_path: Path, vhost: str) -> None:
    hub = KopuroHub(tmp_path / "hub", vhost)
    hub.start()
    try:
        assert close_loops(hub, 20) == 20
        # Nothing is left over that a second driver would mistake for its own.
        assert close_loops(hub, 20) == 20
    finally:
        hub.stop()
