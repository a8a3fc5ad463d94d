"""A tiny log, written from the specifications without the client's code.

It computes roots by the recursive definition of RFC 6962 §2.1, and every tile from the leaves below it.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import json
import random
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ORIGIN = "kopuro/test"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def mth(hashes: Sequence[bytes]) -> bytes:
    """RFC 6962 §2.1, over leaf hashes."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1 << (len(hashes) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + mth(hashes[:k]) + mth(hashes[k:])).digest()


def path(m: int, hashes: Sequence[bytes]) -> list[bytes]:
    """RFC 6962 §2.1.1."""
    if len(hashes) == 1:
        return []
    k = 1 << (len(hashes) - 1).bit_length() - 1
    if m < k:
        return [*path(m, hashes[:k]), mth(hashes[k:])]
    return [*path(m - k, hashes[k:]), mth(hashes[:k])]


def proof(m: int, hashes: Sequence[bytes]) -> list[bytes]:
    """RFC 6962 §2.1.2."""

    def subproof(m: int, hashes: Sequence[bytes], complete: bool) -> list[bytes]:
        if m == len(hashes):
            return [] if complete else [mth(hashes)]
        k = 1 << (len(hashes) - 1).bit_length() - 1
        if m <= k:
            return [*subproof(m, hashes[:k], complete), mth(hashes[k:])]
        return [*subproof(m - k, hashes[k:], False), mth(hashes[:k])]

    return subproof(m, hashes, True) if 0 < m < len(hashes) else []


@dataclass
class Key:
    """A key pair. kind: 1 signs notes, 4 cosigns checkpoints."""

    name: str
    kind: int
    seed: bytes

    @property
    def private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @property
    def material(self) -> bytes:
        return bytes([self.kind]) + self.private.public_key().public_bytes_raw()

    @property
    def id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + self.material).digest()[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.id.hex()}+{b64(self.material)}"

    def line(self, text: str, time: int = 1_700_000_000) -> str:
        if self.kind == 1:
            signature = self.private.sign(text.encode())
        else:
            message = f"cosignature/v1\ntime {time}\n{text}".encode()
            signature = struct.pack(">Q", time) + self.private.sign(message)
        return f"— {self.name} {b64(self.id + signature)}\n"


LOG = Key(ORIGIN, 1, b"l" * 32)
WITNESSES = (Key("witness.example/one", 4, b"1" * 32), Key("witness.example/two", 4, b"2" * 32))
REFERRAL = "0199c0de-0000-7000-8000-000000000001"


