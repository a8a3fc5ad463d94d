"""Fixtures: a fake hub, and a client of it with a fake clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kopuro_client import Kopuro, RetryPolicy, Transport
from tests.unit.client.fake_hub import FakeHub


class FakeClock:
    """A fake clock that advances on sleep, or when a test advances it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove proxies and identities from the environment."""
    for name in ("DISCOVERY_URL", "CLIENT_ID", "CLIENT_SECRET", "SEALING_KEY", "AS", "CREDENTIALS"):
        monkeypatch.delenv(f"KOPURO_{name}", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    running = FakeHub()
    yield running
    running.stop()


@pytest.fixture
def fake_clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def client(hub: FakeHub, fake_clock: FakeClock) -> Iterator[Kopuro]:
    """Three attempts, half a second and one second apart, within ten seconds."""
    transport = Transport(
        retry=RetryPolicy(attempts=3, first_delay=0.5, patience=10.0),
        answer_limit=5.0,
        sleep=fake_clock.sleep,
        clock=fake_clock.clock,
    )
    with Kopuro.discover(hub.url, "kg.osh-legal-aid", "a secret", transport=transport) as connected:
        yield connected
