"""Ports on which a server can restart."""

import socket
from pathlib import Path

import pytest

from admin.embedded_broker import LOOPBACK
from sandbox import ports
from sandbox.ports import KeptPorts, free_ports, is_free, settled_ports


def test_ports_are_different_and_free() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(is_free(port) for port in ports)


def test_ports_are_never_those_the_kernel_gives_to_clients() -> None:
    first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
    if int(first) > 20000:
        assert not [port for port in free_ports(50) if int(first) <= port <= int(last)]


def test_port_with_listener_is_not_free() -> None:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()
        assert not is_free(listener.getsockname()[1])


def test_settled_port_that_is_free_is_kept() -> None:
    known = free_ports(3)
    assert settled_ports(known) == known


def test_settled_ports_replace_a_port_that_a_listener_took() -> None:
    kept, other = free_ports(2)
    with socket.socket() as listener:
        listener.bind((LOOPBACK, other))
        listener.listen()
        first, second = settled_ports([kept, other])
    assert first == kept
    assert second not in {kept, other}


@pytest.fixture
def three_ports(monkeypatch: pytest.MonkeyPatch) -> range:
    """A machine with three ports in all, where a repeated choice is the rule."""
    low = 20000
    monkeypatch.setattr(ports, "_FIRST", low)
    monkeypatch.setattr(ports, "_ephemeral_start", lambda: low + 3)
    return range(low, low + 3)


def test_settled_ports_of_servers_that_have_not_started_differ(three_ports: range) -> None:
    reserved, known, other = three_ports
    for _ in range(20):
        assert settled_ports([known, None], reserved={reserved}) == [known, other]
        assert settled_ports([known, known], reserved={reserved}) == [known, other]
        assert settled_ports([reserved, known], reserved={reserved}) == [other, known]


def test_kept_port_is_not_chosen_and_a_server_can_listen_on_it() -> None:
    kept = KeptPorts()
    (port,) = free_ports(1)
    kept.keep(port)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((LOOPBACK, port))
    with socket.create_server((LOOPBACK, port)) as server:
        assert server.getsockname()[1] == port
        kept.keep(port)  # has no effect, and does no harm
    del kept
    with socket.socket() as other:
        other.bind((LOOPBACK, port))


def test_known_port_that_another_hub_keeps_is_replaced_until_it_is_released() -> None:
    of_another = KeptPorts()
    (port,) = free_ports(1)
    of_another.keep(port)
    assert settled_ports([port]) != [port]
    of_another.release()
    assert settled_ports([port]) == [port]
