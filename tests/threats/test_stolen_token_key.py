"""The directory's token-signing key is stolen: the thief signs whatever tokens it likes."""

from __future__ import annotations

import base64
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
from kopuro_client.request_proof import RequestSigner
from sandbox.broker import PrivateBroker
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until
from tests.support.partners import ask_for_token
from tests.support.resource_paths import path_of
from tests.support.signed_requests import send
from tests.threats.guarded_hub import ask, guarded_hub, read_own
from tests.threats.guarded_resources import GuardedResource, guarded_resources, resources_for

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

MEMBER, CLIENTLESS = "kg.second-harvest", "kg.without-a-client"
SECONDS = 5.0


class Thief:
    """Holds the signing key and knows every public record."""

    def __init__(self, hub: RunningHub) -> None:
        self._issuer = hub.address("directory")
        self._key = OKPKey.import_key(json.loads(hub.files.key("token").read_text(encoding="utf-8")))

    def token(self, subject: str, *roles: str, **claims: Any) -> str:
        """Sign a token. claims: further ones, or other values."""
        now = int(time.time())
        content = {
            "iss": self._issuer,
            "aud": "kopuro:kg",
            "sub": subject,
            "roles": list(roles),
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "nbf": now,
            "exp": now + 900,
            "epoch": 0,
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
    "live client, of a later epoch than the directory has": lambda thief: thief.token(
        MEMBER, "partner", client_id=MEMBER, epoch=10**6
    ),
    "live client, without an epoch": lambda thief: thief.token(
        MEMBER, "partner", client_id=MEMBER, epoch=None
    ),
    "live client, for ten years": lambda thief: thief.token(
        MEMBER, "partner", client_id=MEMBER, exp=int(time.time()) + 10 * 365 * 86_400
    ),
    "invented member of the staff": lambda thief: thief.token("kg.eve", "operator", client_id="eve"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_token_that_no_client_was_issued_is_refused_at_every_resource(
    hub: RunningHub, thief: Thief, forgery: str
) -> None:
    token = FORGERIES[forgery](thief)
    answers = {str(resource): resource.refusal(hub, token) for resource in guarded_resources()}
    assert answers == dict.fromkeys(answers, (401, "invalid-token"))


def test_token_of_revoked_client_is_refused_at_every_service(hub: RunningHub, thief: Thief) -> None:
    client_id = "kg.second-harvest.branch"
    credentials = f"{hub.address('directory')}/v1/credentials"
    operator = {"Authorization": f"Bearer {hub.token('operator')}"}
    wanted = {"client_id": client_id, "principal": MEMBER, "roles": ["partner"]}
    issued = httpx.post(credentials, json=wanted, headers=operator)
    assert issued.status_code == 201, issued.text
    token = thief.token(MEMBER, "partner", client_id=client_id)
    by_service = {
        resource.service: resource for resource in resources_for("partner") if resource.method == "GET"
    }
    assert set(by_service) == {"audit", "delivery", "directory", "intake", "routing"}
    for resource in by_service.values():
        assert resource.ask(hub, token).status_code in (200, 404), str(resource)

    revoked = httpx.delete(f"{credentials}/{client_id}", headers=operator)
    assert revoked.status_code == 200, revoked.text
    for resource in by_service.values():
        until(refused(resource, hub, token), f"the refusal by {resource}", within=SECONDS)


def test_revoked_tokens_are_refused_at_every_service_and_new_ones_are_admitted(hub: RunningHub) -> None:
    credentials = f"{hub.address('directory')}/v1/credentials"
    operator = {"Authorization": f"Bearer {hub.token('operator')}"}
    wanted = {"client_id": "kg.second-harvest.desk", "principal": MEMBER, "roles": ["partner"]}
    issued = httpx.post(credentials, json=wanted, headers=operator).raise_for_status().json()
    pair = (issued["client_id"], issued["client_secret"])

    def new_token() -> str:
        return str(ask_for_token(hub.address("directory"), *pair).raise_for_status().json()["access_token"])

    token = new_token()
    by_service = {
        resource.service: resource for resource in resources_for("partner") if resource.method == "GET"
    }
    for resource in by_service.values():
        assert resource.ask(hub, token).status_code in (200, 404), str(resource)
    own = {"Authorization": f"Bearer {token}"}
    revoked = httpx.post(f"{credentials}/{pair[0]}/revoke-tokens", headers=own)
    assert revoked.status_code == 200, revoked.text
    renewed = new_token()
    for resource in by_service.values():
        until(refused(resource, hub, token), f"the refusal by {resource}", within=SECONDS)
        assert resource.ask(hub, renewed).status_code in (200, 404), str(resource)


def refused(resource: GuardedResource, hub: RunningHub, token: str) -> Callable[[], bool]:
    return lambda: resource.refusal(hub, token) == (401, "invalid-token")


def test_refused_forgery_is_on_record_with_its_client_and_token_id(hub: RunningHub, thief: Thief) -> None:
    token_id = secrets.token_urlsafe(16)
    token = thief.token("kg.eve", "auditor", client_id="eve-of-record", jti=token_id)
    (resource,) = [resource for resource in guarded_resources() if resource.url == "/v1/history"]
    assert resource.refusal(hub, token) == (401, "invalid-token")
    lines = [json.loads(line) for line in hub.files.log("audit").read_text().splitlines() if token_id in line]
    assert [(line["message"], line["client"], line["jti"]) for line in lines] == [
        ("token refused", "eve-of-record", token_id)
    ]
    assert token not in hub.logs()


def test_token_in_the_name_of_a_live_client_is_admitted_until_the_key_is_replaced(
    hub: RunningHub, thief: Thief
) -> None:
    """The holder of the token key issues valid tokens (docs/security.md); nothing prevents that."""
    token = thief.token(MEMBER, "partner", client_id=MEMBER)
    (resource,) = [resource for resource in resources_for("partner") if resource.url == "/v1/mailbox"]
    assert resource.ask(hub, token).status_code == 200


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, broker: PrivateBroker) -> Iterator[RunningHub]:
    """A hub where two persons decide."""
    with guarded_hub(tmp_path_factory.mktemp("stolen-token-key"), broker) as running:
        yield running


CHANGES = [
    resource
    for resource in guarded_resources()
    if resource.service == "directory" and resource.method != "GET"
]


def forged(thief: Thief, hub: RunningHub, who: str, role: str) -> str:
    """Return a token in the name of a live client."""
    claims = json.loads(base64.urlsafe_b64decode(hub.token(who).split(".")[1] + "=="))
    return thief.token(claims["sub"], role, client_id=claims["client_id"])


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_forged_token_changes_nothing_in_the_directory(guarded: RunningHub, change: GuardedResource) -> None:
    thief, foreign = Thief(guarded), secrets.token_urlsafe(32)
    kind = "application/merge-patch+json" if change.method == "PATCH" else "application/json"
    for who, role in ((MEMBER, "partner"), ("operator", "operator"), ("coordinator", "coordinator")):
        if role not in change.roles:
            continue
        token = forged(thief, guarded, who, role)
        assert change.refusal(guarded, token) == (403, "proof-required"), role
        path = path_of(change.url)
        for secret in (foreign, guarded.people["auditor"]["client_secret"]):
            answer = send(
                guarded.address("directory"),
                change.method,
                path,
                token=token,
                secret=secret,
                json={},
                headers={"Content-Type": kind},
            )
            assert (answer.status_code, answer.json()["type"]) == (403, "urn:kopuro:problem:invalid-proof")


def test_two_forged_operators_replace_no_sealing_key(guarded: RunningHub) -> None:
    thief = Thief(guarded)
    before = read_own(guarded, MEMBER)
    foreign = public_key(generate_key())

    def attempt(who: str, role: str, path: str, **body: Any) -> tuple[int, str]:
        token = forged(thief, guarded, who, role)
        answer = send(guarded.address("directory"), "POST", path, token=token, secret=None, json=body)
        return answer.status_code, answer.json()["type"].rpartition(":")[2]

    refused = (403, "proof-required")
    assert attempt("operator", "operator", "/v1/keys", **foreign, organization=MEMBER) == refused
    # A request in the owner's name is refused too, and no proof of the old key is asked for.
    assert attempt(MEMBER, "partner", "/v1/keys", **foreign, approval=True) == refused
    assert attempt(MEMBER, "partner", "/v1/keys", **foreign) == refused
    # A real request that waits for its second person does not help either.
    real = ask(guarded, "operator", "POST", "/v1/keys", json={**foreign, "organization": MEMBER}).json()
    approve = f"/v1/approvals/{real['id']}/approve"
    assert attempt("second-operator", "operator", approve) == refused
    assert read_own(guarded, MEMBER) == before
    assert ask(guarded, "second-operator", "POST", f"/v1/approvals/{real['id']}/refuse").status_code == 200
    waiting = ask(guarded, "operator", "GET", "/v1/approvals", params={"state": "requested"}).json()
    assert waiting["items"] == []


def test_captured_request_of_an_operator_is_accepted_once(guarded: RunningHub) -> None:
    token, secret = guarded.token("operator"), guarded.people["operator"]["client_secret"]
    root = guarded.address("directory")
    path = "/v1/credentials/no-such-client"
    signed = RequestSigner(root, secret).proof("DELETE", root + path, token=token)

    def replay(to: str = path, **headers: str) -> str:
        answer = send(
            root, "DELETE", to, token=token, secret=None, headers={"Kopuro-Proof": signed, **headers}
        )
        return str(answer.json()["type"]).rpartition(":")[2]

    assert replay("/v1/credentials/another-client") == "invalid-proof"
    assert replay(**{"If-Match": "*"}) == "invalid-parameter"
    assert replay() == "not-found"  # the handler's answer: the proof was accepted
    assert replay() == "invalid-proof"
