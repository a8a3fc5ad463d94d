"""A thief has one partner's client id and secret, and nothing else."""

from __future__ import annotations

import datetime as dt
import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator

import httpx
import pytest

from contracts.records import plain
from kopuro_client import Kopuro, WrongKeyError, generate_key, open_sealed, public_key
from sandbox.broker import PrivateBroker
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until
from tests.support.partners import ask_for_token
from tests.threats.guarded_hub import ask, guarded_hub, notice, on_record, read_own

REFERRAL = "wage-claim-osh-moscow"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, broker: PrivateBroker) -> Iterator[RunningHub]:
    with guarded_hub(tmp_path_factory.mktemp("stolen-secret"), broker) as running:
        yield running


@pytest.fixture
def victim(hub: RunningHub) -> str:
    """An organisation whose secret is stolen; it is asked first for the sample referral."""
    sender, referral_id = hub.submit(REFERRAL, urgency="urgent")
    asked, _ = hub.next_offer(sender, referral_id)
    sender.hub.withdraw(referral_id, "placed_elsewhere")
    return asked.id


def thief(hub: RunningHub, victim: str) -> Kopuro:
    """Return a client with the stolen secret and without the sealing key."""
    stolen = hub.people["organizations"][victim]
    return Kopuro.discover(hub.files.discovery_address(), stolen["client_id"], stolen["client_secret"])


def key_header(sealed: str) -> str:
    header = sealed.partition(".")[0]
    kid: str = json.loads(urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"]
    return kid


def test_sealing_key_is_not_replaced_by_a_token_alone(hub: RunningHub, victim: str) -> None:
    before = read_own(hub, victim)
    foreign = generate_key()
    challenged = ask(hub, victim, "POST", "/v1/keys", json=public_key(foreign))
    assert challenged.status_code == 202
    with pytest.raises(WrongKeyError):
        open_sealed(challenged.json()["sealed"], foreign)
    prove = f"/v1/keys/{challenged.json()['challenge']}/prove"
    for guess in ("", "guess", challenged.json()["challenge"], challenged.json()["sealed"][-43:]):
        refused = ask(hub, victim, "POST", prove, json={"answer": guess})
        assert refused.status_code in (403, 422), refused.text
    path = f"/v1/organizations/{victim}"
    revision = {"If-Match": f'"{before["revision"]}"'}
    for key in (public_key(foreign), None):
        put = ask(hub, victim, "PUT", path, json={**before, "sealing_key": key})
        assert (put.status_code, put.json()["errors"][0]["pointer"]) == (403, "/sealing_key")
        patch = {"Content-Type": "application/merge-patch+json", **revision}
        patched = ask(hub, victim, "PATCH", path, content=json.dumps({"sealing_key": key}), headers=patch)
        assert patched.status_code == 403
    assert read_own(hub, victim) == before


def test_request_for_approval_changes_nothing_and_owner_is_notified(hub: RunningHub, victim: str) -> None:
    before = read_own(hub, victim)
    foreign = public_key(generate_key())
    asked = ask(hub, victim, "POST", "/v1/keys", json={**foreign, "approval": True})
    assert asked.status_code == 202
    request = asked.json()
    told = notice(hub.organization(victim).hub, "approval.requested", id=request["id"])
    assert (told["kind"], told["requested_by"]) == ("sealing_key", victim)
    assert on_record(hub, "approval.requested", victim, victim) >= 1
    approve = ask(hub, victim, "POST", f"/v1/approvals/{request['id']}/approve")
    assert approve.status_code == 403
    refused = ask(hub, "operator", "POST", f"/v1/approvals/{request['id']}/refuse")
    assert refused.json()["state"] == "refused"
    assert notice(hub.organization(victim).hub, "approval.refused", id=request["id"])["by"] == "kg.operator"
    assert read_own(hub, victim) == before


def test_notice_that_the_thief_acknowledges_is_read_again_and_on_record(hub: RunningHub, victim: str) -> None:
    began = (dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)).isoformat()
    request = ask(
        hub, victim, "POST", "/v1/keys", json={**public_key(generate_key()), "approval": True}
    ).json()
    owner, requested = hub.organization(victim).hub, ["approval.requested"]

    def told(since: str | None = None) -> list[str]:
        items = owner.mailbox(types=requested, since=since, limit=200)["items"]
        return [message["id"] for message in items if message["data"]["id"] == request["id"]]

    (message_id,) = until(lambda: told() or None, "the notice of the request")
    with thief(hub, victim) as stolen:
        stolen.acknowledge(message_id)
    assert told() == []
    assert told(began) == [message_id]
    assert on_record(hub, "approval.requested", victim, victim) >= 1
    refused = ask(hub, "operator", "POST", f"/v1/approvals/{request['id']}/refuse")
    assert refused.json()["state"] == "refused"


def test_case_that_the_thief_accepts_stays_sealed_to_the_owners_key(hub: RunningHub) -> None:
    sender, referral_id = hub.submit(REFERRAL, urgency="urgent")
    owner, offer_id = hub.next_offer(sender, referral_id)
    foreign = generate_key()
    with thief(hub, owner.id) as stolen:
        ask(hub, owner.id, "POST", "/v1/keys", json=public_key(foreign))
        ask(hub, owner.id, "POST", "/v1/keys", json={**public_key(foreign), "approval": True})
        stolen.accept(offer_id)
        owner.await_message("case.released", referral_id)
        address = f"{hub.address('delivery')}/v1/case/{referral_id}"
        fetched = httpx.get(address, headers={"Authorization": f"Bearer {hub.token(owner.id)}"})
        assert fetched.status_code == 200, fetched.text
        sealed: str = fetched.json()["case"]
        with pytest.raises(WrongKeyError):
            stolen.open(sealed, foreign)
    assert key_header(sealed) == hub.people["organizations"][owner.id]["sealing_key"]["kid"]
    assert owner.hub.case(referral_id) == plain(hub.network.referral(REFERRAL).case)


def test_revoked_secret_gets_no_token(hub: RunningHub, victim: str) -> None:
    stolen = hub.people["organizations"]["uz.silk-needle-union"]
    revoked = ask(hub, "operator", "DELETE", f"/v1/credentials/{stolen['client_id']}")
    assert revoked.status_code == 200

    def refused() -> bool:
        answer = ask_for_token(hub.address("directory"), stolen["client_id"], stolen["client_secret"])
        return answer.status_code == 401

    until(refused, "the refusal of a token", within=5)
    assert on_record(hub, "credential.revoked", "kg.operator", "uz.silk-needle-union") == 1
