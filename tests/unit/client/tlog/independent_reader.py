"""A reader of logs, bundles and statements, written only from RFC 6962, RFC 8032 and docs/auditing.md ("The
published log", "The entry format", "The statement of an organisation").

It shares no code with the hub or the client.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def canonical(value: Any) -> bytes:
    """RFC 8785 for objects whose names are ASCII and whose numbers are small integers."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def committed(domain: str, salt: bytes, value: bytes) -> str:
    return "sha256:" + hashlib.sha256(domain.encode() + salt + value).hexdigest()


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + leaf).digest()


def tag(key: bytes, leaf: Mapping[str, Any]) -> str:
    return hmac.new(key, bytes.fromhex(leaf["head"][len("sha256:") :]), "sha256").digest()[:16].hex()


@dataclass(frozen=True, kw_only=True)
class Read:
    """An entry that was checked. said: the head's members; data: None once erased."""

    index: int
    format: int
    said: Mapping[str, Any]
    data: Any


def read_entry(
    index: int, leaf: bytes, head: Mapping[str, Any] | None, opening: Mapping[str, Any] | None
) -> Read:
    members = json.loads(leaf)
    assert canonical(members) == leaf
    data = None if opening is None else opening["data"]
    if "format" not in members:
        assert head is None
        if opening is not None:
            salt = base64.b64decode(opening["salt"])
            assert members["commitment"] == committed("", salt, canonical(data))
        return Read(index=index, format=2, said=members, data=data)
    assert members["format"] == 3
    assert len(leaf) == 245
    assert head is not None
    head_salt = base64.b64decode(head["salt"])
    assert members["head"] == committed("kopuro-entry/3 head\n", head_salt, canonical(head["value"]))
    if opening is not None:
        salt = base64.b64decode(opening["salt"])
        assert members["data"] == committed("kopuro-entry/3 data\n", salt, canonical(data))
    return Read(index=index, format=3, said=head["value"], data=data)


