"""Receipts with a common checkpoint and hashes are split into self-contained proofs."""

from __future__ import annotations

from typing import Any

import pytest

from kopuro_client.tlog import (
    ContentError,
    MalformedError,
    ProofError,
    ProofFile,
    TrustPolicy,
    UntrustedError,
    VerifierKey,
    receipts_in,
)
from tests.unit.client.tlog.log_writer import LOG, Log, b64, entries, path

LEAVES = entries(300)
TRUE = Log(LEAVES)
POLICY = TrustPolicy(logs=(VerifierKey.parse(LOG.vkey),))


def message(*indices: int) -> dict[str, Any]:
    places: dict[str, int] = {}
    receipts = []
    for index in indices:
        way = [places.setdefault(b64(digest), len(places)) for digest in path(index, TRUE.hashes)]
        receipts.append({"index": index, "leaf": LEAVES[index].decode(), "path": way})
    return {"checkpoint": TRUE.note(), "hashes": list(places), "receipts": receipts}


def test_receipt_proof_has_tlog_proof_format() -> None:
    indices = (0, 9, 255, 299)
    for index, receipt in zip(indices, receipts_in(message(*indices)), strict=True):
        hashes = "".join(f"{b64(digest)}\n" for digest in path(index, TRUE.hashes))
        text = f"c2sp.org/tlog-proof@v1\nindex {index}\n{hashes}\n{TRUE.note()}"
        assert str(receipt.proof) == text
        assert ProofFile.parse(text) == receipt.proof
        assert receipt.leaf == LEAVES[index]
        assert receipt.verify(POLICY).checkpoint.size == 300


def test_proof_with_extra_data_round_trips() -> None:
    [receipt] = receipts_in(message(9))
    text = str(receipt.proof).replace("index 9", f"extra {b64(b'mine')}\nindex 9", 1)
    assert str(ProofFile.parse(text)) == text


def test_receipt_of_single_leaf_log_needs_no_hash() -> None:
    alone = Log(LEAVES[:1])
    data = {"checkpoint": alone.note(), "hashes": [], "receipts": [{"index": 0, "leaf": "", "path": []}]}
    data["receipts"] = [{"index": 0, "leaf": LEAVES[0].decode(), "path": []}]
    [receipt] = receipts_in(data)
    assert receipt.verify(POLICY).checkpoint.size == 1
    assert ProofFile.parse(str(receipt.proof)) == receipt.proof


def test_receipt_with_another_leaf_is_refused() -> None:
    data = message(9, 12)
    first, second = data["receipts"]
    first["leaf"], second["leaf"] = second["leaf"], first["leaf"]
    for receipt in receipts_in(data):
        with pytest.raises(ProofError):
            receipt.verify(POLICY)
    data = message(9)
    data["checkpoint"] = data["checkpoint"].replace("300", "301", 1)
    with pytest.raises(UntrustedError):
        receipts_in(data)[0].verify(POLICY)


def _without(data: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != name}


def _with_first(**fields: Any) -> dict[str, Any]:
    data = message(9, 12)
    data["receipts"][0].update(fields)
    return data


@pytest.mark.parametrize(
    "data",
    [
        {},
        _without(message(9), "checkpoint"),
        _without(message(9), "hashes"),
        {**message(9), "receipts": []},
        {**message(9), "receipts": {}},
        {**message(9), "receipts": ["9"]},
        {**message(9), "hashes": [*message(9)["hashes"], b64(bytes(32))]},
        {**message(9), "hashes": [17, *message(9)["hashes"][1:]]},
        {**message(9), "hashes": ["=", *message(9)["hashes"][1:]]},
        _with_first(path=[100]),
        _with_first(path=[-1]),
        _with_first(path=[True]),
        _with_first(path=["0"]),
        _with_first(path=[0] * 64),
        _with_first(path=None),
        _with_first(index="9"),
        _with_first(index=True),
        _with_first(index=-1),
        _with_first(index=2**63),
        _with_first(leaf=None),
        _with_first(leaf="\ud800"),
        {"leaf": "\ud800", "proof": str(receipts_in(message(9))[0].proof)},
    ],
)
def test_invalid_receipt_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        receipts_in(data)


def test_older_receipt_message_has_one_receipt() -> None:
    [receipt] = receipts_in(message(9))
    fields = receipt.fields()
    older = {
        "referral_id": fields["referral_id"],
        "message_id": fields["message_id"],
        "message_type": fields["type"],
        "leaf": receipt.leaf.decode(),
        "proof": str(receipt.proof),
    }
    assert receipts_in(older) == (receipt,)
    with pytest.raises(ContentError, match="message_type does not match the type"):
        receipts_in({**older, "message_type": "kopuro.offer.declined.v1"})
