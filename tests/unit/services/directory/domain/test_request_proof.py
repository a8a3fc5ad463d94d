"""Request proofs: the key that a secret yields, and the requests that a proof covers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

import pytest

from contracts.errors import Refused
from kopuro_client.request_proof import RequestSigner
from services.directory.adapters.request_proofs import read_proof
from services.directory.domain.request_proof import (
    VALID_FOR,
    ProvableRequest,
    check_proof,
    public_proof_key,
    secret_key,
)

SECRET = "an-invented-secret-of-at-least-32-characters"
ROOT = "https://hub.example/directory"
KEY = public_proof_key(SECRET)
REQUEST = ProvableRequest(
    method="PATCH",
    path="/v1/organizations/kg.osh-legal-aid",
    token="the.bearer.token",
    body=b'{"name":"New"}',
    if_match='"3"',
)


def signed(request: ProvableRequest = REQUEST, secret: str = SECRET) -> str:
    return RequestSigner(ROOT, secret).proof(
        request.method,
        ROOT + request.path,
        token=request.token,
        body=request.body,
        if_match=request.if_match,
        if_none_match=request.if_none_match,
    )


def test_key_of_a_secret_never_changes() -> None:
    """Clients in other languages derive the same key: docs/integrating.md has this example."""
    assert KEY == "WI1oYaNo2JToQnUvGN5x3RM7tJx8Q0WMJwzedKMX6iM"


def test_proof_by_the_client_is_of_its_request() -> None:
    proof = read_proof(signed(), [secret_key(KEY)])
    check_proof(proof, REQUEST, proof.issued_at)


def test_escaped_path_is_signed_as_the_directory_reads_it() -> None:
    url = f"{ROOT}/v1/approvals/a%20b%2Fc/approve"
    proof = read_proof(RequestSigner(f"{ROOT}/", SECRET).proof("POST", url, token="t"), [secret_key(KEY)])
    assert proof.path == "/v1/approvals/a b/c/approve"


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "PUT"},
        {"path": "/v1/organizations/kg.other"},
        {"token": "another.bearer.token"},
        {"body": b'{"name":"Other"}'},
        {"if_match": "*"},
        {"if_match": None},
        {"if_none_match": "*"},
    ],
)
def test_proof_of_another_request_is_refused(changed: dict[str, str | bytes | None]) -> None:
    proof = read_proof(signed(), [secret_key(KEY)])
    with pytest.raises(Refused) as refusal:
        check_proof(proof, replace(REQUEST, **changed), proof.issued_at)  # type: ignore[arg-type]
    assert refusal.value.slug == "invalid-proof"


@pytest.mark.parametrize("sign", [1, -1])
def test_proof_outside_its_time_is_refused_as_clock_skew(sign: int) -> None:
    proof = read_proof(signed(), [secret_key(KEY)])
    check_proof(proof, REQUEST, proof.issued_at + sign * VALID_FOR)
    with pytest.raises(Refused) as refusal:
        check_proof(proof, REQUEST, proof.issued_at + sign * (VALID_FOR + dt.timedelta(microseconds=1)))
    assert (refusal.value.slug, refusal.value.status) == ("clock-skew", 403)


DAMAGED: dict[str, Callable[[], str]] = {
    "empty": lambda: "",
    "no proof": lambda: "no proof",
    "three parts": lambda: "a.b.c",
    "by another key": lambda: signed(secret="another-secret-of-at-least-32-characters"),
    "changed signature": lambda: signed()[:-6] + "AAAAAA",
    "changed content": lambda: signed().replace(".ey", ".eyA", 1),
    "header without algorithm": lambda: "e30." + signed().partition(".")[2],
    "not ASCII": lambda: signed() + "\u00e9",
    "too long": lambda: signed() + "A" * 4096,
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_or_foreign_proof_is_refused(name: str) -> None:
    with pytest.raises(Refused) as refusal:
        read_proof(DAMAGED[name](), [secret_key(KEY)])
    assert refusal.value.slug == "invalid-proof"
