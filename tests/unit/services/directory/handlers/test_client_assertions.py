"""Clients that authenticate and sign with keys of their own instead of a secret."""

from __future__ import annotations

import datetime as dt
import secrets
from hashlib import sha256
from typing import Any

import orjson
import pytest
from joserfc import jws

from contracts.errors import Refused
from contracts.jose import encoded
from runtime.access.tokens import Principal
from services.directory import admission
from services.directory.domain.client import Role
from services.directory.domain.client_key import KeySet
from services.directory.domain.request_proof import ProvableRequest
from tests.support.client_assertions import ALGORITHMS, Key, assertion, new_key, public_set
from tests.unit.services.directory.samples import DESK, ISSUER, NOON, OPERATOR, OSH, Directory, organization

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


def key_set(*keys: Key) -> KeySet:
    return admission.key_set(public_set(*keys))


def issue_with_keys(directory: Directory, *keys: Key, client_id: str = "desk") -> None:
    directory.entries.put_organization(OPERATOR, organization())
    directory.credentials.issue(
        OPERATOR.id, client_id=client_id, principal=OSH, roles=(Role.partner,), jwks=key_set(*keys)
    )


def refusal(directory: Directory, text: str) -> Refused:
    with pytest.raises(Refused) as refused:
        directory.tokens.issue_for(text)
    return refused.value


@pytest.mark.parametrize("curve", ALGORITHMS)
def test_client_with_a_key_gets_a_token_and_needs_no_secret(directory: Directory, curve: str) -> None:
    key = new_key(curve)
    issue_with_keys(directory, key)
    token = directory.tokens.issue_for(assertion(key, "desk", ISSUER, NOON))
    assert orjson.loads(jws.extract_compact(token.encode()).payload)["sub"] == OSH
    with pytest.raises(Refused):
        directory.tokens.issue("desk", "")


def test_assertion_is_accepted_once(directory: Directory) -> None:
    key = new_key()
    issue_with_keys(directory, key)
    text = assertion(key, "desk", ISSUER, NOON)
    assert directory.tokens.issue_for(text)
    assert refusal(directory, text).slug == "invalid-client"
    directory.clock.time += dt.timedelta(minutes=5, seconds=29)
    assert refusal(directory, text).slug in ("invalid-client", "clock-skew")
    directory.clock.time += dt.timedelta(seconds=1)
    assert refusal(directory, text).slug == "clock-skew"


def test_client_id_beside_the_assertion_must_be_its_subject(directory: Directory) -> None:
    key = new_key()
    issue_with_keys(directory, key)
    text = assertion(key, "desk", ISSUER, NOON)
    for other in ("archive", "", "DESK"):
        with pytest.raises(Refused) as refused:
            directory.tokens.issue_for(text, other)
        assert (refused.value.slug, refused.value.status) == ("invalid-client", 401)
    assert directory.tokens.issue_for(text, "desk")


def foreign(good: Key) -> dict[str, str]:
    other = new_key(kid=str(good.kid))
    as_curve = new_key("P-256", kid=str(good.kid))
    now = {"client_id": "desk", "audience": ISSUER, "now": NOON}
    return {
        "empty": "",
        "two parts": "a.b",
        "no JWS": "e30.e30.AAAA",
        "another key": assertion(other, **now),  # type: ignore[arg-type]
        "another curve": assertion(as_curve, **now),  # type: ignore[arg-type]
        "another kid": assertion(good, **now, header={"kid": "k-2"}),  # type: ignore[arg-type]
        "an access token": assertion(good, **now, header={"typ": "at+jwt"}),  # type: ignore[arg-type]
        "a request proof": assertion(good, **now, header={"typ": "kopuro-proof"}),  # type: ignore[arg-type]
        "unknown client": assertion(good, "nobody", ISSUER, NOON),
        "client with NUL": assertion(good, "desk\0", ISSUER, NOON),
        "too long": assertion(good, **now, padding="x" * 4096),  # type: ignore[arg-type]
        "key in the header": assertion(other, **now, header={"jwk": other.as_dict(private=False)}),  # type: ignore[arg-type]
    }


@pytest.mark.parametrize("name", foreign(new_key()))
def test_assertion_that_no_key_of_the_client_signed_is_refused(directory: Directory, name: str) -> None:
    key = new_key()
    issue_with_keys(directory, key)
    refused = refusal(directory, foreign(key)[name])
    assert (refused.slug, refused.detail) == ("invalid-client", "No client has this id and key.")


def test_removed_and_expired_keys_get_no_token(directory: Directory) -> None:
    old, new = new_key(kid="old"), new_key(kid="new")
    issue_with_keys(directory, old)
    expiring = admission.key_set(
        {"keys": [{**new.as_dict(private=False), "exp": int(NOON.timestamp()) + 3600}]}
    )
    directory.own_credentials.replace_keys("desk", expiring, by=DESK)
    assert refusal(directory, assertion(old, "desk", ISSUER, NOON)).slug == "invalid-client"
    assert directory.tokens.issue_for(assertion(new, "desk", ISSUER, NOON))
    directory.clock.time = NOON + dt.timedelta(hours=1)
    late = assertion(new, "desk", ISSUER, directory.clock.time)
    assert refusal(directory, late).slug == "invalid-client"


def test_revoked_client_gets_no_token_for_its_key(directory: Directory) -> None:
    key = new_key()
    issue_with_keys(directory, key)
    directory.credentials.revoke("desk", by=OSH, client="desk", operator=False)
    assert refusal(directory, assertion(key, "desk", ISSUER, NOON)).slug == "invalid-client"


@pytest.mark.parametrize("curve", ALGORITHMS)
def test_client_with_a_key_signs_its_changes_with_it(directory: Directory, curve: str) -> None:
    key = new_key(curve)
    issue_with_keys(directory, key)
    request = ProvableRequest(method="POST", path="/v1/keys", token="a.token", body=b"{}")
    caller = Principal(id=OSH, roles=frozenset({"partner"}), client_id="desk")
    signed = signed_proof(key, request)
    directory.proofs.check(caller, request, signed)
    for wrong in (signed, signed_proof(new_key(curve), request), signed_proof(key, request, typ="JWT")):
        with pytest.raises(Refused) as refused:
            directory.proofs.check(caller, request, wrong)
        assert refused.value.slug == "invalid-proof"


def signed_proof(key: Key, request: ProvableRequest, **header: Any) -> str:
    algorithm = ALGORITHMS[str(key.as_dict()["crv"])]
    full = {"alg": algorithm, "kid": key.kid, "typ": "kopuro-proof", **header}
    content = {
        "id": secrets.token_urlsafe(16),
        "issued_at": NOON.isoformat(),
        "method": request.method,
        "path": request.path,
        "token": encoded(sha256(request.token.encode()).digest()),
        "body": encoded(sha256(request.body).digest()),
        "if_match": None,
        "if_none_match": None,
    }
    return jws.serialize_compact(full, orjson.dumps(content), key, algorithms=[algorithm])
