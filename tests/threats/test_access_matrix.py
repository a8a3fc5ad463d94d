"""Callers try every resource: with each role, and as an organisation with the ids of another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until
from tests.threats.access_matrix import ACCESS, ROLES
from tests.threats.guarded_resources import (
    GuardedResource,
    content_type,
    guarded_resources,
    resources_for,
)

STRANGER = "uz.silk-needle-union"
RESOURCES = {str(resource): resource for resource in guarded_resources()}
NOT_YOURS = {403, 404}


def test_every_resource_has_its_row_and_admits_exactly_its_roles() -> None:
    declared = {name: " ".join(sorted(resource.roles)) for name, resource in RESOURCES.items()}
    assert declared == ACCESS


@pytest.mark.parametrize("role", ROLES)
def test_role_is_refused_at_every_resource_that_is_not_its_own(hub: RunningHub, role: str) -> None:
    token = hub.token(STRANGER if role == "partner" else role)
    refused = {name: resource for name, resource in RESOURCES.items() if role not in ACCESS[name].split()}
    assert refused
    answers = {name: resource.refusal(hub, token) for name, resource in refused.items()}
    assert answers == dict.fromkeys(refused, (403, "forbidden"))


@pytest.fixture(scope="module")
def victim(hub: RunningHub) -> Mapping[str, str]:
    """The ids of a referral of two other organisations, of its offer, a message, a client and an approval."""
    sender, referral_id = hub.submit("wage-claim-osh-moscow", urgency="urgent")
    acceptor, offer_id = hub.next_offer(sender, referral_id)
    acceptor.hub.accept(offer_id)
    acceptor.await_message("case.released", referral_id)
    assert STRANGER not in (sender.id, acceptor.id)
    return {
        "sender": sender.id,
        "acceptor": acceptor.id,
        "client": hub.people["organizations"][sender.id]["client_id"],
        "referral": referral_id,
        "offer": offer_id,
        "endpoint": sender.hub.webhooks.register("https://cases.example.org/kopuro")["endpoint"]["id"],
        "message": until(lambda: message_id(hub, sender.id, referral_id), "an unread message"),
    }


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
    named = victim["sender"] if "<organization:id>" in resource.url else own
    return {
        "id": named,
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
    "directory DELETE /v1/credentials/<client_id>": {},
    "directory PUT /v1/credentials/<client_id>/keys": {"keys": []},
    "directory POST /v1/credentials/<client_id>/rotate": {"secret_sha256": "0" * 64},
    "directory POST /v1/credentials/<client_id>/revoke-tokens": {},
    "intake POST /v1/offers/<id>/accept": {},
    "intake POST /v1/offers/<id>/decline": {"reason": "no_capacity"},
    "intake POST /v1/referrals/<id>/withdraw": {"reason": "entered_in_error"},
    "intake POST /v1/referrals/<id>/consent/revoke": {},
    "intake POST /v1/referrals/<id>/complete": {"outcome": "resolved"},
    "intake POST /v1/referrals/<id>/progress": {},
    "intake POST /v1/referrals/<id>/hand-back": {"reason": "no_capacity"},
}


def test_stranger_changes_nothing_of_others(hub: RunningHub, victim: Mapping[str, str]) -> None:
    """A submission may be accepted and refused later: what counts is that nothing has changed."""
    before = state(hub, victim)
    token = hub.token(STRANGER)
    refused = {}
    for name, body in CHANGES.items():
        resource = RESOURCES[name]
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
    at_once = {name: status for name, status in refused.items() if not name.startswith("intake")}
    assert {name for name, status in at_once.items() if status not in NOT_YOURS} == set()
    assert {name for name, status in refused.items() if status not in {*NOT_YOURS, 202, 422}} == set()
    assert state(hub, victim) == before


def state(hub: RunningHub, victim: Mapping[str, str]) -> tuple[Any, ...]:
    """Return the referral, the sender's record and client, as their owner sees them."""
    own = {"Authorization": f"Bearer {hub.token(victim['sender'])}"}
    referral = httpx.get(f"{hub.address('intake')}/v1/referrals/{victim['referral']}", headers=own)
    record = httpx.get(f"{hub.address('directory')}/v1/organizations/{victim['sender']}", headers=own)
    clients = httpx.get(f"{hub.address('directory')}/v1/credentials", headers=own)
    return tuple(answer.raise_for_status().json() for answer in (referral, record, clients))
