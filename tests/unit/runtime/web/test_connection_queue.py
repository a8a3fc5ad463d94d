"""Connections that wait for a place."""

from __future__ import annotations

import pytest
from eventlet import wsgi

from runtime.web.connection_queue import ConnectionQueue
from runtime.web.connections import Connection


class FakeClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def connection(host: str) -> Connection:
    return Connection([(host, 1), None, wsgi.STATE_IDLE])


def test_newcomers_of_an_address_replace_others_at_a_bounded_rate() -> None:
    clock = FakeClock()
    queue = ConnectionQueue(8, clock)
    assert sum(queue.may_replace("192.0.2.1") for _ in range(1_000)) == 50
    clock.now += 1
    assert sum(queue.may_replace("192.0.2.1") for _ in range(1_000)) == 50
    assert queue.may_replace("198.51.100.1")


def test_connections_of_an_address_leave_in_the_order_of_their_arrival() -> None:
    queue = ConnectionQueue(8)
    mine, other = [connection("192.0.2.1") for _ in range(3)], connection("198.51.100.1")
    assert all(queue.add(one) for one in (*mine, other))
    for expected in mine:
        assert queue.first_of_each()[0] is expected
        assert other in queue.first_of_each()
        queue.remove_first("192.0.2.1")
    assert not queue.has("192.0.2.1")
    assert list(queue) == [other]
    assert len(queue) == 1


def test_one_address_takes_half_of_the_places_to_wait() -> None:
    queue = ConnectionQueue(8)
    assert [queue.add(connection("192.0.2.1")) for _ in range(6)] == [True] * 4 + [False] * 2
    assert [queue.add(connection(f"198.51.100.{n}")) for n in range(6)] == [True] * 4 + [False] * 2
    assert len(queue) == 8


@pytest.mark.parametrize("most", [1, 2])
def test_small_queue_takes_one_connection_of_an_address(most: int) -> None:
    queue = ConnectionQueue(most)
    assert queue.add(connection("192.0.2.1"))
    assert not queue.add(connection("192.0.2.1"))
