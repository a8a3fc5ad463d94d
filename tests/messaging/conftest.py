"""A broker of one's own, and a way to it that can be cut."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from sandbox.broker import PrivateBroker
from tests.messaging.tcp_proxy import TcpProxy


@pytest.fixture(scope="session")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    """A node that these tests may stop and kill. Every test leaves it running."""
    with PrivateBroker(tmp_path_factory.mktemp("own-broker")) as running:
        yield running


@pytest.fixture
def proxy(vhost: str) -> Iterator[TcpProxy]:
    parts = urlsplit(vhost)
    assert parts.hostname is not None
    assert parts.port is not None
    with TcpProxy((parts.hostname, parts.port)) as running:
        yield running


@pytest.fixture
def proxied(vhost: str, proxy: TcpProxy) -> str:
    """The URI of `vhost` by way of the proxy."""
    parts = urlsplit(vhost)
    return parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}").geturl()
