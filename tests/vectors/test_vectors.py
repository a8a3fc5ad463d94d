"""The published vectors, verified by other code than that which made them.

Sealing and thumbprints are made by hand and verified through joserfc. Signatures, notes and receipts are made
by hand and verified by the server's and the client's own code, receipts also by a reader that shares no code
with either. Cursors are made by the server and followed by the client.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from joserfc import jwe
from joserfc.jwk import OKPKey

from contracts.errors import Refused
from contracts.jose import thumbprint as server_thumbprint
from kopuro_client import SealingError, UnreadableError, WrongKeyError, open_sealed
from kopuro_client.paging import following, watching
from kopuro_client.records import Message, Page
from kopuro_client.request_proof import proof_key
from kopuro_client.resources.mailbox import Mailbox
from kopuro_client.tlog import TlogError, TrustPolicy, VerifierKey, receipts_in
from kopuro_client.tlog.note import SignedNote
from services.delivery.webhooks.domain.signature import SigningSecret, signed_headers
from services.directory.adapters.request_proofs import read_proof
from services.directory.domain.request_proof import ProvableRequest, check_proof, public_proof_key, secret_key
from tests.support.node import PARTNERS, node_directory
from tests.support.webhook_receiver import Received
from tests.unit.client.tlog import independent_reader
from tests.vectors import webhooks as made
from tests.vectors.generate import FILES, FOLDER, content


def vectors(name: str) -> Any:
    return json.loads((FOLDER / name).read_bytes())


@pytest.mark.parametrize("name", FILES)
def test_published_file_is_the_generated_one(name: str) -> None:
    assert (FOLDER / name).read_bytes() == content(name), "run python -m tests.vectors.generate"


def test_folder_has_no_other_file() -> None:
    assert {file.name for file in FOLDER.iterdir()} == set(FILES)


def test_thumbprints_are_those_of_a_jose_library_and_of_the_hub() -> None:
    for vector in vectors("thumbprints.json")["vectors"]:
        jwk = vector["jwk"]
        assert (
            OKPKey.import_key({n: jwk[n] for n in ("kty", "crv", "x")}).thumbprint() == vector["thumbprint"]
        )
        assert server_thumbprint(jwk["x"], jwk["crv"]) == vector["thumbprint"]


def test_sealed_vectors_open_in_the_client_and_in_a_jose_library() -> None:
    file = vectors("sealing.json")
    key = OKPKey.import_key({n: file["private_key"][n] for n in ("kty", "crv", "x", "d")})
    for vector in file["opened"]:
        assert open_sealed(vector["sealed"], file["private_key"]) == vector["content"]
        opened = jwe.decrypt_compact(vector["sealed"], key, algorithms=["ECDH-ES+A256KW", "A256GCM"])
        assert json.loads(opened.plaintext or b"") == vector["content"]


def test_refused_sealed_vectors_are_refused_with_their_reason() -> None:
    file = vectors("sealing.json")
    for vector in file["refused"]:
        with pytest.raises(SealingError) as raised:
            open_sealed(vector["sealed"], file["private_key"])
        error = raised.value
        found = "wrong_key" if isinstance(error, WrongKeyError) else cast(UnreadableError, error).reason
        assert found == vector["reason"], vector["name"]


def test_request_proofs_verify_at_the_directory_and_their_key_is_the_clients() -> None:
    file = vectors("request_proofs.json")
    assert public_proof_key(file["client_secret"]) == file["public_key"]
    public = proof_key(file["client_secret"]).public_key().public_bytes_raw()
    assert base64.urlsafe_b64encode(public).rstrip(b"=").decode() == file["public_key"]
    for vector in file["vectors"]:
        proof = read_proof(vector["proof"], [secret_key(file["public_key"])])
        request = ProvableRequest(
            method=vector["method"],
            path=vector["path"],
            token=file["token"],
            body=vector["body"].encode(),
            if_match=vector.get("if_match"),
        )
        check_proof(proof, request, proof.issued_at + dt.timedelta(minutes=1))
    for vector in file["refused"]:
        with pytest.raises(Refused):
            read_proof(vector["proof"], [secret_key(file["public_key"])])


def test_signed_notes_are_accepted_as_stated() -> None:
    file = vectors("signed_notes.json")
    policy = TrustPolicy(logs=(VerifierKey.parse(file["log_key"]),))
    witnesses = [VerifierKey.parse(key) for key in file["witness_keys"]]
    for vector in file["vectors"]:
        if not vector["accepted"]:
            with pytest.raises(TlogError):
                policy.accept(vector["note"])
            continue
        policy.accept(vector["note"])
        found = SignedNote.parse(vector["note"]).signatures_by(witnesses)
        assert [signed.key.name for signed in found] == vector["witnesses"]


def test_receipts_verify_in_the_client_and_by_an_independent_reader() -> None:
    file = vectors("receipts.json")
    policy = TrustPolicy(logs=(VerifierKey.parse(file["log_key"]),))
    for vector in file["accepted"]:
        (receipt,) = receipts_in(vector["data"])
        receipt.verify(policy)
        assert receipt.fields()["message_id"] == vector["message_id"]
        (one,) = vector["data"]["receipts"]
        leaf = one["leaf"].encode()
        assert independent_reader.leaf_hash(leaf).hex() == vector["leaf_hash"]
        _, size, root, *_ = vector["data"]["checkpoint"].split("\n")
        proof = [base64.b64decode(vector["data"]["hashes"][place]) for place in one["path"]]
        assert independent_reader.climb(leaf, one["index"], int(size), proof) == base64.b64decode(root)
        opened = {"value": json.loads(one["head"]), "salt": one["head_salt"]}
        read = independent_reader.read_entry(one["index"], leaf, opened, None)
        assert read.said["message_id"] == vector["message_id"]


@pytest.mark.parametrize("vector", vectors("receipts.json")["refused"], ids=lambda vector: vector["name"])
def test_refused_receipts_are_refused(vector: Any) -> None:
    policy = TrustPolicy(logs=(VerifierKey.parse(vectors("receipts.json")["log_key"]),))
    with pytest.raises(TlogError):
        for receipt in receipts_in(vector["data"]):
            receipt.verify(policy)


WEBHOOKS = vectors("webhooks.json")
SIGNING = {
    one.name: SigningSecret(mac_key=one.shared, seed=one.seed) for one in (made.PRESENT, made.PREVIOUS)
}


def test_hub_signs_webhooks_as_the_vectors_and_shows_their_keys() -> None:
    for given in WEBHOOKS["secrets"]:
        secret = SIGNING[given["name"]]
        assert (secret.shared, secret.public_key) == (given["secret"], given["public_key"])
    signed = [one for one in WEBHOOKS["requests"] if "v2" not in one["headers"]["webhook-signature"]]
    for vector in signed[:4]:
        headers = signed_headers(
            [SIGNING[name] for name in vector["verified_by"]],
            message_id=vector["headers"]["webhook-id"],
            timestamp=int(vector["headers"]["webhook-timestamp"]),
            body=vector["body"].encode(),
        )
        assert headers == vector["headers"], vector["name"]


@pytest.mark.parametrize("vector", WEBHOOKS["requests"], ids=lambda vector: vector["name"])
@pytest.mark.parametrize("given", WEBHOOKS["secrets"], ids=lambda given: given["name"])
def test_webhook_is_verified_by_the_secrets_that_the_vector_names(vector: Any, given: Any) -> None:
    headers = vector["headers"]
    request = Received(path="/", headers=headers, body=vector["body"].encode(), at=0)
    on_time = abs(WEBHOOKS["now"] - int(headers["webhook-timestamp"])) <= WEBHOOKS["tolerance_seconds"]
    verified = on_time
    try:
        request.verify(given["secret"], given["public_key"])
    except AssertionError:
        verified = False
    assert verified == (given["name"] in vector["verified_by"])


def test_node_receiver_of_the_partners_verifies_the_same_webhooks(tmp_path: Path) -> None:
    program = f"""
        import {{ readFileSync }} from "node:fs";
        import {{ Verifier }} from "{(PARTNERS / "webhook_signatures.mjs").as_uri()}";
        const file = JSON.parse(readFileSync("{FOLDER / "webhooks.json"}"));
        for (const {{ headers, body }} of file.requests) {{
          const names = file.secrets.filter((given) => {{
            try {{
              new Verifier(given, () => file.now).verify(headers, Buffer.from(body));
              return true;
            }} catch {{
              return false;
            }}
          }});
          console.log(JSON.stringify(names.map(({{ name }}) => name)));
        }}
    """
    (tmp_path / "check.mjs").write_text(program, encoding="utf-8")
    node = [str(node_directory() / "node"), "check.mjs"]
    done = subprocess.run(node, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found == [vector["verified_by"] for vector in WEBHOOKS["requests"]]


class _Silence(Exception):
    """The scenario is over."""


@pytest.mark.parametrize(
    "scenario", vectors("cursor_paging.json")["scenarios"], ids=lambda scenario: scenario["name"]
)
def test_client_follows_cursors_as_stated(scenario: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    exchanges = iter(scenario["exchanges"])

    def asked(query: dict[str, str]) -> Page[Message]:
        try:
            exchange = next(exchanges)
        except StopIteration:
            raise _Silence from None
        assert query == exchange["query"]
        return cast("Page[Message]", exchange["response"])

    def fetch(after: str | None, wait: float = 0) -> Page[Message]:
        return asked({} if after is None else {"after": after})

    found: Iterator[Message]
    if "since" in scenario:
        monkeypatch.setattr(
            Mailbox,
            "mailbox",
            lambda self, *, since, after, limit, types: asked(
                {"from": since} if after is None else {"from": since, "after": after}
            ),
        )
        found = Mailbox.recover(object.__new__(Mailbox), scenario["since"])
    elif scenario.get("poll"):
        found = watching(fetch, after=None, wait=30, give_up_after=None, clock=lambda: 0.0, lost=float)
    else:
        found = following(fetch)
    collected = []
    try:
        for message in found:
            collected.append(message["id"])
    except _Silence:
        assert scenario.get("poll")
    assert next(exchanges, None) is None
    assert collected == scenario["collected"]
