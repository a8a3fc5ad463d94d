"""The addresses that the hub may send webhooks to: public ones, and those that its operator permits.

A webhook lets a partner choose where the hub connects. An address inside the hub's own network, or one that
a cloud's metadata service answers, must not be among them (server-side request forgery). The check is of the
address that the socket connects to, after the name was resolved.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from typing import Final, TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network
# An address, as the resolver writes it, and a port.
Place: TypeAlias = tuple[str, int]

# Source: IANA IPv4 Special-Purpose Address Registry.
_NOT_PUBLIC_V4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; one cloud's metadata service
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's metadata service on a public address
        "169.254.0.0/16",  # link-local; most clouds' metadata services
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
# Only global unicast is routed. Everything that carries an IPv4 address lies outside it (mapped, compatible,
# NAT64) or is listed below (Teredo, 6to4).
_PUBLIC_V6: Final = IPv6Network("2000::/3")
# Source: IANA IPv6 Special-Purpose Address Registry.
_NOT_PUBLIC_V6: Final = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, with Teredo and ORCHID
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)


def may_connect(address: str, permitted: Sequence[Network] = ()) -> bool:
    """Return whether the hub may connect to an address, in the form that the resolver returned.

    permitted: networks that are not public and that the hub's operator permits. A text that is not an
    address, or one with a scope, is refused.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if "%" in address:
        return False
    return is_permitted(address, permitted) or (
        not any(found in network for network in _NOT_PUBLIC_V4)
        if isinstance(found, IPv4Address)
        else found in _PUBLIC_V6 and not any(found in network for network in _NOT_PUBLIC_V6)
    )


def address_refusal(
    address: str, port: int, *, has_tls: bool, permitted: Sequence[Network], own: Collection[Place]
) -> str | None:
    """Return why the hub sends nothing to an address, in a sentence that does not repeat it; None if it does.

    own: the addresses and ports of the hub itself. The same decision is made of an address in a URL that is
    registered, and of each address that a name resolves to when the hub connects.
    """
    if not may_connect(address, permitted):
        return "Must not name an address of a private, local or reserved network."
    if (address, port) in own:
        return "Must not name an address and port of the hub itself."
    if not has_tls and not is_permitted(address, permitted):
        return "Must begin with `https://`: the hub sends to this address with TLS only."
    return None


def is_permitted(address: str, permitted: Sequence[Network]) -> bool:
    """Return whether the address lies in one of the operator's networks."""
    return any(ip_address(address) in network for network in permitted)
