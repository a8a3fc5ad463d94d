"""Receipts: what a hub sends to a party once its messages are in the log, each proof made to stand alone.

    {"organization", "checkpoint": the signed note,
     "hashes": [base64, ...],
     "receipts": [{"index", "leaf", "path": [place in `hashes`, from the leaf's sibling upwards, ...]}, ...]}

is the data of `receipts.issued`. The older `receipt.issued` has one leaf and its `proof` as a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kopuro_client.tlog import base64_text
from kopuro_client.tlog.entries import read_leaf
from kopuro_client.tlog.errors import ContentError, MalformedError
from kopuro_client.tlog.policy import AcceptedCheckpoint, TrustPolicy
from kopuro_client.tlog.proof_file import LONGEST, ProofFile

# What the older kind repeats of its leaf: its own name for it, and the leaf's.
_REPEATED: Final = (("message_id", "message_id"), ("message_type", "type"), ("referral_id", "referral_id"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """leaf: the entry's bytes. proof: `str` of it is a C2SP `tlog-proof`, which needs nothing else."""

    leaf: bytes
    proof: ProofFile

    def fields(self) -> dict[str, Any]:
        """What the leaf tells. Raises MalformedError."""
        return read_leaf(self.leaf, index=self.proof.index)

    def verify(self, policy: TrustPolicy) -> AcceptedCheckpoint:
        """The accepted checkpoint, if the leaf is in its log.

        Raises MalformedError, UntrustedError, ProofError.
        """
        return self.proof.verify(self.leaf, policy)


def receipts_in(data: Mapping[str, Any]) -> tuple[Receipt, ...]:
    """data: of a message of either kind, read as JSON. Nothing is verified yet.

    Raises MalformedError; ContentError where an older receipt says something else than its leaf.
    """
    if "receipts" not in data:
        return (_older(data),)
    note, hashes, listed = data.get("checkpoint"), data.get("hashes"), data["receipts"]
    if not isinstance(note, str) or not isinstance(hashes, list) or not (listed and isinstance(listed, list)):
        raise MalformedError("the receipts lack a checkpoint, hashes, or each other")
    digests = [base64_text.decode(_text(one), what="a hash of the receipts") for one in hashes]
    unused = set(range(len(digests)))
    receipts = []
    for one in listed:
        index, leaf, path = _parts(one)
        if not all(type(place) is int and 0 <= place < len(digests) for place in path):
            raise MalformedError("a receipt's path leads to no hash")
        unused.difference_update(path)
        proof = ProofFile(index=index, hashes=tuple(digests[place] for place in path), note=note)
        receipts.append(Receipt(leaf=leaf, proof=proof))
    if unused:
        raise MalformedError("the receipts have a hash that none of them needs")
    return tuple(receipts)


def _parts(one: object) -> tuple[int, bytes, list[Any]]:
    fields = one if isinstance(one, dict) else {}
    index, leaf, path = fields.get("index"), fields.get("leaf"), fields.get("path")
    # `True` is an int, and no index.
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < 2**63:
        raise MalformedError("a receipt has no index")
    if not isinstance(leaf, str) or not isinstance(path, list) or len(path) > LONGEST:
        raise MalformedError("a receipt has a leaf, and a path of at most 63 hashes")
    return index, _leaf(leaf), path


def _older(data: Mapping[str, Any]) -> Receipt:
    leaf, text = data.get("leaf"), data.get("proof")
    if not isinstance(leaf, str) or not isinstance(text, str):
        raise MalformedError("the file holds no receipt: no leaf and proof")
    receipt = Receipt(leaf=_leaf(leaf), proof=ProofFile.parse(text))
    logged = receipt.fields()
    for told, name in _REPEATED:
        if told in data and data[told] != logged.get(name):
            raise ContentError(f"the receipt's {told} is not the {name} that was logged")
    return receipt


def _leaf(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # JSON can name half of a surrogate pair
        raise MalformedError("a receipt's leaf is no text that UTF-8 can write") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise MalformedError("a hash of the receipts is not text")
    return value
