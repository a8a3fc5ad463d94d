from typing import Any

import pytest

from kopuro_client import ClientError, DefectError, Discovery, InvalidArgumentError, Kopuro
from kopuro_client.discovery import read_discovery
from tests.unit.client.fake_hub import FakeHub, json_response

GOOD: dict[str, Any] = {
    "hub": "kg",
    "version": "1",
    "services": {"intake": "https://intake.example/", "directory": "https://directory.example"},
    "custody_key": {"kty": "OKP", "crv": "X25519", "x": "x", "kid": "k"},
}
HTTPS = "https://kopuro.example/.well-known/kopuro"


def read(**changes: object) -> Discovery:
    return read_discovery({**GOOD, **changes}, found_at=HTTPS)


def test_resource_url_escapes_each_part() -> None:
    assert read().address("intake", "v1", "referrals:batch") == "https://intake.example/v1/referrals:batch"
    assert read().address("intake", "v1", "a/../b?c#d") == "https://intake.example/v1/a%2F..%2Fb%3Fc%23d"


@pytest.mark.parametrize("part", ["", ".", ".."])
def test_identifier_that_would_leave_its_path_is_refused(part: str) -> None:
    with pytest.raises(InvalidArgumentError):
        read().address("intake", "v1", "referrals", part)


def test_unlisted_service_raises_defect_error() -> None:
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
def test_invalid_discovery_document_raises_defect_error(changes: dict[str, object]) -> None:
    with pytest.raises(DefectError):
        read(**changes)


def test_hub_is_discovered_from_its_base_url(hub: FakeHub) -> None:
    with Kopuro.discover(hub.base + "/", "id", "secret") as client:
        assert client.discovery.hub == "kg"
    with Kopuro.discover(hub.url, "id", "secret") as client:
        assert client.discovery.services["audit"] == f"{hub.base}/audit"


def test_discovery_sends_no_credentials(hub: FakeHub) -> None:
    with Kopuro.discover(hub.url, "id", "secret"):
        assert [request.path for request in hub.received] == ["/.well-known/kopuro"]


@pytest.mark.parametrize("body", [{}, [], "text", {"version": "1"}])
def test_discovery_response_without_json_object_raises_defect_error(hub: FakeHub, body: object) -> None:
    hub.script("GET", "/.well-known/kopuro", json_response(body))
    with pytest.raises(DefectError):
        Kopuro.discover(hub.url, "id", "secret")


@pytest.mark.parametrize("url", ["", "kopuro.example", "file:///etc/passwd", "http://[", "https://"])
def test_invalid_discovery_url_raises_client_error(url: str) -> None:
    with pytest.raises(ClientError):
        Kopuro.discover(url, "id", "secret")
