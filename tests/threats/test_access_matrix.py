"""Callers try every resource: with each role, and as an organisation with the ids of another one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from kopuro_client import generate_key, public_key, seal
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until
from tests.servers import ROOT
from tests.threats.access_matrix import ACCESS, PUBLIC, ROLES
from tests.threats.guarded_resources import (
    SERVICES,
    GuardedResource,
    content_type,
    guarded_resources,
    resources_for,
    routes,
)

STRANGER = "uz.silk-needle-union"
FOREIGN = dict(public_key(generate_key()))
# Every service has these resources; the document names them once, as the first service's.
DOCUMENTS = {
    f"audit GET /{path}" for path in (".well-known/kopuro", "asyncapi.json", "openapi.json", "reference")
}
RESOURCES = {str(resource): resource for resource in guarded_resources()}
NOT_YOURS = {403, 404}


def test_every_resource_has_its_row_and_admits_exactly_its_roles() -> None:
    declared = {name: " ".join(sorted(resource.roles)) for name, resource in RESOURCES.items()}
    assert declared == ACCESS


def test_no_further_resource_is_open_to_callers_without_a_token() -> None:
    without = {
        f"{name} {route.method} {route.template}"
        for name in SERVICES
        for route in routes(name)
        if route.roles is None
    }
    assert without == PUBLIC


def test_every_operation_of_the_published_document_has_its_row() -> None:
    document = json.loads((ROOT / "contracts" / "openapi.json").read_text(encoding="utf-8"))
    published = {
        f"{operation['tags'][0]} {method.upper()} {path.translate(str.maketrans('{}', '<>'))}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in ("get", "put", "post", "patch", "delete")
    }
    roles = {name: " ".join(sorted(one.get("x-roles", ()))) for name, one in published.items()}
    assert roles == {**ACCESS, **dict.fromkeys((*PUBLIC, *DOCUMENTS), "")}
    # The document demands a token where the service does.
    token = [{"token": list[str]()}]
    demanded = {name: one.get("security", document["security"]) for name, one in published.items()}
    assert {name for name, scheme in demanded.items() if scheme == token} == ACCESS.keys()


@pytest.mark.parametrize("role", ROLES)
def test_role_is_refused_at_every_resource_that_is_not_its_own(hub: RunningHub, role: str) -> None:
    token = hub.token(STRANGER if role == "partner" else role)
    refused = {name: resource for name, resource in RESOURCES.items() if role not in ACCESS[name].split()}
    assert refused
    answers = {name: resource.refusal(hub, token) for name, resource in refused.items()}
    assert answers == dict.fromkeys(refused, (403, "forbidden"))


@pytest.fixture(scope="module")
def victim(hub: RunningHub) -> Iterator[Mapping[str, str]]:
    """The ids of a referral of two other organisations, of its offer, a message, a client, an approval and a
    challenge.
    """
    sender, referral_id = hub.submit("wage-claim-osh-moscow", urgency="urgent")
    acceptor, offer_id = hub.next_offer(sender, referral_id)
    acceptor.hub.accept(offer_id)
    acceptor.await_message("case.released", referral_id)
    assert STRANGER not in (sender.id, acceptor.id)
    own = {"Authorization": f"Bearer {hub.token(sender.id)}"}
    directory = hub.address("directory")
    challenge = httpx.post(f"{directory}/v1/keys", json=FOREIGN, headers=own).raise_for_status().json()
    approval = (
        httpx.post(f"{directory}/v1/keys", json={**FOREIGN, "approval": True}, headers=own)
        .raise_for_status()
        .json()
    )
    yield {
        "sender": sender.id,
        "acceptor": acceptor.id,
        "client": hub.people["organizations"][sender.id]["client_id"],
        "referral": referral_id,
        "offer": offer_id,
        "endpoint": sender.hub.webhooks.register("https://cases.example.org/kopuro")["endpoint"]["id"],
        "message": until(lambda: message_id(hub, sender.id, referral_id), "an unread message"),
        "challenge": challenge["challenge"],
        "approval": approval["id"],
    }
    refused = httpx.post(f"{directory}/v1/approvals/{approval['id']}/refuse", headers=own)
    assert refused.json()["state"] == "refused", "nobody else has decided about it"


def message_id(hub: RunningHub, organization: str, referral_id: str) -> str | None:
    """Return the id of an unread message about the referral in the organisation's mailbox."""
    answer = httpx.get(
        f"{hub.address('delivery')}/v1/mailbox",
        params={"limit": 200},
        headers={"Authorization": f"Bearer {hub.token(organization)}"},
    )
    items: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
    return next((str(item["id"]) for item in items if item["data"].get("referral_id") == referral_id), None)


def ids_of(resource: GuardedResource, victim: Mapping[str, str]) -> dict[str, str]:
    """Return the victim's ids for a resource's path."""
    own = victim["offer"] if "/offers/" in resource.url else victim["referral"]
    own = victim["approval"] if "/approvals/" in resource.url else own
    named = victim["sender"] if "<organization:id>" in resource.url else own
    return {
        "id": named,
        "challenge": victim["challenge"],
        "referral_id": victim["referral"],
        "message_id": victim["message"],
        "client_id": victim["client"],
        "endpoint_id": victim["endpoint"],
    }