@dataclass
class Log:
    """A log. leaves: raw; keys: the signers of its checkpoint, the log's first."""

    leaves: list[bytes] = field(default_factory=list)
    keys: tuple[Key, ...] = (LOG, *WITNESSES)

    @cached_property
    def hashes(self) -> list[bytes]:
        return [hashlib.sha256(b"\x00" + leaf).digest() for leaf in self.leaves]

    def text(self, size: int | None = None) -> str:
        hashes = self.hashes[:size]
        return f"{ORIGIN}\n{len(hashes)}\n{b64(mth(hashes))}\n"

    def note(self, size: int | None = None, time: int = 1_700_000_000) -> str:
        text = self.text(size)
        return f"{text}\n{''.join(key.line(text, time) for key in self.keys)}"

    def files(self, size: int | None = None) -> dict[str, bytes]:
        """Return all files of the log at this size."""
        hashes, leaves = self.hashes[:size], self.leaves[:size]
        files = {"checkpoint": self.note(size).encode()}
        for at in range(0, len(leaves), 256):
            chunk = leaves[at : at + 256]
            content = b"".join(struct.pack(">H", len(leaf)) + leaf for leaf in chunk)
            files[f"tile/entries/{_name(at // 256, len(chunk))}"] = content
        level = 0
        while hashes:
            for at in range(0, len(hashes), 256):
                chunk = hashes[at : at + 256]
                files[f"tile/{level}/{_name(at // 256, len(chunk))}"] = b"".join(chunk)
            hashes = [mth(hashes[at : at + 256]) for at in range(0, len(hashes) // 256 * 256, 256)]
            level += 1
        return files

    def write(self, root: Path, size: int | None = None) -> Path:
        write_files(root, self.files(size))
        return root

    def hashes_of_tiles(self) -> list[bytes]:
        """The hashes of level 1."""
        full = len(self.leaves) // 256 * 256
        return [mth(self.hashes[at : at + 256]) for at in range(0, full, 256)]

    def bundle(self, referral: str = REFERRAL, opened: dict[int, Any] | None = None) -> dict[str, Any]:
        """Return a bundle. opened: contents to include, by index, with the salts of `entry`."""
        hashes = self.hashes
        entries = []
        for index, leaf in enumerate(self.leaves):
            if json.loads(leaf)["referral_id"] != referral:
                continue
            data = (opened or {}).get(index)
            opening = None if data is None else {"salt": b64(salt(index)), "data": data}
            proved = [b64(digest) for digest in path(index, hashes)]
            entries.append({"index": index, "leaf": b64(leaf), "proof": proved, "opening": opening})
        return with_manifest(
            {
                "format": "kopuro-bundle/2",
                "origin": ORIGIN,
                "log_key": self.keys[0].vkey,
                "referral_id": referral,
                "checkpoint": self.note(),
                "entries": entries,
            }
        )


KEY = hashlib.sha256(b"the referral's key").digest()


def head_salt(index: int) -> bytes:
    return hashlib.sha256(b"head salt %d" % index).digest()


def head(index: int, *, referral: str = REFERRAL, key: bytes = KEY) -> dict[str, Any]:
    """Return the head of `closed_entry`. Only every third entry is about the referral."""
    about = index % 3 == 0
    return {
        "message_id": f"0199c0de-{index:04x}-7000-9000-000000000000",
        "type": "kopuro.offer.opened.v1",
        "time": f"2026-11-21T12:{index // 60 % 60:02}:{index % 60:02}.000000Z",
        "hub": "kg",
        "actor": "/kg/routing",
        "referral_id": referral if about else None,
        "referral_key": _digest(b"kopuro-entry/3 key\n" + key) if about else None,
        "organization": "kg.osh-legal-aid",
    }


def closed_entry(index: int, *, referral: str = REFERRAL, key: bytes = KEY) -> bytes:
    """Return a leaf of format 3."""
    said = _digest(
        b"kopuro-entry/3 head\n" + head_salt(index) + compact(head(index, referral=referral, key=key))
    )
    own = key if index % 3 == 0 else b"no referral %d" % index
    tag = hmac.new(own, bytes.fromhex(said[7:]), "sha256").hexdigest()[:32]
    return compact(
        {
            "data": _digest(b"kopuro-entry/3 data\n" + salt(index) + compact(content(index))),
            "format": 3,
            "head": said,
            "tag": tag,
            "time": "2026-11-21T12:00:00Z",
        }
    )


def mixed_entries(earlier: int, closed: int) -> list[bytes]:
    """Return leaves of formats 1 and 2, followed by leaves of format 3."""
    return entries(earlier) + [closed_entry(index) for index in range(earlier, earlier + closed)]


def mixed_bundle(log: Log, *, opened: Collection[int] = (), key: bytes | None = KEY) -> dict[str, Any]:
    """Return a bundle of REFERRAL in a log of `mixed_entries`. opened: entries whose data to include."""
    bundled = []
    for index in range(0, len(log.leaves), 3):
        leaf = log.leaves[index]
        is_closed = b'"format":3' in leaf
        bundled.append(
            {
                "index": index,
                "leaf": b64(leaf),
                "proof": [b64(digest) for digest in path(index, log.hashes)],
                "head": {"salt": b64(head_salt(index)), "value": head(index)} if is_closed else None,
                "opening": {"salt": b64(salt(index)), "data": content(index)} if index in opened else None,
            }
        )
    return with_manifest(
        {
            "format": "kopuro-bundle/3",
            "origin": ORIGIN,
            "log_key": log.keys[0].vkey,
            "referral_id": REFERRAL,
            "referral_key": None if key is None else b64(key),
            "checkpoint": log.note(),
            "entries": bundled,
        }
    )


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def write_files(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def with_manifest(document: dict[str, Any]) -> dict[str, Any]:
    """Return the bundle with a matching manifest. Sorted JSON is canonical here: ASCII, integers only."""
    body = {name: value for name, value in document.items() if name != "manifest"}
    manifest = {"created_at": "2026-11-21T12:00:00.000000Z", "entries": len(body["entries"])}
    hashed = body if document["format"] == "kopuro-bundle/1" else {**body, "manifest": manifest}
    return {**body, "manifest": {**manifest, "sha256": hashlib.sha256(compact(hashed)).hexdigest()}}


def changed_bundle(good: dict[str, Any], *steps: Any, value: Any) -> dict[str, Any]:
    """Return the bundle with one value replaced and a matching manifest, as a forger would write it."""
    document: Any = copy.deepcopy(good)
    inner = document
    for step in steps[:-1]:
        inner = inner[step]
    inner[steps[-1]] = value
    return with_manifest(document)


def compact(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def salt(index: int) -> bytes:
    return hashlib.sha256(b"salt %d" % index).digest()


def content(index: int) -> dict[str, Any]:
    return {"organization": "kg.osh-legal-aid", "offer": index}


def entry(index: int, *, referral: str = REFERRAL, tree: str = "") -> bytes:
    """Return a leaf in a hub's format. tree: distinguishes the leaves of two forks."""
    commitment = hashlib.sha256(salt(index) + compact(content(index))).hexdigest()
    return compact(
        {
            "message_id": f"0199c0de-{index:04x}-7000-9000-{random.Random(tree).getrandbits(48):012x}",
            "type": "kopuro.offer.opened.v1",
            "time": f"2026-11-21T12:{index // 60 % 60:02}:{index % 60:02}.000000Z",
            "hub": "kg",
            "actor": "/kg/routing",
            "referral_id": referral if index % 3 == 0 else None,
            "organization": "kg.osh-legal-aid",
            "commitment": f"sha256:{commitment}",
        }
    )


def entries(count: int, *, tree: str = "", common: int = 0) -> list[bytes]:
    """Return leaves. common: number of initial leaves that are the same in all trees."""
    return [entry(at, tree=tree if at >= common else "") for at in range(count)]


def policy_text(*, needed: str = "all", keys: Sequence[Key] = WITNESSES) -> str:
    """Return a tlog-policy that trusts LOG and requires these witnesses."""
    witnesses = "".join(f"witness w{at} {key.vkey}\n" for at, key in enumerate(keys))
    names = " ".join(f"w{at}" for at in range(len(keys)))
    return f"log {LOG.vkey}\n{witnesses}group all-of-them {needed} {names}\nquorum all-of-them\n"


def _name(index: int, width: int) -> str:
    groups = [f"{index % 1000:03}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03}")
    return "/".join(reversed(groups)) + ("" if width == 256 else f".p/{width}")
