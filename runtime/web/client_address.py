"""The address of the client that a request came from, where proxies are in front of the hub.

`X-Forwarded-For` is text that anybody can send. It is read only from a peer in the operator's own networks of
proxies, and from its end: each proxy adds the address of its peer there. The last entry that is not a
proxy's is the client; the client may have made up the entries before it.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Network = IPv4Network | IPv6Network

_MOST_HOPS: Final = 16  # entries that are read


def client_address(peer: str, forwarded: str | None, proxies: Collection[Network]) -> str:
    """Return the client's address: the peer's, unless the peer is a proxy that names another one.

    forwarded: the value of `X-Forwarded-For`, None without the header. proxies: the networks of the proxies.
    The client is the last entry that is not in them, or the first one if all are. The peer's address is
    returned if an entry up to there is no IP address, or if there are more than 16.
    """
    if forwarded is None:
        return peer
    address = _parsed(peer)
    if address is None or not _is_in(address, proxies):
        return peer
    entries = forwarded.rsplit(",", _MOST_HOPS)
    if len(entries) > _MOST_HOPS:
        entries[0] = ""  # the rest, which is not read
    for entry in reversed(entries):
        address = _parsed(entry.strip(" \t"))
        if address is None:
            return peer
        if not _is_in(address, proxies):
            break
    return str(address)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _is_in(address: IPv4Address | IPv6Address, networks: Collection[Network]) -> bool:
    return any(address in network for network in networks)
