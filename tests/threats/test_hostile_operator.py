"""One of the hub's operators acts alone, with its own credentials and no others."""

from __future__ import annotations

import datetime as dt
import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from typing import Any

import httpx
import pytest

from kopuro_client import RefusedError, generate_key, public_key, seal
from sandbox.broker import PrivateBroker
from tests.journey.running_hub import RunningHub
from tests.journey.traces import traces
from tests.journey.waiting import until
from tests.support.partners import ask_for_token
from tests.threats.guarded_hub import ask, guarded_hub, notice, on_record, read_own
from tests.threats.readmission import readmitted_after

VICTIM = "kg.osh-legal-aid"
OPERATOR = "kg.operator"
AT_ONCE = 8


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, broker: PrivateBroker) -> Iterator[RunningHub]:
    with guarded_hub(tmp_path_factory.mktemp("hostile-operator"), broker) as running:
        yield running


def requested(hub: RunningHub, answer: httpx.Response, kind: str) -> dict[str, Any]:
    """Return the request that the operator got instead of an effect; it cannot approve it itself."""
    assert answer.status_code == 202, answer.text
    request: dict[str, Any] = answer.json()
    assert (request["kind"], request["state"], request["requested_by"]) == (kind, "requested", OPERATOR)
    alone = ask(hub, "operator", "POST", f"/v1/approvals/{request['id']}/approve")
    assert alone.status_code == 403
    assert ask(hub, "auditor", "POST", f"/v1/approvals/{request['id']}/approve").status_code == 403
    assert ask(hub, "coordinator", "POST", f"/v1/approvals/{request['id']}/approve").status_code == 403
    assert on_record(hub, "approval.requested", OPERATOR) >= 1
    return request


def credential(principal: str, role: str, secret: str, client_id: str) -> dict[str, Any]:
    return {
        "principal": principal,
        "roles": [role],
        "client_id": client_id,
        "secret_sha256": sha256(secret.encode()).hexdigest(),
    }


def token_status(hub: RunningHub, client_id: str, secret: str) -> int:
    return ask_for_token(hub.address("directory"), client_id, secret).status_code


def test_second_client_of_a_partner_is_refused_and_partner_is_notified(hub: RunningHub) -> None:
    secret = secrets.token_urlsafe(32)
    wanted = credential(VICTIM, "partner", secret, "osh-shadow")
    request = requested(hub, ask(hub, "operator", "POST", "/v1/credentials", json=wanted), "credential")
    assert token_status(hub, "osh-shadow", secret) == 401
    partner = hub.organization(VICTIM).hub
    told = notice(partner, "approval.requested", id=request["id"])
    assert (told["subject"], told["requested_by"]) == ("osh-shadow", OPERATOR)
    assert on_record(hub, "approval.requested", OPERATOR, VICTIM) >= 1
    shown = ask(hub, VICTIM, "GET", f"/v1/approvals/{request['id']}").json()
    assert shown["change"]["client_id"] == "osh-shadow"
    # With a second person it works, and the partner is notified once more.
    granted = ask(hub, "second-operator", "POST", f"/v1/approvals/{request['id']}/approve")
    assert granted.json()["state"] == "granted"
    assert token_status(hub, "osh-shadow", secret) == 200
    issued = notice(partner, "credential.issued", client_id="osh-shadow")
    assert (issued["by"], issued["approved_by"]) == (OPERATOR, "kg.second-operator")
    assert on_record(hub, "credential.issued", "kg.second-operator", VICTIM) == 1
    assert ask(hub, VICTIM, "DELETE", "/v1/credentials/osh-shadow").json()["live"] is False
    assert token_status(hub, "osh-shadow", secret) == 401


@pytest.mark.parametrize(
    ("principal", "role", "client_id"),
    [
        ("aigul", "auditor", "kg-osh-legal-aid"),
        ("aigul", "auditor", f"x.{VICTIM}"),
        ("kg-osh-legal-aid", "auditor", "aigul"),
        ("ru.primorye-seafarers-house", "partner", "KG_osh_1egal_aid"),
    ],
)
def test_lookalike_of_a_partner_is_refused_to_the_operator(
    hub: RunningHub, principal: str, role: str, client_id: str
) -> None:
    wanted = credential(principal, role, secrets.token_urlsafe(32), client_id)
    answer = ask(hub, "operator", "POST", "/v1/credentials", json=wanted)
    assert answer.status_code == 409, answer.text
    (error,) = answer.json()["errors"]
    assert (error["pointer"], VICTIM in error["detail"]) == ("/client_id", True)


