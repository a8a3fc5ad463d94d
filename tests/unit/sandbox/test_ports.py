"""Ports on which a server can restart."""

import socket
from pathlib import Path

from admin.embedded_broker import LOOPBACK
from sandbox.ports import free_ports, is_free


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
