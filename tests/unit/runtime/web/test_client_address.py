"""The client's address behind proxies, and without them."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from runtime.web.client_address import client_address
from runtime.web.connections import origin_of

PROXY, CLIENT, SPOOFED = "10.0.0.1", "192.0.2.7", "198.51.100.1"
PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        (PROXY, CLIENT, CLIENT),
        (PROXY, f"\t{CLIENT} ", CLIENT),
        (PROXY, "2001:db8::1", "2001:db8::1"),
        ("fd00::1", CLIENT, CLIENT),
        ("::ffff:10.0.0.1", CLIENT, CLIENT),
        (PROXY, "::ffff:192.0.2.7", CLIENT),
        # Several proxies, one of each family.
        (PROXY, f"{CLIENT}, fd00::2,10.9.9.9", CLIENT),
        # Addresses that the client sent itself come before the address that the first proxy saw.
        (PROXY, f"{SPOOFED}, {CLIENT}", CLIENT),
        (PROXY, f"garbage, {CLIENT}, 10.0.0.2", CLIENT),
        (PROXY, f"10.0.0.3, {CLIENT}", CLIENT),
        # The client is in a network of the proxies itself.
        (PROXY, "10.7.7.7", "10.7.7.7"),
        (PROXY, "10.7.7.7, 10.0.0.2", "10.7.7.7"),
    ],
)
def test_client_is_the_last_entry_that_is_not_a_proxy(peer: str, forwarded: str, expected: str) -> None:
    assert client_address(peer, forwarded, PROXIES) == expected


@pytest.mark.parametrize("peer", [CLIENT, "2001:db8::1", "::ffff:192.0.2.7", "not an address", ""])
def test_peer_that_is_not_a_proxy_names_nobody(peer: str) -> None:
    assert client_address(peer, SPOOFED, PROXIES) == peer
    assert client_address(peer, "10.0.0.1", PROXIES) == peer
    assert client_address(PROXY, SPOOFED, ()) == PROXY


@pytest.mark.parametrize(
    "forwarded",
    [
        *(None, "", ",", "unknown", "192.0.2.7:4711", "[2001:db8::1]", "192.0.2", "192.0.2.07", "1", "\x00"),
        *("192.0.2.7,", f"{CLIENT} 10.0.0.2", "garbage, 10.0.0.2", "192.0.2.0/24", "for=192.0.2.7", "\xb2"),
        ",".join(["10.0.0.2"] * 17),
        "," * 8000,
    ],
)
def test_malformed_header_names_nobody(forwarded: str | None) -> None:
    assert client_address(PROXY, forwarded, PROXIES) == PROXY


def test_client_behind_the_most_proxies_that_are_read_is_named() -> None:
    assert client_address(PROXY, ",".join([CLIENT, *["10.0.0.2"] * 15]), PROXIES) == CLIENT
    assert client_address(PROXY, ",".join([SPOOFED, CLIENT, *["10.0.0.2"] * 15]), PROXIES) == CLIENT
    assert client_address(PROXY, ",".join([CLIENT, *["10.0.0.2"] * 16]), PROXIES) == PROXY


def test_clients_of_one_ipv6_network_count_as_one_behind_a_proxy() -> None:
    first, second, other = (
        origin_of((client_address(PROXY, forwarded, PROXIES), 0))
        for forwarded in ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1")
    )
    assert first == second != other
    assert origin_of((client_address("fd00::1", "fe80::1%eth0", PROXIES), 0)) == "fe80::/64"
