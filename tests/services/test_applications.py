"""Applications to join the network at a running directory: by JSON, by the form, and for the staff."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import pytest

from services.directory.handlers.application_rates import APPLICATIONS_PER_MINUTE, STATUS_REQUESTS_PER_MINUTE
from tests.services.test_directory import NOWHERE, Hub, problem, running
from tests.unit.services.directory.application_samples import APPLICANT, application_record
from tests.unit.services.directory.samples import OSH

REFERENCE = "Kopuro-Application-Reference"
FIELDS = {
    "name": "Talas Advice (invented)",
    "kind": "ngo",
    "country": "KG",
    "language_ky": "1",
    "language_ru": "1",
    "description": "Advice on wages\r\nand documents.",
    "contact_name": "A. Invented",
    "contact_email": "office@talas.example",
    "proposed_id": APPLICANT,
}
UNKNOWN = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a01"
PROXY = "127.0.0.9"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A directory of its own for each test: the rate of an address is counted in its process."""
    environment = {"KOPURO_PROXIES": PROXY}
    with running(tmp_path, NOWHERE, filled=True, approvals="two-person", environment=environment) as started:
        yield started


@dataclass(frozen=True)
class Sender:
    """A sender with an address of its own. forwarded: the `X-Forwarded-For` of its requests."""

    hub: Hub
    address: str
    forwarded: str | None = None

    def applies(self) -> int:
        return self._send("POST", "/v1/applications", json=application_record())

    def asks(self) -> int:
        return self._send("GET", f"/v1/applications/{UNKNOWN}/state", headers={REFERENCE: "x"})

    def withdraws(self) -> int:
        return self._send("POST", f"/v1/applications/{UNKNOWN}/withdraw", headers={REFERENCE: "x"})

    def _send(
        self, method: str, path: str, headers: Mapping[str, str] = MappingProxyType({}), **more: Any
    ) -> int:
        sent = {**headers} if self.forwarded is None else {**headers, "X-Forwarded-For": self.forwarded}
        with httpx.Client(transport=httpx.HTTPTransport(local_address=self.address)) as client:
            return client.request(method, self.hub.service.url + path, headers=sent, **more).status_code