def test_new_secret_of_a_partners_client_does_not_replace_the_old_one(hub: RunningHub) -> None:
    secret = secrets.token_urlsafe(32)
    wanted = credential(VICTIM, "partner", secret, VICTIM)
    answer = ask(hub, "operator", "POST", "/v1/credentials", json=wanted, headers={"If-Match": "*"})
    requested(hub, answer, "credential")
    assert token_status(hub, VICTIM, secret) == 401
    assert hub.token(VICTIM)


def test_key_published_for_a_partner_does_not_replace_its_own(hub: RunningHub) -> None:
    before = read_own(hub, VICTIM)
    key = public_key(generate_key())
    answer = ask(hub, "operator", "POST", "/v1/keys", json={**key, "organization": VICTIM})
    request = requested(hub, answer, "sealing_key")
    assert notice(hub.organization(VICTIM).hub, "approval.requested", id=request["id"])
    put = ask(hub, "operator", "PUT", f"/v1/organizations/{VICTIM}", json={**before, "sealing_key": key})
    assert put.status_code == 403
    challenge = f"/v1/keys/{request['id']}/prove"
    assert ask(hub, "operator", "POST", challenge, json={"answer": "x"}).status_code == 403
    assert read_own(hub, VICTIM) == before


def test_invented_organization_is_neither_vetted_nor_in_the_network(hub: RunningHub) -> None:
    record = read_own(hub, VICTIM)
    invented = {
        name: value
        for name, value in {**record, "id": "kg.shadow-aid", "name": "Shadow"}.items()
        if name not in ("revision", "sealing_key", "sealing_key_change", "approved_services")
    }
    path = "/v1/organizations/kg.shadow-aid"
    request = requested(hub, ask(hub, "operator", "PUT", path, json=invented), "vetting")
    assert ask(hub, "auditor", "GET", path).status_code == 404
    applied = ask(hub, "operator", "PUT", path, json={**invented, "vetting": "applied"})
    assert applied.status_code == 201
    changed = {**applied.json(), "vetting": "vetted"}
    requested(hub, ask(hub, "operator", "PUT", path, json=changed), "vetting")
    assert ask(hub, "auditor", "GET", path).json()["vetting"] == "applied"
    # The first request was about a record that did not exist.
    stale = ask(hub, "second-operator", "POST", f"/v1/approvals/{request['id']}/approve")
    assert stale.status_code == 409


def test_operator_grants_no_role_to_a_shadow_client_or_to_itself(hub: RunningHub) -> None:
    secret = secrets.token_urlsafe(32)
    shadow = credential("kg.shadow", "operator", secret, "shadow")
    requested(hub, ask(hub, "operator", "POST", "/v1/credentials", json=shadow), "role")
    assert token_status(hub, "shadow", secret) == 401
    for role in ("auditor", "coordinator"):
        for client_id in ("operator", "operator-too"):
            own = credential(OPERATOR, role, secret, client_id)
            match = {"If-Match": "*"} if client_id == "operator" else {}
            refused = ask(hub, "operator", "POST", "/v1/credentials", json=own, headers=match)
            assert (refused.status_code, refused.json()["type"]) == (409, "urn:kopuro:problem:conflict")
        both = {**credential(OPERATOR, role, secret, "both"), "roles": ["operator", role]}
        assert ask(hub, "operator", "POST", "/v1/credentials", json=both).status_code == 422
    shared = credential(OPERATOR, "operator", secret, "shared")
    assert ask(hub, "operator", "POST", "/v1/credentials", json=shared).status_code == 409
    assert ask(hub, "operator", "GET", "/v1/credentials", params={"limit": 200}).status_code == 200
    assert token_status(hub, "shared", secret) == 401


