from __future__ import annotations

from ipaddress import ip_network

import pytest
from AntiSSRF import IPAddressRanges
from hypothesis import given
from hypothesis import strategies as st

from services.delivery.webhooks.domain.addresses import may_connect

# Every one of these is inside some hub's own network, leads to a metadata service, or is routed nowhere.
REFUSED = (
    "0.0.0.0",
    "0.0.0.1",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.0.0.53",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::2",
    "::7f00:1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:808:808::1",
    "2620:4f:8000::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fdff:ffff::1",
    "fe80::1",
    "fe80::1%eth0",
    "2a00:1450::1%eth0",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    # no canonical addresses: a resolver never returns them
    "0177.0.0.1",
    "0x7f.0.0.1",
    "2130706433",
    "127.1",
    "",
    "localhost",
)
PERMITTED = ("1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.0.1.1")
PERMITTED_V6 = ("2001:200::1", "2606:4700:4700::1111", "2a00:1450:4001::1", "2400:cb00::1")


@pytest.mark.parametrize("address", REFUSED)
def test_address_that_is_not_public_is_refused(address: str) -> None:
    assert not may_connect(address)


@pytest.mark.parametrize("address", [*PERMITTED, *PERMITTED_V6])
def test_public_address_is_permitted(address: str) -> None:
    assert may_connect(address)


def test_operator_permits_only_its_own_networks() -> None:
    permitted = (ip_network("127.0.0.1/32"), ip_network("fd00::/8"))
    assert may_connect("127.0.0.1", permitted)
    assert may_connect("fd12::1", permitted)
    assert not may_connect("127.0.0.2", permitted)
    assert not may_connect("::ffff:127.0.0.1", permitted)
    assert not may_connect("10.0.0.1", permitted)


@given(st.sampled_from(IPAddressRanges.recommended_latest), st.integers(0, 2**128))
def test_address_of_every_network_in_a_second_list_is_refused(network: str, offset: int) -> None:
    denied = ip_network(network)
    for address in (denied[0], denied[-1], denied[offset % denied.num_addresses]):
        assert not may_connect(str(address))
        if address.version == 4:
            assert not may_connect(f"::ffff:{address}")


def test_at_least_sixty_addresses_are_tried() -> None:
    assert len(set(REFUSED)) >= 60
