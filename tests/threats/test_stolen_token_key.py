"""The directory's token-signing key is stolen: the thief signs whatever tokens it likes."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import OKPKey

from kopuro_client import generate_key, public_key
from sandbox.broker import PrivateBroker
from tests.journey.running_hub import RunningHub
from tests.journey.traces import traces
from tests.journey.waiting import until
from tests.threats.doors import Door, doors, doors_of
from tests.threats.guarded_hub import guarded_hub, notice, on_record

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

MEMBER, CLIENTLESS = "kg.second-harvest", "kg.without-a-client"
SECONDS = 5.0


class Thief:
    """Holds the signing key and knows every public record."""

    def __init__(self, hub: RunningHub) -> None:
        self._key = OKPKey.import_key(json.loads(hub.files.key("token").read_text(encoding="utf-8")))

    def token(self, subject: str, *roles: str, **claims: Any) -> str:
        """Sign a token. claims: further ones, or other values."""
        now = int(time.time())
        content = {
            "iss": "kopuro:kg",
            "sub": subject,
            "roles": list(roles),
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "nbf": now,
            "exp": now + 900,
            **claims,
        }
        header = {"alg": "EdDSA", "typ": "at+jwt", "kid": self._key.thumbprint()}
        return jws.serialize_compact(header, json.dumps(content).encode(), self._key, algorithms=["EdDSA"])


@pytest.fixture(scope="module")
def thief(hub: RunningHub) -> Thief:
    """The thief; the directory has one organisation to which nobody gave a client."""
    created = httpx.put(
        f"{hub.address('directory')}/v1/organizations/{CLIENTLESS}",
        json={"id": CLIENTLESS, "name": "No client", "kind": "ngo", "country": "KG", "vetting": "vetted"},
        headers={"Authorization": f"Bearer {hub.token('operator')}"},
    )
    assert created.status_code == 201, created.text
    return Thief(hub)


FORGERIES: dict[str, Callable[[Thief], str]] = {
    "organisation without a client": lambda thief: thief.token(CLIENTLESS, "partner", client_id=CLIENTLESS),
    "organisation with another's client": lambda thief: thief.token(CLIENTLESS, "partner", client_id=MEMBER),
    "no client named": lambda thief: thief.token(MEMBER, "partner"),
    "client that does not exist": lambda thief: thief.token(MEMBER, "partner", client_id="kg.nobody"),
    "partner as operator": lambda thief: thief.token(MEMBER, "operator", client_id=MEMBER),
    "partner as auditor and coordinator": lambda thief: thief.token(
        MEMBER, "partner", "auditor", "coordinator", client_id=MEMBER
    ),
    "invented member of the staff": lambda thief: thief.token("kg.eve", "operator", client_id="eve"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_token_that_no_client_was_issued_is_refused_at_every_resource(
    hub: RunningHub, thief: Thief, forgery: str
) -> None:
    token = FORGERIES[forgery](thief)
    answers = {str(door): door.refusal(hub, token) for door in doors()}
    assert answers == dict.fromkeys(answers, (401, "invalid-token"))


def test_token_of_revoked_client_is_refused_at_every_service(hub: RunningHub, thief: Thief) -> None:
    client_id = "kg.second-harvest.branch"
    credentials = f"{hub.address('directory')}/v1/credentials"
    operator = {"Authorization": f"Bearer {hub.token('operator')}"}
    wanted = {"client_id": client_id, "principal": MEMBER, "roles": ["partner"]}
    issued = httpx.post(credentials, json=wanted, headers=operator)
    assert issued.status_code == 201, issued.text
    token = thief.token(MEMBER, "partner", client_id=client_id)
    by_service = {door.service: door for door in doors_of("partner") if door.method == "GET"}
    assert set(by_service) == {"audit", "delivery", "directory", "intake", "routing"}
    for door in by_service.values():
        assert door.ask(hub, token).status_code in (200, 404), str(door)

    revoked = httpx.delete(f"{credentials}/{client_id}", headers=operator)
    assert revoked.status_code == 200, revoked.text
    for door in by_service.values():
        until(refused(door, hub, token), f"the refusal by {door}", within=SECONDS)


def refused(door: Door, hub: RunningHub, token: str) -> Callable[[], bool]:
    return lambda: door.refusal(hub, token) == (401, "invalid-token")


def test_refused_forgery_is_on_record_with_its_client_and_token_id(hub: RunningHub, thief: Thief) -> None:
    token_id = secrets.token_urlsafe(16)
    token = thief.token("kg.eve", "auditor", client_id="eve-of-record", jti=token_id)
    (door,) = [door for door in doors() if door.url == "/v1/history"]
    assert door.refusal(hub, token) == (401, "invalid-token")
    lines = [json.loads(line) for line in hub.files.log("audit").read_text().splitlines() if token_id in line]
    assert [(line["message"], line["client"], line["jti"]) for line in lines] == [
        ("token refused", "eve-of-record", token_id)
    ]
    assert token not in hub.logs()


def test_token_in_the_name_of_a_live_client_is_admitted_until_the_key_is_replaced(
    hub: RunningHub, thief: Thief
) -> None:
    """What cannot be prevented: the key's holder is the issuer. `docs/security.md` says so."""
    token = thief.token(MEMBER, "partner", client_id=MEMBER)
    (door,) = [door for door in doors_of("partner") if door.url == "/v1/mailbox"]
    assert door.ask(hub, token).status_code == 200


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, broker: PrivateBroker) -> Iterator[RunningHub]:
    """A hub where two persons decide."""
    with guarded_hub(tmp_path_factory.mktemp("stolen-token-key"), broker) as running:
        yield running


def test_two_forged_operators_replace_a_key_but_owner_is_notified_and_releases_pause(
    guarded: RunningHub,
) -> None:
    """What cannot be prevented, and what is on record then. `docs/security.md` says so."""
    thief = Thief(guarded)
    sender, referral_id = guarded.submit("wage-claim-osh-moscow", urgency="urgent")
    owner, offer_id = guarded.next_offer(sender, referral_id)
    foreign = public_key(generate_key())

    def ask(name: str, path: str, **body: Any) -> dict[str, Any]:
        token = thief.token(f"kg.{name}", "operator", client_id=name)
        answer = httpx.post(
            guarded.address("directory") + path,
            json=body,
            headers={"Authorization": f"Bearer {token}"},
            timeout=20,
        )
        assert answer.is_success, answer.text
        result: dict[str, Any] = answer.json()
        return result

    request = ask("operator", "/v1/keys", **foreign, organization=owner.id)
    granted = ask("second-operator", f"/v1/approvals/{request['id']}/approve")
    assert granted["state"] == "granted"

    assert notice(owner.hub, "approval.requested", id=request["id"])["requested_by"] == "kg.operator"
    assert notice(owner.hub, "sealing_key.replaced", organization=owner.id)
    assert on_record(guarded, "approval.granted", "kg.second-operator", owner.id) == 1
    until(
        lambda: any(place.startswith("vault: ") for place in traces(guarded, [foreign["kid"]])),
        "the new key in the vault's replica",
    )
    owner.hub.accept(offer_id)
    for party in (owner, sender):
        assert party.await_message("case.paused", referral_id)["organization"] == owner.id
    answer = httpx.get(
        f"{guarded.address('delivery')}/v1/case/{referral_id}",
        headers={"Authorization": f"Bearer {guarded.token(owner.id)}"},
    )
    assert answer.status_code == 404
