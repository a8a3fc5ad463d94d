"""Free TCP ports on loopback, for servers that must restart on the same port."""

import contextlib
import secrets
import socket
import weakref
from collections.abc import Collection, Sequence
from pathlib import Path

from admin.embedded_broker import LOOPBACK

# The kernel's usual lower bound for the ports it gives to outgoing connections.
_USUAL_EPHEMERAL_START = 32768
_FIRST = 15000


def free_ports(count: int, *, besides: Collection[int] = ()) -> list[int]:
    """Return `count` different unused ports below the kernel's ephemeral range, none of them in `besides`.

    A client that keeps trying a closed port *inside* the ephemeral range can get that port as its own
    source port and connect to itself. The server could then never listen on it again. The kernel does
    not give ports below the range to clients.

    Raises OSError when no free port is found.
    """
    found: list[socket.socket] = []
    try:
        for _ in range(count):
            found.append(_bound_socket(besides))
        return [int(held.getsockname()[1]) for held in found]
    finally:
        for held in found:
            held.close()


def settled_ports(known: Sequence[int | None], *, reserved: Collection[int] = ()) -> list[int]:
    """Return each known port that is still unused, and another one for each that is taken or None.

    All are different from one another and from `reserved`: ports of servers that have not started yet, which
    look unused. Raises OSError when no free port is found.
    """
    kept: list[int | None] = []
    for port in known:
        usable = port is not None and port not in reserved and port not in kept and is_free(port)
        kept.append(port if usable else None)
    besides = {*reserved, *(port for port in kept if port is not None)}
    others = iter(free_ports(kept.count(None), besides=besides))
    return [next(others) if port is None else port for port in kept]


class KeptPorts:
    """Ports that no other process chooses for as long as this object lives, even while no server listens."""

    def __init__(self) -> None:
        self._places: list[socket.socket] = []
        weakref.finalize(self, _close, self._places)

    def keep(self, port: int) -> None:
        """Keep a port. A server with SO_REUSEADDR can listen on it, because the socket here is only bound.

        Does nothing if a server listens already.
        """
        place = socket.socket()
        self._places.append(place)
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            place.bind((LOOPBACK, port))
        mark = socket.socket(socket.AF_UNIX)
        self._places.append(mark)
        with contextlib.suppress(OSError):
            mark.bind(_mark(port))

    def release(self) -> None:
        """Let others choose the ports."""
        _close(self._places)


def is_free(port: int) -> bool:
    """Return whether a server could listen on `port` of loopback now, and nobody keeps it."""
    with socket.socket() as candidate, socket.socket(socket.AF_UNIX) as mark:
        # Servers set this option, so a port with old connections in TIME_WAIT counts as free. The mark
        # excludes a port that another process keeps without listening yet.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((LOOPBACK, port))
            mark.bind(_mark(port))
        except OSError:
            return False
        return True


def _mark(port: int) -> bytes:
    """Return the abstract name of the socket that marks a kept port. Source: unix(7)."""
    return b"\0kopuro-port-%d" % port


def _close(places: list[socket.socket]) -> None:
    while places:
        places.pop().close()


def _bound_socket(besides: Collection[int]) -> socket.socket:
    end = _ephemeral_start()
    for _ in range(200):
        port = _FIRST + secrets.randbelow(end - _FIRST)
        if port in besides:
            continue
        candidate = socket.socket()
        try:
            candidate.bind((LOOPBACK, port))
        except OSError:
            candidate.close()
            continue
        return candidate
    raise OSError(f"no free port on {LOOPBACK} between {_FIRST} and {end}")


def _ephemeral_start() -> int:
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
        start = int(text.split()[0])
    except (OSError, ValueError, IndexError):
        return _USUAL_EPHEMERAL_START
    # A very wide configured range leaves no room below it: use the default then.
    return start if start > _FIRST + 1000 else _USUAL_EPHEMERAL_START