def test_lone_suspension_and_revocation_carry_the_operators_name(hub: RunningHub) -> None:
    with readmitted_after(hub, VICTIM):
        path = f"/v1/organizations/{VICTIM}"
        record = ask(hub, "operator", "GET", path).json()
        suspended = ask(hub, "operator", "PUT", path, json={**record, "vetting": "suspended"})
        assert suspended.status_code == 200
        assert on_record(hub, "organization.changed", OPERATOR, VICTIM) >= 1
        readmission = ask(hub, "operator", "PUT", path, json={**suspended.json(), "vetting": "vetted"})
        request = requested(hub, readmission, "vetting")
        granted = ask(hub, "second-operator", "POST", f"/v1/approvals/{request['id']}/approve")
        assert granted.json()["state"] == "granted"
        assert ask(hub, "operator", "GET", path).json()["vetting"] == "vetted"


def has_key(hub: RunningHub, service: str, kid: str) -> bool:
    return any(place.startswith(f"{service}: ") for place in traces(hub, [kid]))


def test_key_replacement_by_two_operators_notifies_its_owner_and_pauses_releases(
    hub: RunningHub,
) -> None:
    """Two operators can replace a key (docs/security.md). The owner is notified, and it is on record."""
    sender, referral_id = hub.submit("wage-claim-osh-moscow", urgency="urgent")
    owner, offer_id = hub.next_offer(sender, referral_id)
    foreign = public_key(generate_key())
    request = ask(hub, "operator", "POST", "/v1/keys", json={**foreign, "organization": owner.id}).json()
    granted = ask(hub, "second-operator", "POST", f"/v1/approvals/{request['id']}/approve")
    assert granted.json()["state"] == "granted"

    assert notice(owner.hub, "approval.requested", id=request["id"])["requested_by"] == "kg.operator"
    assert notice(owner.hub, "sealing_key.replaced", organization=owner.id)
    assert on_record(hub, "approval.granted", "kg.second-operator", owner.id) == 1
    for service in ("vault", "intake"):
        until(
            partial(has_key, hub, service, foreign["kid"]),
            f"the new key in the replica of {service}",
        )
    owner.hub.accept(offer_id)
    for party in (owner, sender):
        paused = party.await_message("case.paused", referral_id)
        assert paused["organization"] == owner.id
    ends = dt.datetime.fromisoformat(paused["until"])
    answer = httpx.get(
        f"{hub.address('delivery')}/v1/case/{referral_id}",
        headers={"Authorization": f"Bearer {hub.token(owner.id)}"},
    )
    assert answer.status_code == 404
    # Nor does what the sender writes about the person meanwhile go to the new key.
    with pytest.raises(RefusedError) as caught:
        sender.hub.note(referral_id, "Invented.", to=owner.id)
    assert (caught.value.status, caught.value.type) == (409, "urn:kopuro:problem:not-in-this-state")
    assert caught.value.until == ends
    # So in a line of a batch, as the gateway sends it for an organisation that uses AMQP.
    note = seal({"text": "Invented."}, foreign)
    line = httpx.post(
        f"{hub.address('intake')}/v1/submissions:batch",
        headers={"Authorization": f"Bearer {hub.token(sender.id)}", "Content-Type": "application/x-ndjson"},
        content=json.dumps({"submit": "note", "referral_id": referral_id, "note": note}),
    ).json()
    assert (line["status"], dt.datetime.fromisoformat(line["problem"]["until"])) == (409, ends)
    assert "note.delivered" not in {
        message["type"].split(".", 1)[1].removesuffix(".v1")
        for message in owner.hub.mailbox(limit=200)["items"]
    }


