"""Receipts: a hub's proofs that a party's messages are in the log. `receipts_in` makes each independent.

The data of `receipts.issued`:

    {"organization", "checkpoint": the signed note,
     "hashes": [base64, ...],
     "receipts": [{"index", "leaf", "path": [index in `hashes`, from the leaf's sibling upwards, ...],
                   "head": canonical JSON, "head_salt": base64}, ...]}

head and head_salt open a leaf of format 3; they are null or missing for earlier leaves. The older
`receipt.issued` has one leaf and its `proof` as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kopuro_client.tlog import base64_text
from kopuro_client.tlog.entries import read_entry, read_json
from kopuro_client.tlog.errors import ContentError, MalformedError
from kopuro_client.tlog.policy import AcceptedCheckpoint, TrustPolicy
from kopuro_client.tlog.proof_file import LONGEST, ProofFile

# Members that an older receipt repeats from its leaf: the receipt's name and the leaf's.
_REPEATED: Final = (("message_id", "message_id"), ("message_type", "type"), ("referral_id", "referral_id"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """A receipt. leaf: the entry's bytes; proof: `str(proof)` is a self-contained C2SP `tlog-proof`.

    head, head_salt: open a leaf of format 3, None for an earlier one.
    """

    leaf: bytes
    proof: ProofFile
    head: bytes | None = None
    head_salt: bytes | None = None

    def fields(self) -> dict[str, Any]:
        """Return what the entry says (`entries.read_entry`). Raises MalformedError, and ContentError for a
        head that the leaf does not commit to."""
        index = self.proof.index
        head = None if self.head is None else read_json(self.head, what=f"the head of entry {index}")
        return read_entry(self.leaf, index=index, salt=self.head_salt, head=head)

    def verify(self, policy: TrustPolicy) -> AcceptedCheckpoint:
        """Return the accepted checkpoint if the log has the leaf.

        Raises MalformedError, UntrustedError, ProofError, ContentError.
        """
        accepted = self.proof.verify(self.leaf, policy)
        self.fields()
        return accepted


def receipts_in(data: Mapping[str, Any]) -> tuple[Receipt, ...]:
    """Return the receipts in a message's data, unverified. data: of `receipts.issued` or `receipt.issued`.

    Raises MalformedError, or ContentError if an older receipt contradicts its leaf.
    """
    if "receipts" not in data:
        return (_older(data),)
    note, hashes, listed = data.get("checkpoint"), data.get("hashes"), data["receipts"]
    if not isinstance(note, str) or not isinstance(hashes, list) or not (listed and isinstance(listed, list)):
        raise MalformedError("the data lacks a checkpoint, hashes or receipts")
    digests = [base64_text.decode(_text(one), what="a hash of the receipts") for one in hashes]
    unused = set(range(len(digests)))
    receipts = []
    for one in listed:
        index, leaf, path = _parts(one)
        if not all(type(place) is int and 0 <= place < len(digests) for place in path):
            raise MalformedError("a receipt's path refers to a missing hash")
        unused.difference_update(path)
        proof = ProofFile(index=index, hashes=tuple(digests[place] for place in path), note=note)
        head, salt = _head(one, index)
        receipts.append(Receipt(leaf=leaf, proof=proof, head=head, head_salt=salt))
    if unused:
        raise MalformedError("the data has a hash that no receipt uses")
    return tuple(receipts)


def _parts(one: object) -> tuple[int, bytes, list[Any]]:
    fields = one if isinstance(one, dict) else {}
    index, leaf, path = fields.get("index"), fields.get("leaf"), fields.get("path")
    # `True` is an int, but not an index.
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < 2**63:
        raise MalformedError("a receipt has no valid index")
    if not isinstance(leaf, str) or not isinstance(path, list) or len(path) > LONGEST:
        raise MalformedError("a receipt must have a leaf, and a path of at most 63 hashes")
    return index, _leaf(leaf), path


def _head(one: Mapping[str, Any], index: int) -> tuple[bytes | None, bytes | None]:
    head, salt = one.get("head"), one.get("head_salt")
    if head is None and salt is None:
        return None, None
    if not isinstance(head, str) or not isinstance(salt, str):
        raise MalformedError(f"the receipt of entry {index} must have a head and its salt, or neither")
    return _leaf(head), base64_text.decode(salt, what=f"the salt of the head of entry {index}")


def _older(data: Mapping[str, Any]) -> Receipt:
    leaf, text = data.get("leaf"), data.get("proof")
    if not isinstance(leaf, str) or not isinstance(text, str):
        raise MalformedError("the data is not a receipt: leaf or proof is missing")
    receipt = Receipt(leaf=_leaf(leaf), proof=ProofFile.parse(text))
    logged = receipt.fields()
    for member, name in _REPEATED:
        if member in data and data[member] != logged.get(name):
            raise ContentError(f"the receipt's {member} does not match the {name} in the log")
    return receipt


def _leaf(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # JSON can escape a lone surrogate
        raise MalformedError("a receipt's leaf is not valid Unicode") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise MalformedError("a hash of the receipts is not text")
    return value
