"""The open connections of one port: how many there may be, and which one is closed to make room.

An idle connection, or one whose head has not arrived, costs the hub a descriptor, and its owner nothing. So a
full port first closes the oldest of these. It chooses among the addresses that have one, and takes the
address with the most connections. A request in progress is never closed to make room. Newcomers of one
address close others at a bounded rate (`connection_queue.py`), so that a kept connection is not closed before
it is used again.
"""

from __future__ import annotations

import ipaddress
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from eventlet import greenio, wsgi

_MOST_PUBLIC: Final = 10_000  # the number of workers (`runtime/process.py`)
_RESERVED: Final = 512  # descriptors for the operations port, the database, the broker and files
_MOST_WAITING: Final = 1_000
_WAITING_OF_RESERVED: Final = 8  # at least an eighth of the reserved descriptors may wait
_IPV6_NETWORK: Final = 64  # bits: the smallest network that one customer gets


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionLimits:
    """total: open connections of the port; per_address: of one IPv4 address or one IPv6 /64 network.

    waiting: connections beyond these that wait for a place; half of them may be of one address.
    """

    total: int
    per_address: int
    waiting: int


OPERATIONS_LIMITS: Final = ConnectionLimits(total=64, per_address=32, waiting=8)


def open_file_limit() -> int:
    """Return the most file descriptors of the process."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_PUBLIC + _RESERVED if soft == resource.RLIM_INFINITY else soft


def public_limits(
    open_files: int, *, total: int | None = None, per_address: int | None = None
) -> ConnectionLimits:
    """Return the limits of a service's public port.

    open_files: the process's limit of file descriptors. Connections in use never take the last 512 of them
    (or half, if there are fewer than 1,024). Connections that wait get what the total leaves, at least an
    eighth of the reserved ones, and at most 1,000. total and per_address: the operator's own limits; by
    default one address gets half of the total.
    """
    most = max(open_files // 2, open_files - _RESERVED)
    total = min(most, _MOST_PUBLIC if total is None else total)
    return ConnectionLimits(
        total=total,
        per_address=min(total, per_address or max(1, total // 2)),
        waiting=min(_MOST_WAITING, max(most - total, (open_files - most) // _WAITING_OF_RESERVED)),
    )


class Connection:
    """One client connection.

    state: eventlet's `[address, socket, phase]`; origin: the address or network that it counts for. leave:
    closes it while it has no greenlet, None while it has one.
    """

    def __init__(self, state: list[Any]) -> None:
        self.state = state
        self.origin = origin_of(state[0])
        self.leave: Callable[[], None] | None = None

    @property
    def socket(self) -> Any:
        """Return the client's socket."""
        return self.state[1]

    @property
    def idle(self) -> bool:
        """Return whether no request is in progress, or only its head."""
        return bool(self.state[2] == wsgi.STATE_IDLE)

    def end(self) -> None:
        """Close now if idle, otherwise after the current response."""
        if self.leave is not None:
            self.leave()
            return
        idle = self.idle
        self.state[2] = wsgi.STATE_CLOSE
        if idle:
            greenio.shutdown_safe(self.state[1])

    def close(self) -> None:
        self.state[1].close()


class Connections:
    """The open connections of a port, in the order of their start."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._by_origin: dict[str, dict[Connection, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Connection]:
        for group in list(self._by_origin.values()):
            yield from list(group)

    def has_room(self, origin: str) -> bool:
        """Return whether a connection of the address has a place without another one being closed."""
        own = self._by_origin.get(origin, {})
        return len(own) < self._limits.per_address and self._count < self._limits.total

    def admit(self, connection: Connection) -> bool:
        """Add the connection, closing another one if necessary; return False if there is no room."""
        own = self._by_origin.get(connection.origin, {})
        full: list[dict[Connection, None]] = []
        if len(own) >= self._limits.per_address:
            full = [own]
        elif self._count >= self._limits.total:
            full = sorted(self._by_origin.values(), key=len, reverse=True)
        if full:
            oldest = next((other for group in full for other in group if other.idle), None)
            if oldest is None:
                return False
            oldest.end()
            self.discard(oldest)
        self._by_origin.setdefault(connection.origin, {})[connection] = None
        self._count += 1
        return True

    def discard(self, connection: Connection) -> None:
        """Remove the connection. Does nothing when it was removed before."""
        group = self._by_origin.get(connection.origin)
        if group is None or connection not in group:
            return
        del group[connection]
        self._count -= 1
        if not group:
            del self._by_origin[connection.origin]


def origin_of(address: Any) -> str:
    """Return what counts as one address: an IPv4 address, or the /64 network of an IPv6 address."""
    host = str(address[0]) if isinstance(address, tuple) else ""
    if ":" not in host:
        return host
    try:
        parsed = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, _IPV6_NETWORK), strict=False))