def test_operator_alone_neither_writes_an_agreement_nor_changes_whom_a_service_is_asked_for(
    hub: RunningHub,
) -> None:
    wanted = {
        "id": "shadow-agreement",
        "title": "Shadow",
        "kind": "bilateral",
        "parties": [VICTIM, "uz.silk-needle-union"],
        "disclosure": "sensitive",
        "effective_from": "2026-01-01",
    }
    request = requested(hub, ask(hub, "operator", "POST", "/v1/agreements", json=wanted), "agreement")
    listed = ask(hub, "operator", "GET", "/v1/agreements", params={"limit": 200}).json()["items"]
    assert "shadow-agreement" not in {agreement["id"] for agreement in listed}
    withdrawn = ask(hub, "operator", "POST", f"/v1/approvals/{request['id']}/refuse")
    assert withdrawn.json()["state"] == "refused"

    before = read_own(hub, VICTIM)
    services = [{**service, "areas": ["KG", "RU", "KZ"]} for service in before["services"]]
    put = ask(hub, "operator", "PUT", f"/v1/organizations/{VICTIM}", json={**before, "services": services})
    requested(hub, put, "vetting")
    assert read_own(hub, VICTIM) == before


def test_one_operator_and_a_stolen_client_secret_replace_no_key(hub: RunningHub) -> None:
    """The operator approves the request that was made with the partner's stolen secret."""
    before = read_own(hub, VICTIM)
    foreign = {**public_key(generate_key()), "approval": True}
    request = ask(hub, VICTIM, "POST", "/v1/keys", json=foreign).json()
    approve = f"/v1/approvals/{request['id']}/approve"
    endorsed = ask(hub, "operator", "POST", approve).json()
    assert (endorsed["state"], endorsed["endorsed_by"]) == ("requested", OPERATOR)
    assert ask(hub, "operator", "POST", approve).status_code == 403
    assert read_own(hub, VICTIM) == before
    assert notice(hub.organization(VICTIM).hub, "approval.endorsed", id=request["id"])["by"] == OPERATOR
    refused = ask(hub, VICTIM, "POST", f"/v1/approvals/{request['id']}/refuse")
    assert refused.json()["state"] == "refused"
    late = ask(hub, "second-operator", "POST", approve)
    assert late.status_code == 409


def test_one_operator_that_approves_many_times_at_once_stands_for_one_person(hub: RunningHub) -> None:
    before = read_own(hub, VICTIM)
    foreign = {**public_key(generate_key()), "approval": True}
    request = ask(hub, VICTIM, "POST", "/v1/keys", json=foreign).json()
    approve = partial(ask, hub, "operator", "POST", f"/v1/approvals/{request['id']}/approve")
    statuses = Counter(answer.status_code for answer in at_once([approve] * AT_ONCE))
    assert statuses == {200: 1, 403: AT_ONCE - 1}
    assert read_own(hub, VICTIM) == before
    shown = ask(hub, VICTIM, "GET", f"/v1/approvals/{request['id']}").json()
    assert (shown["state"], shown["endorsed_by"]) == ("requested", OPERATOR)
    ask(hub, VICTIM, "POST", f"/v1/approvals/{request['id']}/refuse").raise_for_status()


def test_request_that_is_approved_and_withdrawn_at_once_ends_in_one_way(hub: RunningHub) -> None:
    """The client exists exactly if the request was granted."""
    for number in range(4):
        client_id = f"osh-race-{number}"
        wanted = credential(VICTIM, "partner", secrets.token_urlsafe(32), client_id)
        path = f"/v1/approvals/{ask(hub, 'operator', 'POST', '/v1/credentials', json=wanted).json()['id']}"
        approve = partial(ask, hub, "second-operator", "POST", f"{path}/approve")
        refuse = partial(ask, hub, "operator", "POST", f"{path}/refuse")
        answers = at_once([approve, refuse] * (AT_ONCE // 2))
        assert Counter(answer.status_code for answer in answers) == {200: 1, 409: AT_ONCE - 1}
        (decided,) = [answer.json()["state"] for answer in answers if answer.status_code == 200]
        assert ask(hub, VICTIM, "GET", path).json()["state"] == decided
        own = ask(hub, VICTIM, "GET", "/v1/credentials").json()["items"]
        assert (client_id in {one["client_id"] for one in own}) == (decided == "granted")
        if decided == "granted":
            ask(hub, VICTIM, "DELETE", f"/v1/credentials/{client_id}").raise_for_status()


def at_once(acts: Sequence[Callable[[], httpx.Response]]) -> list[httpx.Response]:
    """Send the requests at the same moment; return their responses."""
    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(lambda act: act(), acts))