def test_stranger_reads_nothing_of_a_referral_of_others_at_any_resource(
    hub: RunningHub, victim: Mapping[str, str]
) -> None:
    token = hub.token(STRANGER)
    reads = [resource for resource in resources_for("partner") if resource.method == "GET"]
    assert len(reads) > 10
    answers = {str(one): one.ask(hub, token, **ids_of(one, victim)) for one in reads}
    # No problem repeats an id, so the referral's id in an answer is a leak. The sender's answers have it.
    own = hub.token(victim["sender"])
    shown = {str(one) for one in reads if victim["referral"] in one.ask(hub, own, **ids_of(one, victim)).text}
    assert {"intake GET /v1/referrals", "intake GET /v1/referrals/<id>", "delivery GET /v1/mailbox"} <= shown
    assert [name for name, answer in answers.items() if victim["referral"] in answer.text] == []
    # Except for public records of the directory, an id of others is refused like one that does not exist.
    public = {"directory GET /v1/organizations/<id>"}
    named = [one for one in reads if "<" in one.url and str(one) not in public]
    statuses = {str(one): answers[str(one)].status_code for one in named}
    assert {name for name, status in statuses.items() if status not in NOT_YOURS} == set()


CHANGES: Mapping[str, Mapping[str, Any]] = {
    "delivery POST /v1/mailbox/<message_id>/acknowledge": {},
    "delivery PATCH /v1/webhooks/<endpoint_id>": {"url": "https://elsewhere.example.org/kopuro"},
    "delivery DELETE /v1/webhooks/<endpoint_id>": {},
    "delivery POST /v1/webhooks/<endpoint_id>/secrets": {},
    "delivery POST /v1/webhooks/<endpoint_id>/test": {},
    "delivery POST /v1/webhooks/<endpoint_id>/notices/<message_id>/resend": {},
    "delivery POST /v1/webhooks/<endpoint_id>/notices/<message_id>/cancel": {},
    "directory PATCH /v1/organizations/<id>": {"name": "Taken over", "revision": 1},
    "directory PUT /v1/organizations/<id>": {"name": "Taken over"},
    "directory POST /v1/approvals/<id>/refuse": {},
    "directory POST /v1/keys/<challenge>/prove": {"answer": "guess"},
    "directory DELETE /v1/credentials/<client_id>": {},
    "directory PUT /v1/credentials/<client_id>/keys": {"keys": []},
    "directory POST /v1/credentials/<client_id>/rotate": {"secret_sha256": "0" * 64},
    "directory POST /v1/credentials/<client_id>/revoke-tokens": {},
    "intake POST /v1/offers/<id>/accept": {},
    "intake POST /v1/offers/<id>/decline": {"reason": "no_capacity"},
    "intake POST /v1/referrals/<id>/withdraw": {"reason": "entered_in_error"},
    "intake POST /v1/referrals/<id>/consent/revoke": {},
    "intake POST /v1/referrals/<id>/complete": {"outcome": "resolved"},
    "intake POST /v1/referrals/<id>/progress": {"status": "in_progress"},
    "intake POST /v1/referrals/<id>/hand-back": {"reason": "no_capacity"},
    "intake POST /v1/referrals/<id>/unreadable": {"reason": "cannot_decrypt"},
    "intake POST /v1/referrals/<id>/notes": {"note": seal({"text": "Invented."}, FOREIGN)},
    "intake POST /v1/referrals/<id>/case": {"case": "sealed to the hub's key when it is tried"},
}
# Changes whose path names something of the caller's own, whatever others have under the same name.
OWN = {
    "delivery PUT /v1/mailbox/consumers/<name>",
    "delivery DELETE /v1/mailbox/consumers/<name>",
    # Tried where reports are made: tests/unit/services/directory/handlers/test_watch_reports.py.
    "directory POST /v1/watch/reports/<id>/retract",
}


def test_every_change_of_a_named_thing_is_tried() -> None:
    named = {str(one) for one in resources_for("partner") if one.method != "GET" and "<" in one.url}
    assert named - OWN == CHANGES.keys()


def test_stranger_changes_nothing_of_others(hub: RunningHub, victim: Mapping[str, str]) -> None:
    before = state(hub, victim)
    token = hub.token(STRANGER)
    document = httpx.get(f"{hub.address('intake')}/.well-known/kopuro").raise_for_status().json()
    refused = {}
    for name, body in CHANGES.items():
        resource = RESOURCES[name]
        if name == "directory PUT /v1/organizations/<id>":
            body = {**before[1], **body}
        if "case" in body:
            body = {"case": seal({"name": "Invented"}, document["custody_key"])}
        answer = httpx.request(
            resource.method,
            hub.address(resource.service) + resource.path(**ids_of(resource, victim)),
            json=body,
            headers={
                "Authorization": f"Bearer {token}",
                "Content-Type": content_type(resource.method, resource.url),
            },
        )
        refused[name] = answer.status_code
    assert {name: status for name, status in refused.items() if status not in NOT_YOURS} == {}
    assert state(hub, victim) == before


def state(hub: RunningHub, victim: Mapping[str, str]) -> tuple[Any, ...]:
    """Return the referral, the sender's record and client, as their owner sees them."""
    own = {"Authorization": f"Bearer {hub.token(victim['sender'])}"}
    referral = httpx.get(f"{hub.address('intake')}/v1/referrals/{victim['referral']}", headers=own)
    record = httpx.get(f"{hub.address('directory')}/v1/organizations/{victim['sender']}", headers=own)
    clients = httpx.get(f"{hub.address('directory')}/v1/credentials", headers=own)
    return tuple(answer.raise_for_status().json() for answer in (referral, record, clients))