def climb(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes:
    """Return the root that an audit path leads to (RFC 9162 §2.1.3.2)."""
    digest, last = leaf_hash(leaf), size - 1
    for sibling in proof:
        if index & 1 or index == last:
            digest = hashlib.sha256(b"\x01" + sibling + digest).digest()
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            digest = hashlib.sha256(b"\x01" + digest + sibling).digest()
        index, last = index >> 1, last >> 1
    assert last == 0
    return digest


def read_bundle(bundle: Mapping[str, Any]) -> list[Read]:
    """Check every entry of a bundle against the root in its checkpoint."""
    _, size, root, *_ = bundle["checkpoint"].split("\n")
    found = []
    for entry in bundle["entries"]:
        leaf = base64.b64decode(entry["leaf"])
        proof = [base64.b64decode(one) for one in entry["proof"]]
        assert climb(leaf, entry["index"], int(size), proof) == base64.b64decode(root)
        read = read_entry(entry["index"], leaf, entry["head"], entry["opening"])
        assert read.said["referral_id"] == bundle["referral_id"]
        if read.format == 3 and bundle["referral_key"] is not None:
            key = base64.b64decode(bundle["referral_key"])
            assert read.said["referral_key"] == committed("kopuro-entry/3 key\n", b"", key)
            assert json.loads(leaf)["tag"] == tag(key, json.loads(leaf))
        found.append(read)
    return found


def read_statement(file: Mapping[str, Any], log_key: str) -> list[str]:
    """Check a statement's file; return the referrals of its proved decisions, in the file's order."""
    figures, entries = file["statement"], _entries_of(file, log_key)
    start, end = (dt.datetime.fromisoformat(figures[name]) for name in ("from", "to"))
    referrals = []
    for decision in file["decisions"]:
        if "unproven" in decision:
            assert decision["unproven"] in ("erased", "earlier_build")
            continue
        entry = entries[decision["message_id"]]
        assert entry.said["type"] == "kopuro.decisions.recorded.v1"
        assert start <= dt.datetime.fromisoformat(entry.said["time"]) < end
        assert decision["outcome"] == "asked"
        (root,) = (
            one["candidates"]
            for one in entry.data["decisions"]
            if one["decision_id"] == decision["decision_id"]
        )
        leaf = {name: decision[name] for name in ("outcome", "referral_id")}
        leaf["organization"] = figures["organization"]
        content = b"kopuro-candidate/1\n" + base64.b64decode(decision["salt"]) + canonical(leaf)
        path = [base64.b64decode(one) for one in decision["path"]]
        assert root == "sha256:" + climb(content, decision["index"], decision["size"], path).hex()
        referrals.append(decision["referral_id"])
    named = [one["decision_id"] for one in file["decisions"]]
    assert len(set(named)) == len(named) <= figures["asked"]
    assert figures["answered"] == figures["accepted"] + sum(figures["declined"].values())
    considered, over = figures["considered"], figures["passed_over"]
    assert considered["at_least"] == figures["asked"] + over["at_least"]
    assert over["at_least"] == sum(one["at_least"] for one in figures["passed_over_by_reason"].values())
    issued = entries[file["issued"]]
    assert issued.said["type"] == "kopuro.statement.issued.v1"
    assert issued.data == {
        "organization": figures["organization"],
        "month": figures["month"],
        "digest": committed("", b"", canonical(figures)),
    }
    return referrals


def _entries_of(file: Mapping[str, Any], log_key: str) -> dict[str, Read]:
    """Return the proved entries of a statement's file by their messages."""
    found: dict[str, Read] = {}
    for part in file["proofs"]:
        assert signers_of(part["checkpoint"], [log_key])
        origin, size, root, *_ = part["checkpoint"].split("\n")
        assert origin == file["origin"] == key_of(log_key)[0]
        for entry in part["entries"]:
            leaf = base64.b64decode(entry["leaf"])
            proof = [base64.b64decode(one) for one in entry["proof"]]
            assert climb(leaf, entry["index"], int(size), proof) == base64.b64decode(root)
            read = read_entry(entry["index"], leaf, entry["head"], entry["opening"])
            assert read.said["actor"] == f"/{read.said['hub']}/routing"
            assert found.setdefault(read.said["message_id"], read) is read
    return found


def leaves_in(log: Path) -> list[bytes]:
    """Return every leaf of a published log, in order."""
    size = int((log / "checkpoint").read_text().split("\n")[1])
    return [leaf for number in range(-(-size // 256)) for leaf in _tile(log, number, size)]


def of_referral(leaves: list[bytes], referral_id: str, key: bytes) -> list[int]:
    """Return the indices of a referral's entries, found in the leaves alone."""
    found = []
    for index, leaf in enumerate(leaves):
        members = json.loads(leaf)
        if members.get("format") == 3:
            if members["tag"] == tag(key, members):
                found.append(index)
        elif members["referral_id"] == referral_id:
            found.append(index)
    return found


def key_of(verifier_key: str) -> tuple[str, bytes, int, bytes]:
    """Return a verifier key's name, key id, type and public key."""
    name, key_id, encoded = verifier_key.split("+", 2)
    material = base64.b64decode(encoded)
    assert bytes.fromhex(key_id) == hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]
    return name, bytes.fromhex(key_id), material[0], material[1:]


def signers_of(note: str, verifier_keys: list[str]) -> list[tuple[str, int | None]]:
    """Return which of the keys signed a note, each with the time of its cosignature."""
    text, _, lines = note.rpartition("\n\n")
    text += "\n"
    signed: list[tuple[str, int | None]] = []
    for line in lines.splitlines():
        dash, name, encoded = line.split(" ")
        assert dash == "\u2014"
        content = base64.b64decode(encoded)
        for verifier_key in verifier_keys:
            known, key_id, kind, public = key_of(verifier_key)
            if (known, key_id) != (name, content[:4]):
                continue
            message, signature, time = text.encode(), content[4:], None
            if kind == 4:
                time = int.from_bytes(content[4:12], "big")
                message, signature = f"cosignature/v1\ntime {time}\n{text}".encode(), content[12:]
            Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
            signed.append((verifier_key, time))
    return signed


def _tile(log: Path, number: int, size: int) -> Iterator[bytes]:
    width = min(256, size - number * 256)
    name = f"{number:03}" + ("" if width == 256 else f".p/{width}")
    content = (log / "tile" / "entries" / name).read_bytes()
    while content:
        (length,) = struct.unpack(">H", content[:2])
        yield content[2 : 2 + length]
        content = content[2 + length :]
