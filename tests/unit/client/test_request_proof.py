"""Proofs of requests that change the directory, as the client sends them."""

from __future__ import annotations

from hashlib import sha256

from contracts.jose import encoded
from kopuro_client import Kopuro
from services.directory.adapters.request_proofs import read_proof
from services.directory.domain.request_proof import RequestProof, public_proof_key, secret_key
from tests.unit.client.fake_hub import FakeHub, json_response, problem

KEY = public_proof_key("a secret")
APPROVE = "/directory/v1/approvals/one/approve"


def proofs(hub: FakeHub, path: str) -> list[RequestProof]:
    return [
        read_proof(request.headers["kopuro-proof"], [secret_key(KEY)]) for request in hub.requests_to(path)
    ]


def test_every_change_of_the_directory_is_signed(client: Kopuro, hub: FakeHub) -> None:
    hub.otherwise = json_response({"revision": 7, "items": [], "next": None})
    office = client.administration
    office.approve("one")
    office.refuse("one")
    office.issue_client("kg.osh-legal-aid", "partner", secret_sha256="0" * 64, revision=2)
    office.revoke_client("osh laptop")
    office.approve_service("kg.osh-legal-aid", "house", ["protection.trafficking"], revision=7)
    office.withdraw_service_approval("kg.osh-legal-aid", "house", "service_changed")
    client.update_organization("kg.osh-legal-aid", {"name": "New"}, revision=7)
    client.organization("kg.osh-legal-aid")
    changes = [r for r in hub.received if r.path.startswith("/directory/v1") and r.method != "GET"]
    assert len(changes) == 7
    for change in changes:
        proof = read_proof(change.headers["kopuro-proof"], [secret_key(KEY)])
        assert proof.method == change.method
        assert proof.body == encoded(sha256(change.body).digest())
        assert proof.if_match == change.headers.get("if-match")
        assert proof.token == encoded(sha256(b"token-1").digest())
        assert f"/directory{proof.path}" == change.path.replace("%20", " ")
    assert all("kopuro-proof" not in r.headers for r in hub.received if r.method == "GET")


def test_other_services_and_the_token_endpoint_get_no_proof(client: Kopuro, hub: FakeHub) -> None:
    hub.otherwise = json_response({"id": "x"}, status=202)
    client.withdraw("01930f6f-0a00-7000-8000-00000000a003", "other")
    posts = [request for request in hub.received if request.method == "POST"]
    assert len(posts) == 2
    assert all("kopuro-proof" not in request.headers for request in posts)


def test_each_attempt_has_a_proof_of_its_own(client: Kopuro, hub: FakeHub) -> None:
    path = "/directory/v1/credentials/desk"
    hub.script("DELETE", path, problem(503, "unavailable", "Later"), json_response({"client_id": "desk"}))
    client.administration.revoke_client("desk")
    first, second = proofs(hub, path)
    assert first.id != second.id


def test_renewed_token_is_signed_anew(client: Kopuro, hub: FakeHub) -> None:
    hub.script("POST", APPROVE, problem(401, "expired-token", "Expired"), json_response({"state": "granted"}))
    client.administration.approve("one")
    first, second = proofs(hub, APPROVE)
    assert [first.token, second.token] == [
        encoded(sha256(token).digest()) for token in (b"token-1", b"token-2")
    ]
