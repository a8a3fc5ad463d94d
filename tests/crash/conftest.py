from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.crashing import CrashHub, Listener
from tests.faults.tcp_proxy import TcpProxy


@pytest.fixture
def crash_hub(hub_vhost: str, tmp_path: Path) -> CrashHub:
    return CrashHub(hub_vhost, tmp_path)


@pytest.fixture
def proxy(hub_vhost: str) -> Iterator[TcpProxy]:
    """A proxy to the broker whose connections can be cut."""
    with TcpProxy(hub_vhost) as running:
        yield running


@pytest.fixture
def listener(crash_hub: CrashHub, tmp_path: Path) -> Iterator[Listener]:
    """Consumes every fact of the hub."""
    made = Listener(crash_hub.amqp_uri, tmp_path)
    yield made
    made.close()
