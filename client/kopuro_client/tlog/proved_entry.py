"""An entry of the log with its inclusion proof and its openings, as bundles and statements contain it.

{"index", "leaf": base64, "proof": [base64, ...],
 "head": {"salt": base64, "value": {...}} or null for leaves of formats 1 and 2,
 "opening": {"salt": base64, "data": {...}} or null}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from kopuro_client.tlog import base64_text
from kopuro_client.tlog.checkpoint import Checkpoint
from kopuro_client.tlog.entries import check_opening, is_closed, read_entry
from kopuro_client.tlog.errors import MalformedError
from kopuro_client.tlog.tree import leaf_hash, verify_inclusion

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProvedEntry:
    """A verified entry. fields: what it says, from the leaf or its opened head (`entries.read_entry`).

    leaf: as stored; closed: whether it is of format 3; opened: whether its content is there; data: that
    content.
    """

    index: int
    leaf: bytes
    fields: Mapping[str, Any]
    closed: bool
    opened: bool
    data: Any


def verify_entry(entry: Mapping[str, Any], head: Checkpoint, *, what: str) -> ProvedEntry:
    """Verify an entry's proof and openings under a trusted checkpoint. what: the file that contains it.

    Raises ProofError, ContentError, MalformedError.
    """
    index = member(entry, "index", int, what=what)
    only(entry, "index", "leaf", "proof", "opening", *(("head",) if "head" in entry else ()), what=what)
    leaf = base64_text.decode(member(entry, "leaf", str, what=what), what=f"entry {index}")
    proof = [_hash(digest, index) for digest in member(entry, "proof", list, what=what)]
    verify_inclusion(leaf_hash(leaf), index, head.size, proof, head.root)
    salt, value = _head(entry, index, what)
    fields = read_entry(leaf, index=index, salt=salt, head=value)
    opening = entry["opening"]
    if opening is not None:
        if not isinstance(opening, dict):
            raise MalformedError(f"the opening of entry {index} is not an object")
        only(opening, "salt", "data", what=what)
        salt = base64_text.decode(member(opening, "salt", str, what=what), what=f"the salt of entry {index}")
        check_opening(leaf, index=index, salt=salt, data=opening["data"])
    return ProvedEntry(
        index=index,
        leaf=leaf,
        fields=fields,
        closed=is_closed(leaf),
        opened=opening is not None,
        data=None if opening is None else opening["data"],
    )


def member(document: Mapping[str, Any], name: str, kind: type[T], *, what: str) -> T:
    """Return a member of exactly this type. Raises MalformedError, naming the file."""
    value = document.get(name)
    if type(value) is not kind:
        raise MalformedError(f"{what}'s field {name} is missing or has the wrong type")
    return value


def only(document: Mapping[str, Any], *names: str, what: str) -> None:
    """Raises MalformedError unless the document has exactly these members."""
    if document.keys() != set(names):
        raise MalformedError(f"a part of {what} must have exactly the fields {', '.join(names)}")


def _head(entry: Mapping[str, Any], index: int, what: str) -> tuple[bytes | None, Any]:
    """Return the salt and the value of an entry's head; None twice for an entry without one."""
    head = entry.get("head")
    if head is None:
        return None, None
    if not isinstance(head, dict):
        raise MalformedError(f"the head of entry {index} is not an object")
    only(head, "salt", "value", what=what)
    text = member(head, "salt", str, what=what)
    return base64_text.decode(text, what=f"the salt of the head of entry {index}"), head["value"]


def _hash(text: object, index: int) -> bytes:
    if not isinstance(text, str):
        raise MalformedError(f"the proof of entry {index} is not a list of hashes")
    return base64_text.decode(text, what=f"a hash in the proof of entry {index}")
