"""Applications by anybody: what is revealed, when the content is erased, and how an applicant is admitted."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from hashlib import sha256
from itertools import chain
from typing import Any, cast

import httpx
import pytest

from kopuro_client import Kopuro, generate_key, public_key
from kopuro_client.records import Approval
from sandbox.broker import PrivateBroker
from sandbox.demo.participants import Participant
from sandbox.hub_files import SECOND_OPERATOR
from tests.journey.running_hub import RunningHub
from tests.journey.traces import contents
from tests.journey.waiting import until
from tests.services.test_applications import FIELDS, REFERENCE, Page
from tests.support.canaries import Canaries
from tests.threats.guarded_hub import ask, guarded_hub, notice, on_record, read_own
from tests.unit.services.directory.application_samples import application_record

MEMBER = "kg.osh-legal-aid"
NEWCOMER = "kg.talas-advice"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, broker: PrivateBroker) -> Iterator[RunningHub]:
    with guarded_hub(tmp_path_factory.mktemp("applications"), broker) as running:
        yield running


# One for each application: an address may send ten in a minute.
ADDRESSES = (f"127.0.1.{number}" for number in range(1, 255))


def apply(hub: RunningHub, **changes: Any) -> httpx.Response:
    """Apply by JSON, from an address that has sent nothing yet."""
    with httpx.Client(transport=httpx.HTTPTransport(local_address=next(ADDRESSES))) as client:
        return client.post(f"{hub.address('directory')}/v1/applications", json=application_record(**changes))


def test_applicant_becomes_a_member_and_accepts_its_first_referral(hub: RunningHub) -> None:
    door = hub.address("directory")
    reference = Page(httpx.get(f"{door}/apply")).named("reference")["value"] or ""
    sent = httpx.post(f"{door}/apply", data={**FIELDS, "reference": reference})
    assert sent.status_code == 201
    coordinator = hub.participants.staff("coordinator")
    (waiting,) = coordinator.applications_page(state="waiting")["items"]
    told = notice(coordinator, "application.submitted", application_id=waiting["id"])
    assert told.keys() == {"application_id", "content", "expires_at"}

    asked = coordinator.vet_application(waiting["id"])
    approve = f"/v1/approvals/{asked['approval_id']}/approve"
    assert ask(hub, "coordinator", "POST", approve).status_code == 403
    assert ask(hub, MEMBER, "POST", approve).status_code == 403
    assert ask(hub, "operator", "POST", approve).status_code == 200
    status = coordinator.application_status(waiting["id"], reference)
    assert (status["state"], status["organization"]) == ("vetted", NEWCOMER)
    closed = notice(coordinator, "message.closed", message_type="kopuro.application.submitted.v1")
    assert (closed["reason"], closed["referral_id"]) == ("acted_on", None)

    secret, key = secrets.token_urlsafe(32), generate_key()
    wanted = {
        "principal": NEWCOMER,
        "roles": ["partner"],
        "client_id": NEWCOMER,
        "secret_sha256": sha256(secret.encode()).hexdigest(),
    }
    issuing = ask(hub, "operator", "POST", "/v1/credentials", json=wanted).json()
    granted = ask(hub, SECOND_OPERATOR, "POST", f"/v1/approvals/{issuing['id']}/approve")
    assert granted.json()["state"] == "granted"

    with Kopuro.discover(hub.files.discovery_address(), NEWCOMER, secret, sealing_key=key) as own:
        # A first key without one before it: two members of the staff stand behind it.
        requested = cast(Approval, own.publish_key(public_key(key)))
        published = f"/v1/approvals/{requested['id']}/approve"
        states = [ask(hub, who, "POST", published).json()["state"] for who in ("operator", SECOND_OPERATOR)]
        assert states == ["requested", "granted"]
        sender, referral_id = hub.submit("wage-claim-osh-moscow")
        first, _ = hub.next_offer(sender, referral_id)
        own.update_organization(NEWCOMER, {"services": read_own(hub, first.id)["services"]})
        newcomer = Participant(NEWCOMER, "The newcomer", own)

        def placed() -> bool:
            answer = httpx.post(
                f"{hub.address('routing')}/v1/coordination/{referral_id}/offer",
                json={"organization": NEWCOMER, "reason": "other"},
                headers={"Authorization": f"Bearer {hub.token('coordinator')}"},
            )
            return answer.status_code == 202

        until(placed, "routing knows the newcomer")
        offer = newcomer.await_message("offer.opened", referral_id)["offer_id"]
        own.accept(offer)
        newcomer.await_message("case.released", referral_id)
        assert own.case(referral_id)
        sender.hub.withdraw(referral_id, "placed_elsewhere")
    assert on_record(hub, "application.decided", "kg.coordinator") >= 1
    assert on_record(hub, "approval.granted", "kg.operator", NEWCOMER) >= 1


def test_application_response_does_not_reveal_whether_a_record_exists(hub: RunningHub) -> None:
    known = read_own(hub, MEMBER)
    shapes = set()
    for changes in (
        {"proposed_id": MEMBER, "name": known["name"], "parent": MEMBER},
        {"proposed_id": "kg.nobody-at-all", "name": "Nobody", "parent": "kg.nobody-else"},
        # The same contact again as in the applications before.
        {"contact": {"name": "A", "email": "same@talas.example"}},
        {"contact": {"name": "A", "email": "same@talas.example"}},
    ):
        answer = apply(hub, **changes)
        receipt = answer.json()
        varying = ("id", "reference", "salt", "expires_at")
        lengths = tuple(len(receipt[name]) for name in ("id", "reference", "salt"))
        rest = tuple((name, value) for name, value in receipt.items() if name not in varying)
        shapes.add((answer.status_code, tuple(sorted(answer.headers)), lengths, rest))
    assert len(shapes) == 1


def test_reference_opens_its_application_and_nothing_else(hub: RunningHub) -> None:
    mine, other = apply(hub).json(), apply(hub).json()
    refused = ask(
        hub, "coordinator", "POST", f"/v1/applications/{mine['id']}/refuse", json={"reason": "not_genuine"}
    )
    assert refused.status_code == 200
    door = hub.address("directory")
    shown = httpx.get(f"{door}/v1/applications/{mine['id']}/state", headers={REFERENCE: mine["reference"]})
    assert shown.json()["state"] == "refused"
    for header in ({REFERENCE: mine["reference"]}, {"Authorization": f"Bearer {mine['reference']}"}):
        state = httpx.get(f"{door}/v1/applications/{other['id']}/state", headers=header)
        assert state.status_code == 404
        for path in (f"/v1/applications/{mine['id']}", "/v1/applications", "/v1/organizations"):
            assert httpx.get(door + path, headers=header).status_code == 401
    withdrawn = httpx.post(
        f"{door}/v1/applications/{other['id']}/withdraw", headers={REFERENCE: mine["reference"]}
    )
    assert withdrawn.status_code == 404


def test_staff_of_a_member_decide_neither_about_applications_nor_about_their_member(hub: RunningHub) -> None:
    receipt = apply(hub, proposed_id=f"{MEMBER}-branch", parent=MEMBER).json()
    path = f"/v1/applications/{receipt['id']}"
    for method, address, body in (
        ("GET", "/v1/applications", None),
        ("GET", path, None),
        ("POST", f"{path}/vet", {}),
        ("POST", f"{path}/refuse", {"reason": "other"}),
    ):
        assert ask(hub, MEMBER, method, address, json=body).status_code == 403
    before = read_own(hub, MEMBER)
    for member, value in {
        "kind": "union",
        "country": "KZ",
        "parent": "kg.builders-union",
        "vetting": "applied",
        "vetted_by": "ourselves",
        "vetted_on": "2026-01-01",
    }.items():
        answer = ask(
            hub,
            MEMBER,
            "PATCH",
            f"/v1/organizations/{MEMBER}",
            json={member: value},
            headers={"Content-Type": "application/merge-patch+json", "If-Match": "*"},
        )
        assert (answer.status_code, member in answer.text) == (403, True)
    assert read_own(hub, MEMBER) == before


def test_application_is_in_one_table_and_after_its_withdrawal_in_none(hub: RunningHub) -> None:
    canaries = Canaries()
    typed = {
        "name": f"Aid {canaries.text('name')}",
        "description": canaries.text("description"),
        "contact": {
            "name": canaries.text("contact"),
            "email": f"a{canaries.text('email')}@talas.example",
            "telephone": f"+{canaries.text('telephone')}",
        },
        "website": f"https://talas.example/{canaries.text('website')}",
        "proposed_id": f"kg.a{canaries.text('proposed id')}",
        "parent": f"kg.a{canaries.text('parent')}",
    }
    said: list[tuple[str, bytes]] = []

    def hits() -> dict[str, set[str]]:
        everything = chain(contents(hub, since=canaries.invented_at), said)
        return {place: found for place, content in everything if (found := canaries.found(content))}

    receipt = apply(hub, **typed).json()
    # Every member is refused in turn, with what was sent in it.
    for member, value in typed.items():
        wrong = {**typed, member: {"x": value} if isinstance(value, str) else [value]}
        answer = apply(hub, **wrong)
        assert answer.status_code == 422
        said.append((f"refusal of {member}", answer.content))
    coordinator = hub.participants.staff("coordinator")
    assert notice(coordinator, "application.submitted", application_id=receipt["id"])
    unknown_parent = ask(hub, "coordinator", "POST", f"/v1/applications/{receipt['id']}/vet", json={})
    assert unknown_parent.status_code == 422
    said.append(("vetting", unknown_parent.content))
    for action in ("refuse", "vet"):
        wrong_body = {"reason": canaries.text("reason"), "id": canaries.text("id")}
        refusal = ask(
            hub, "coordinator", "POST", f"/v1/applications/{receipt['id']}/{action}", json=wrong_body
        )
        said.append((action, refusal.content))
    places = hits()
    assert places
    database = str(hub.files.database("directory"))
    table = ("directory: applications.content", database)
    assert [place for place in places if not place.startswith(table)] == []

    ended = httpx.post(
        f"{hub.address('directory')}/v1/applications/{receipt['id']}/withdraw",
        headers={REFERENCE: receipt["reference"]},
    )
    assert ended.json()["state"] == "withdrawn"
    # The write-ahead log keeps the old pages for some seconds.
    until(lambda: not hits(), "the end of every trace")
