"""Network faults of a connection, by name."""

from __future__ import annotations

from collections.abc import Callable

from tests.faults.tcp_proxy import TcpProxy


def _slow_down(proxy: TcpProxy) -> None:
    proxy.delay = 0.4


def _hold_closes_back(proxy: TcpProxy) -> None:
    proxy.lingering.set()
    proxy.hang_up()


FAULTS: dict[str, Callable[[TcpProxy], None]] = {
    "delay": _slow_down,
    "drop": lambda proxy: proxy.swallow.set(),
    "half-open": TcpProxy.forget_all,
    "reset": TcpProxy.reset_all,
    "slow close": _hold_closes_back,
    "partition": lambda proxy: proxy.frozen.set(),
}
