"""Limits of connections, and which connection makes room."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from eventlet import wsgi

from runtime.web.connections import Connection, ConnectionLimits, Connections, origin_of, public_limits
from runtime.web.protocol import CONNECTION, may_make_room


class Socket:
    """Stands for a client's socket; records whether it was shut down."""

    def __init__(self) -> None:
        self.shut = False

    def shutdown(self, _how: int) -> None:
        self.shut = True


def connection(host: str, *, busy: bool = False) -> Connection:
    return Connection([(host, 1), Socket(), wsgi.STATE_REQUEST if busy else wsgi.STATE_IDLE])


def is_shut(one: Connection) -> bool:
    client: Any = one.state[1]
    return bool(client.shut)


def test_oldest_idle_connection_of_fullest_address_makes_room() -> None:
    table = Connections(ConnectionLimits(total=4, per_address=3, waiting=2))
    busy = connection("a", busy=True)
    older, newer, other = connection("a"), connection("a"), connection("b")
    assert all(table.admit(one) for one in (other, busy, older, newer))
    assert table.admit(connection("c"))
    assert [is_shut(one) for one in (other, busy, older, newer)] == [False, False, True, False]
    assert len(table) == 4


def test_other_address_makes_room_when_fullest_is_busy() -> None:
    table = Connections(ConnectionLimits(total=3, per_address=2, waiting=2))
    idle = connection("b")
    assert all(table.admit(one) for one in (connection("a", busy=True), connection("a", busy=True), idle))
    assert table.admit(connection("c"))
    assert is_shut(idle)


def test_newcomer_of_a_full_address_or_of_a_full_port_finds_no_room() -> None:
    """Otherwise it would close another connection at once, at no bounded rate."""
    table = Connections(ConnectionLimits(total=3, per_address=2, waiting=2))
    assert table.has_room("a")
    table.admit(connection("a"))
    table.admit(connection("a"))
    assert (table.has_room("a"), table.has_room("b")) == (False, True)
    table.admit(connection("b"))
    assert not table.has_room("b")


def test_full_address_is_refused_while_all_its_connections_are_busy() -> None:
    table = Connections(ConnectionLimits(total=9, per_address=2, waiting=2))
    first = connection("a", busy=True)
    assert table.admit(first)
    assert table.admit(connection("a", busy=True))
    assert not table.admit(connection("a"))
    assert table.admit(connection("b"))
    table.discard(first)
    table.discard(first)
    assert table.admit(connection("a"))
    assert len(table) == len(list(table)) == 3


@pytest.mark.parametrize(
    ("files", "total", "per_address", "expected"),
    [
        (20_000, None, None, (10_000, 5_000)),
        (1_024, None, None, (512, 256)),
        (256, None, None, (128, 64)),
        (20_000, 300, None, (300, 150)),
        (20_000, None, 9_000, (10_000, 9_000)),
        (1_024, 9_000, 9_000, (512, 512)),
    ],
)
def test_public_limits_leave_descriptors_to_the_rest_of_the_process(
    files: int, total: int | None, per_address: int | None, expected: tuple[int, int]
) -> None:
    limits = public_limits(files, total=total, per_address=per_address)
    assert (limits.total, limits.per_address) == expected


def test_ipv6_network_counts_as_one_address() -> None:
    assert origin_of(("2001:db8::1", 1, 0, 0)) == origin_of(("2001:db8::ffff:1", 2, 0, 0))
    assert origin_of(("2001:db8::1", 1, 0, 0)) != origin_of(("2001:db8:0:1::1", 1, 0, 0))
    assert origin_of(("::ffff:192.0.2.1", 1, 0, 0)) == origin_of(("192.0.2.1", 1)) == "192.0.2.1"
    assert origin_of(("fe80::1%eth0", 1, 0, 2)) == "fe80::/64"


def test_connection_of_a_held_refusal_makes_room_and_one_of_a_request_does_not() -> None:
    table = Connections(ConnectionLimits(total=9, per_address=1, waiting=2))
    held = connection("a", busy=True)
    environ = {CONNECTION: SimpleNamespace(conn_state=held.state)}
    assert table.admit(held)
    with may_make_room(environ):
        pass
    assert not table.admit(connection("a"))
    with may_make_room(environ):
        assert table.admit(connection("a"))
    assert is_shut(held)
    assert held.state[2] == wsgi.STATE_CLOSE