class Page(HTMLParser):
    """What a reader of a page meets: its elements by name with their attributes, and its text."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(response.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, name: str) -> dict[str, str | None]:
        (found,) = [attrs for _, attrs in self.elements if attrs.get("name") == name]
        return found

    def of(self, *tags: str) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs in self.elements if tag in tags]


def apply(hub: Hub, **changes: Any) -> httpx.Response:
    return httpx.post(f"{hub.service.url}/v1/applications", json=application_record(**changes))


def state(hub: Hub, application_id: str, reference: str) -> httpx.Response:
    return httpx.get(
        f"{hub.service.url}/v1/applications/{application_id}/state", headers={REFERENCE: reference}
    )


def submit(hub: Hub, path: str = "/apply", **fields: str) -> httpx.Response:
    return httpx.post(hub.service.url + path, data=fields)


def test_applicant_reads_its_state_and_staff_see_what_was_sent(hub: Hub) -> None:
    answer = apply(hub)
    receipt = answer.json()
    assert (answer.status_code, receipt["state"], answer.headers["Location"]) == (
        201,
        "waiting",
        f"/v1/applications/{receipt['id']}/state",
    )
    shown = state(hub, receipt["id"], receipt["reference"]).json()
    assert (shown["state"], shown["organization"], shown["next"]) == ("waiting", None, None)
    assert "application" not in shown
    for member in ("coordinator", "operator"):
        (record,) = hub.ask(member, "GET", "/v1/applications", params={"state": "waiting"}).json()["items"]
        assert record["application"]["contact"]["email"] == "office@talas.example"
        assert record == hub.ask(member, "GET", f"/v1/applications/{receipt['id']}").json()
    for other in (OSH, "auditor"):
        problem(hub.ask(other, "GET", "/v1/applications"), 403, "forbidden")
    problem(hub.ask("coordinator", "GET", "/v1/applications?state=x"), 400, "invalid-parameter")
    assert receipt["reference"] not in hub.ask("coordinator", "GET", "/v1/applications").text


def test_coordinator_and_operator_let_the_applicant_in(hub: Hub) -> None:
    receipt = apply(hub).json()
    address = f"/v1/applications/{receipt['id']}"
    for other in (OSH, "auditor"):
        problem(hub.ask(other, "POST", f"{address}/vet", json={}), 403, "forbidden")
    unproved = httpx.post(
        f"{hub.service.url}{address}/vet",
        json={},
        headers={"Authorization": f"Bearer {hub.token_of('coordinator')}"},
    )
    problem(unproved, 403, "proof-required")
    taken = hub.ask("coordinator", "POST", f"{address}/vet", json={"id": OSH})
    assert problem(taken, 409, "conflict")["errors"][0]["pointer"] == "/id"
    asked = hub.ask("coordinator", "POST", f"{address}/vet", json={})
    assert (asked.status_code, asked.json()["state"]) == (202, "in_approval")
    problem(hub.ask("operator", "GET", f"/v1/organizations/{APPLICANT}"), 404, "not-found")
    approve = f"/v1/approvals/{asked.json()['approval_id']}/approve"
    problem(hub.ask("coordinator", "POST", approve), 403, "forbidden")
    assert hub.ask("operator", "POST", approve).status_code == 200
    made = hub.ask("operator", "GET", f"/v1/organizations/{APPLICANT}").json()
    assert (made["vetting"], made["vetted_by"], made["services"]) == ("vetted", "kg.coordinator", [])
    told = state(hub, receipt["id"], receipt["reference"]).json()
    assert (told["state"], told["organization"]) == ("vetted", APPLICANT)
    assert "SHA-256" in told["next"]
    assert hub.ask("operator", "GET", address).json()["application"] is None


def test_refusal_reaches_the_applicant_with_its_note(hub: Hub) -> None:
    receipt = apply(hub).json()
    address = f"/v1/applications/{receipt['id']}/refuse"
    problem(hub.ask("coordinator", "POST", address, json={"reason": "bored"}), 422, "invalid-submission")
    wanted = {"reason": "not_verified", "note": "Nobody answers."}
    assert hub.ask("coordinator", "POST", address, json=wanted).json()["state"] == "refused"
    told = state(hub, receipt["id"], receipt["reference"]).json()
    assert (told["state"], told["reason"], told["note"]) == ("refused", "not_verified", "Nobody answers.")
    problem(hub.ask("coordinator", "POST", address.replace("refuse", "vet"), json={}), 409, "conflict")


def test_applicant_withdraws(hub: Hub) -> None:
    receipt = apply(hub).json()
    address = f"{hub.service.url}/v1/applications/{receipt['id']}/withdraw"
    problem(httpx.post(address, headers={REFERENCE: "another"}), 404, "not-found")
    problem(httpx.post(address), 404, "not-found")
    ended = httpx.post(address, headers={REFERENCE: receipt["reference"]})
    assert (ended.status_code, ended.json()["state"]) == (200, "withdrawn")


def test_form_names_every_field_and_fetches_nothing(hub: Hub) -> None:
    for language in ("en", "ru", "ky"):
        response = httpx.get(f"{hub.service.url}/apply?language={language}")
        assert (response.status_code, response.headers["Content-Language"]) == (200, language)
        policy = response.headers["Content-Security-Policy"]
        assert re.fullmatch(
            r"default-src 'none'; style-src 'sha256-[A-Za-z0-9+/]{43}='; form-action 'self'; "
            r"frame-ancestors 'none'; base-uri 'none'",
            policy,
        )
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["Cache-Control"] == "no-store"
        page = Page(response)
        assert page.of("html") == [{"lang": language}]
        assert page.of("script", "link", "img", "iframe", "object") == []
        labelled = {attrs["for"] for attrs in page.of("label") if "for" in attrs}
        fields = [a for a in page.of("input", "select", "textarea") if a.get("type") not in ("hidden",)]
        # A checkbox is inside its label.
        assert {a["id"] for a in fields if a.get("type") != "checkbox"} == labelled
        assert page.named("name")["required"] is None
    preferred = httpx.get(f"{hub.service.url}/apply", headers={"Accept-Language": "ky-KG, en;q=0.5"})
    assert preferred.headers["Content-Language"] == "ky"
    problem(httpx.get(f"{hub.service.url}/apply?language=fr"), 400, "invalid-parameter")


def test_form_makes_one_application_however_often_it_is_sent(hub: Hub) -> None:
    reference = Page(httpx.get(f"{hub.service.url}/apply")).named("reference")["value"] or ""
    first, again = (submit(hub, **FIELDS, reference=reference) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.text == again.text
    assert reference in first.text
    (record,) = hub.ask("coordinator", "GET", "/v1/applications").json()["items"]
    assert record["application"] == {
        "name": FIELDS["name"],
        "kind": "ngo",
        "country": "KG",
        "languages": ["ky", "ru"],
        "description": "Advice on wages\nand documents.",
        "contact": {"name": "A. Invented", "email": "office@talas.example", "telephone": None},
        "website": None,
        "parent": None,
        "proposed_id": APPLICANT,
    }
    # The browser goes back, and the reader writes something else.
    other = submit(hub, **{**FIELDS, "name": "Another"}, reference=reference)
    assert other.status_code == 409
    assert Page(other).named("reference")["value"] != reference

    shown = submit(hub, "/apply/state", id=record["id"], reference=reference)
    assert (shown.status_code, "waits" in shown.text) == (200, True)
    for fields in (
        {"id": record["id"], "reference": "x"},
        {"id": UNKNOWN, "reference": reference},
        {"id": "x"},
    ):
        wrong = submit(hub, "/apply/state", **fields)
        assert wrong.status_code == 404
        assert record["id"] not in wrong.text
    ended = submit(hub, "/apply/withdraw", id=record["id"], reference=reference)
    assert (ended.status_code, "withdrawn" in ended.text) == (200, True)


def test_fault_is_shown_beside_its_field_and_what_was_typed_is_kept(hub: Hub) -> None:
    typed = {
        **FIELDS,
        "name": '"><script>alert(1)</script>',
        "country": "",
        "description": "\r\n</textarea><b>x",
        "contact_email": "nobody",
    }
    response = submit(hub, "/apply?language=ru", **typed)
    page = Page(response)
    assert response.status_code == 422
    assert page.of("script", "b") == []
    assert page.named("name")["value"] == typed["name"]
    assert "</textarea><b>x" in page.text
    for wrong in ("country", "contact_email"):
        described = page.named(wrong)["aria-describedby"]
        assert [a for a in page.of("p") if a.get("id") == described] == [{"class": "error", "id": described}]
    assert "aria-invalid" not in page.named("kind")
    chosen = [a["value"] for a in page.of("option") if "selected" in a]
    assert chosen == ["ngo"]
    checked = [a["name"] for a in page.of("input") if "checked" in a]
    assert checked == ["language_ky", "language_ru"]
    assert hub.ask("coordinator", "GET", "/v1/applications").json()["items"] == []


def test_empty_and_foreign_forms_are_refused(hub: Hub) -> None:
    empty = submit(hub, x="1")
    assert (empty.status_code, len(Page(empty).of("p"))) == (422, 9)
    plain = httpx.post(f"{hub.service.url}/apply", content=b"name=x", headers={"Content-Type": "text/plain"})
    problem(plain, 415, "unsupported-media-type")
    large = submit(hub, **{**FIELDS, "description": "x" * 70_000})
    problem(large, 413, "body-too-large")
    deep = httpx.post(f"{hub.service.url}/v1/applications", content=b"[" * 60_000)
    assert deep.status_code in (400, 413)


def test_address_that_sends_too_many_is_refused_and_others_are_served(hub: Hub) -> None:
    statuses = [apply(hub).status_code for _ in range(APPLICATIONS_PER_MINUTE + 5)]
    # The minute may end in between.
    assert statuses[0] == 201
    assert 429 in statuses
    limited = submit(hub, **FIELDS)
    if limited.status_code == 429:
        assert Page(limited).named("name")["value"] == FIELDS["name"]
        assert limited.headers["Retry-After"] == "60"
    assert hub.ask(OSH, "GET", "/v1/organizations").status_code == 200
    assert hub.ask("coordinator", "GET", "/v1/applications").status_code == 200


def is_limited(act: Callable[[], int], most: int) -> bool:
    """Send more than a minute takes. The minute may end in between, and takes as many again."""
    return 429 in (act() for _ in range(2 * most + 1))


def served(acts: Iterable[Callable[[], int]]) -> int:
    """Return how many of the senders are served. Two addresses may share a counter, hardly three."""
    return sum(act() != 429 for act in acts)


@pytest.mark.parametrize("behind_proxy", [False, True])
def test_address_that_floods_uses_up_no_other_address(hub: Hub, *, behind_proxy: bool) -> None:
    def sender(address: str) -> Sender:
        return Sender(hub, PROXY, f"198.51.100.1, {address}") if behind_proxy else Sender(hub, address)

    flood, *others = (sender(f"127.0.0.{number}") for number in (2, 3, 4, 5))
    assert is_limited(flood.applies, APPLICATIONS_PER_MINUTE)
    assert served(one.applies for one in others) > 1
    assert is_limited(flood.asks, STATUS_REQUESTS_PER_MINUTE)
    assert served(one.asks for one in others) > 1
    assert served(one.withdraws for one in others) > 1


def test_sender_that_is_not_a_proxy_does_not_choose_its_address(hub: Hub) -> None:
    numbers = iter(range(200))
    assert is_limited(
        lambda: Sender(hub, "127.0.0.2", f"192.0.2.{next(numbers)}").applies(), APPLICATIONS_PER_MINUTE
    )


def test_client_of_the_proxy_does_not_choose_its_address(hub: Hub) -> None:
    numbers = iter(range(200))
    assert is_limited(
        lambda: Sender(hub, PROXY, f"192.0.2.{next(numbers)}, 203.0.113.7").applies(),
        APPLICATIONS_PER_MINUTE,
    )


def test_clients_of_one_ipv6_network_share_its_rate_behind_the_proxy(hub: Hub) -> None:
    numbers = iter(range(200))
    assert is_limited(
        lambda: Sender(hub, PROXY, f"2001:db8::{next(numbers)}").applies(), APPLICATIONS_PER_MINUTE
    )
