"""A caller that sends its body slowly still has a request in progress when its client is revoked.

A request of 1 MiB may take a minute and a half to arrive, a batch nine minutes.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPResponse
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest

from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until
from tests.support.partners import ask_for_token
from tests.threats.operator import changed_record
from tests.threats.readmission import SECONDS, readmitted_after

HOOK: Final = "https://slow.example.org/hook"
# Longer than a request counts as just admitted.
SLOW_SECONDS: Final = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class SlowRequest:
    """A request whose last byte has not been sent."""

    connection: socket.socket
    last: bytes
    began: float

    def finish(self) -> tuple[int, str]:
        """Send the last byte; return the status and the kind of problem."""
        until(lambda: time.monotonic() > self.began + SLOW_SECONDS, "a request that is slow")
        self.connection.sendall(self.last)
        response = HTTPResponse(self.connection)
        response.begin()
        problem: dict[str, Any] = json.loads(response.read() or b"{}")
        return response.status, str(problem.get("type", "")).rpartition(":")[2]


@contextmanager
def slow_request(
    hub: RunningHub, service: str, method: str, path: str, body: object, headers: Mapping[str, str]
) -> Iterator[SlowRequest]:
    """Send a request but for its last byte, and wait until the service reads its body."""
    address = urlsplit(hub.address(service))
    content = json.dumps(body).encode()
    sent = {"Host": address.netloc, "Content-Type": "application/json", **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    start = f"{method} {path} HTTP/1.1\r\n{head}Content-Length: {len(content)}\r\n\r\n".encode()
    before = in_progress(hub, service)
    with closing(socket.create_connection((address.hostname or "", address.port or 0), timeout=20)) as opened:
        began = time.monotonic()
        opened.sendall(start + content[:-1])
        until(lambda: in_progress(hub, service) > before, "the request in progress")
        yield SlowRequest(connection=opened, last=content[-1:], began=began)


def in_progress(hub: RunningHub, service: str) -> float:
    metrics = hub.operations(service, "/metrics").text
    return sum(
        float(line.rpartition(" ")[2])
        for line in metrics.splitlines()
        if line.startswith("kopuro_http_requests_in_flight ")
    )


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def is_refused(address: str, headers: Mapping[str, str], status: int) -> bool:
    return httpx.get(address, headers=headers).status_code == status


def record(hub: RunningHub, organization: str) -> httpx.Response:
    url = f"{hub.address('directory')}/v1/organizations/{organization}"
    return httpx.get(url, headers=bearer(hub.token(organization))).raise_for_status()


def webhooks(hub: RunningHub, organization: str) -> list[str]:
    url = f"{hub.address('delivery')}/v1/webhooks"
    found = httpx.get(url, headers=bearer(hub.token(organization))).raise_for_status().json()
    return [one["url"] for one in found["items"]]


def test_slow_request_of_a_client_that_is_revoked_meanwhile_changes_nothing(hub: RunningHub) -> None:
    sender, referral_id = hub.submit("wage-claim-osh-moscow")
    owner, offer_id = hub.next_offer(sender, referral_id)
    credentials = f"{hub.address('directory')}/v1/credentials"
    operator = bearer(hub.token("operator"))
    wanted = {"client_id": f"{owner.id}.slow", "principal": owner.id, "roles": ["partner"]}
    issued = httpx.post(credentials, json=wanted, headers=operator).raise_for_status().json()
    pair = (issued["client_id"], issued["client_secret"])
    stolen = bearer(ask_for_token(hub.address("directory"), *pair).raise_for_status().json()["access_token"])
    before = record(hub, owner.id)
    merge = {"Content-Type": "application/merge-patch+json", "If-Match": before.headers["etag"]}
    requests: tuple[tuple[str, str, str, object, dict[str, str]], ...] = (
        ("delivery", "POST", "/v1/webhooks", {"url": HOOK}, {}),
        ("intake", "POST", f"/v1/offers/{offer_id}/accept", {}, {}),
        ("directory", "PATCH", f"/v1/organizations/{owner.id}", {"description": "A thief's"}, merge),
    )
    with ExitStack() as open_requests:
        slow = {
            service: open_requests.enter_context(
                slow_request(hub, service, method, path, body, {**stolen, **headers})
            )
            for service, method, path, body, headers in requests
        }
        httpx.delete(f"{credentials}/{pair[0]}", headers=operator).raise_for_status()
        own = {
            "delivery": "/v1/webhooks",
            "intake": "/v1/referrals",
            "directory": f"/v1/organizations/{owner.id}",
        }
        for address in (hub.address(service) + path for service, path in own.items()):
            until(partial(is_refused, address, stolen, 401), f"the refusal by {address}", within=SECONDS)
        answers = {service: one.finish() for service, one in slow.items()}
    assert answers == dict.fromkeys(slow, (401, "invalid-token"))
    assert HOOK not in webhooks(hub, owner.id)
    assert record(hub, owner.id).json() == before.json()
    assert {one["state"] for one in sender.hub.referral(referral_id)["offers"]} == {"open"}
    owner.hub.accept(offer_id)
    owner.await_message("case.released", referral_id)
    owner.hub.complete(referral_id, "resolved")


@pytest.mark.parametrize(
    "exclusion", [{"vetting": "suspended"}, {"active": False}], ids=["suspended", "inactive"]
)
def test_slow_request_of_a_member_that_is_excluded_meanwhile_changes_nothing(
    hub: RunningHub, exclusion: dict[str, Any]
) -> None:
    member = "kg.second-harvest"
    own = bearer(hub.token(member))
    with (
        readmitted_after(hub, member),
        slow_request(hub, "delivery", "POST", "/v1/webhooks", {"url": HOOK}, own) as slow,
        changed_record(hub, member, **exclusion),
    ):
        address = f"{hub.address('delivery')}/v1/webhooks"
        until(partial(is_refused, address, own, 403), "the exclusion", within=SECONDS)
        assert slow.finish() == (403, "forbidden")
    assert HOOK not in webhooks(hub, member)
