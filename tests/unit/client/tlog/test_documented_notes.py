"""Signed notes are as docs/auditing.md describes them, for a reader that shares no code with the client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kopuro_client.tlog.key_change import new_log_key
from kopuro_client.tlog.keys import VerifierKey
from kopuro_client.tlog.note import SignedNote
from services.audit.log.domain import note
from services.audit.log.domain.cosignature import CosignatureVerifier
from services.audit.log.domain.note import Ed25519Signer
from tests.servers import ROOT
from tests.unit.client.tlog.independent_reader import key_of, signers_of


def vectors() -> dict[str, Any]:
    """Return the vectors of signed notes in docs/auditing.md."""
    page = (ROOT / "docs" / "auditing.md").read_text()
    text = page.partition("Vectors of signed notes")[2].partition("```json\n")[2].partition("```")[0]
    found: dict[str, Any] = json.loads(text)
    return found


VECTORS = vectors()
LOG, WITNESS, NEW = VECTORS["log_key"], VECTORS["witness_key"], VECTORS["new_log_key"]


def signer(first: int) -> Ed25519Signer:
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(first, first + 32)))
    return Ed25519Signer(name="kopuro/kg", private_key=private)


def test_independent_reader_verifies_the_documented_notes() -> None:
    assert signers_of(VECTORS["checkpoint"], [LOG, WITNESS]) == [
        (LOG, None),
        (WITNESS, VECTORS["witnessed_at"]),
    ]
    assert signers_of(VECTORS["key_change"], [LOG, NEW]) == [(LOG, None), (NEW, None)]
    with pytest.raises(InvalidSignature):
        signers_of(VECTORS["checkpoint"].replace("kg\n2\n", "kg\n3\n"), [LOG])


def test_client_verifies_the_documented_notes() -> None:
    keys = [VerifierKey.parse(key) for key in (LOG, WITNESS)]
    assert len(SignedNote.parse(VECTORS["checkpoint"]).signatures_by(keys)) == 2
    assert new_log_key(VECTORS["key_change"], keys) == VerifierKey.parse(NEW)


def test_log_signs_and_names_its_keys_as_documented() -> None:
    text, _, lines = VECTORS["checkpoint"].rpartition("\n\n")
    own = lines.splitlines(keepends=True)[0]
    assert note.sign(text + "\n", signer(0)).decode() == f"{text}\n\n{own}"
    assert (signer(0).verifier.format(), signer(64).verifier.format()) == (LOG, NEW)
    change = VECTORS["key_change"].rpartition("\n\n")[0] + "\n"
    assert note.sign(change, signer(0), signer(64)).decode() == VECTORS["key_change"]
    name, _, kind, public = key_of(WITNESS)
    assert kind == 4
    assert CosignatureVerifier(name=name, public_key=public).format() == WITNESS
