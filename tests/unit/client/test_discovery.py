from typing import Any

import pytest

from kopuro_client import ClientError, DefectError, Discovery, InvalidArgumentError, Kopuro
from kopuro_client.discovery import read_discovery
from tests.unit.client.fake_hub import FakeHub, answer

GOOD: dict[str, Any] = {
    "hub": "kg",
    "version": "1",
    "services": {"intake": "https://intake.example/", "directory": "https://directory.example"},
    "custody_key": {"kty": "OKP", "crv": "X25519", "x": "x", "kid": "k"},
}
HTTPS = "https://kopuro.example/.well-known/kopuro"


def read(**changes: object) -> Discovery:
    return read_discovery({**GOOD, **changes}, found_at=HTTPS)


def test_an_address_is_escaped_part_by_part() -> None:
    assert read().address("intake", "v1", "referrals:batch") == "https://intake.example/v1/referrals:batch"
    assert read().address("intake", "v1", "a/../b?c#d") == "https://intake.example/v1/a%2F..%2Fb%3Fc%23d"


@pytest.mark.parametrize("part", ["", ".", ".."])
def test_an_identifier_cannot_step_out_of_its_path(part: str) -> None:
    with pytest.raises(InvalidArgumentError):
        read().address("intake", "v1", "referrals", part)


def test_a_service_that_is_not_listed_is_a_defect() -> None:
    with pytest.raises(DefectError, match="audit"):
        read().address("audit", "checkpoint")


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "2"},
        {"services": None},
        {"services": {"intake": 7}},
        {"custody_key": None},
        {"services": {"intake": "http://intake.example"}},  # from https to plain http
    ],
)
def test_a_document_that_cannot_be_followed_is_a_defect(changes: dict[str, object]) -> None:
    with pytest.raises(DefectError):
        read(**changes)


def test_the_hub_is_found_from_its_base_address_too(hub: FakeHub) -> None:
    with Kopuro.discover(hub.base + "/", "id", "secret") as client:
        assert client.discovery.hub == "kg"
    with Kopuro.discover(hub.url, "id", "secret") as client:
        assert client.discovery.services["audit"] == f"{hub.base}/audit"


def test_no_credentials_are_needed_until_they_are(hub: FakeHub) -> None:
    with Kopuro.discover(hub.url, "id", "secret"):
        assert [request.path for request in hub.received] == ["/.well-known/kopuro"]


@pytest.mark.parametrize("body", [{}, [], "text", {"version": "1"}])
def test_rubbish_is_a_defect(hub: FakeHub, body: object) -> None:
    hub.script("GET", "/.well-known/kopuro", answer(body))
    with pytest.raises(DefectError):
        Kopuro.discover(hub.url, "id", "secret")


@pytest.mark.parametrize("url", ["", "kopuro.example", "file:///etc/passwd", "http://[", "https://"])
def test_what_is_no_address_raises_our_error(url: str) -> None:
    with pytest.raises(ClientError):
        Kopuro.discover(url, "id", "secret")
