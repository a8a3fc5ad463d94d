"""Vectors for request proofs, signed notes and receipts, made without the client's or the server's code.

Source: RFC 5869 (HKDF), RFC 8032 (Ed25519), RFC 7515 §7.1 (compact JWS), RFC 6962 §2.1 (trees),
https://c2sp.org/signed-note and https://c2sp.org/tlog-cosignature.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.unit.client.tlog.log_writer import (
    LOG,
    WITNESSES,
    Key,
    Log,
    b64,
    closed_entry,
    compact,
    head,
    head_salt,
    path,
)
from tests.vectors.sealing import b64url
from tests.vectors.sealing import compact as json_bytes

SECRET = "an-invented-secret-of-at-least-32-characters"
TOKEN = "an.access.token"
ISSUED_AT = "2026-11-27T12:00:00+00:00"
STRANGER = Key(LOG.name, 1, b"s" * 32)


def request_proofs() -> dict[str, Any]:
    """Return the file `request_proofs.json`."""
    # RFC 5869 with an empty salt: 32 zero bytes, and one round of the expansion.
    extracted = hmac.new(bytes(32), SECRET.encode(), "sha256").digest()
    seed = hmac.new(extracted, b"kopuro request proof\x01", "sha256").digest()
    key = Ed25519PrivateKey.from_private_bytes(seed)
    requests: list[dict[str, Any]] = [
        {
            "name": "a record",
            "method": "PUT",
            "path": "/v1/organizations/kg.osh-legal-aid",
            "body": '{"a":1}',
        },
        {"name": "without a body", "method": "POST", "path": "/v1/approvals/7/endorse", "body": ""},
        {
            "name": "with a precondition and letters of other scripts",
            "method": "PATCH",
            "path": "/v1/organizations/kg.osh-legal-aid",
            "body": '{"name":"Ош"}',
            "if_match": '"7"',
        },
    ]
    vectors = []
    for number, request in enumerate(requests):
        content = {
            "id": f"vector-{number:016}",
            "issued_at": ISSUED_AT,
            "method": request["method"],
            "path": request["path"],
            "token": b64url(hashlib.sha256(TOKEN.encode()).digest()),
            "body": b64url(hashlib.sha256(request["body"].encode()).digest()),
            "if_match": request.get("if_match"),
            "if_none_match": None,
        }
        signed = (
            f"{b64url(json_bytes({'alg': 'Ed25519', 'typ': 'kopuro-proof'}))}.{b64url(json_bytes(content))}"
        )
        vectors.append(
            {**request, "content": content, "proof": f"{signed}.{b64url(key.sign(signed.encode()))}"}
        )
    good = vectors[0]["proof"]
    signature = bytearray(base64.urlsafe_b64decode(good.rpartition(".")[2] + "=="))
    signature[0] ^= 1
    return {
        "about": (
            "The header Kopuro-Proof: a compact JWS over `content`, signed by the Ed25519 key whose seed is "
            "HKDF-SHA256 of the client secret. With the same id, issued_at and order of members, your proof "
            "has the same bytes. A proof of `refused` must not verify."
        ),
        "client_secret": SECRET,
        "token": TOKEN,
        "public_key": b64url(key.public_key().public_bytes_raw()),
        "vectors": vectors,
        "refused": [
            {
                "name": "an altered signature",
                "proof": f"{good.rpartition('.')[0]}.{b64url(bytes(signature))}",
            },
            {
                "name": "another header",
                "proof": f"{b64url(json_bytes({'alg': 'none'}))}.{good.split('.')[1]}.",
            },
        ],
    }


def _log() -> Log:
    return Log([closed_entry(index) for index in range(11)])


def signed_notes() -> dict[str, Any]:
    """Return the file `signed_notes.json`."""
    log = _log()
    text, good = log.text(), log.note()
    return {
        "about": (
            "Checkpoints as signed notes (c2sp.org/signed-note), with cosignatures "
            "(c2sp.org/tlog-cosignature). `accepted` says whether `log_key` has signed the note; `witnesses` "
            "names those of `witness_keys` that have."
        ),
        "log_key": LOG.vkey,
        "witness_keys": [witness.vkey for witness in WITNESSES],
        "vectors": [
            {
                "name": "log and both witnesses",
                "note": good,
                "accepted": True,
                "witnesses": [w.name for w in WITNESSES],
            },
            {"name": "the log alone", "note": f"{text}\n{LOG.line(text)}", "accepted": True, "witnesses": []},
            {
                "name": "a line of an unknown key is ignored",
                "note": f"{text}\n{LOG.line(text)}{Key('other.example', 1, b'o' * 32).line(text)}",
                "accepted": True,
                "witnesses": [],
            },
            {
                "name": "another size",
                "note": good.replace("\n11\n", "\n12\n", 1),
                "accepted": False,
                "witnesses": [],
            },
            {
                "name": "another key of that name",
                "note": f"{text}\n{STRANGER.line(text)}",
                "accepted": False,
                "witnesses": [],
            },
            {"name": "no signature", "note": f"{text}\n", "accepted": False, "witnesses": []},
        ],
    }


def receipts() -> dict[str, Any]:
    """Return the file `receipts.json`."""
    log = _log()

    def data(index: int, /, **changed: Any) -> dict[str, Any]:
        hashes = [b64(digest) for digest in path(index, log.hashes)]
        one = {
            "index": index,
            "leaf": log.leaves[index].decode(),
            "path": list(range(len(hashes))),
            "head": compact(head(index)).decode(),
            "head_salt": b64(head_salt(index)),
        }
        return {
            "organization": "kg.osh-legal-aid",
            "checkpoint": changed.pop("checkpoint", log.note()),
            "hashes": changed.pop("hashes", hashes),
            "receipts": [{**one, **changed}],
        }

    leaf = log.leaves[6].decode()
    hashes = [b64(digest) for digest in path(6, log.hashes)]
    forged = log.text().replace("\n11\n", "\n12\n")
    return {
        "about": (
            "The data of receipts.issued. Each of `accepted` proves that its entry is in the log of "
            "`log_key`: the leaf's path leads to the root in the checkpoint, which the log signed, and the "
            "leaf commits to the head. Each of `refused` must fail."
        ),
        "log_key": LOG.vkey,
        "accepted": [
            {
                "name": f"entry {index}",
                "data": data(index),
                "leaf_hash": log.hashes[index].hex(),
                "message_id": head(index)["message_id"],
            }
            for index in (0, 5, 6, 10)
        ],
        "refused": [
            {"name": "another index", "data": data(6, index=7)},
            {"name": "an altered leaf", "data": data(6, leaf=leaf.replace("2026", "2027"))},
            {
                "name": "a hash is missing",
                "data": data(6, hashes=hashes[:-1], path=list(range(len(hashes) - 1))),
            },
            {"name": "hashes in another order", "data": data(6, path=list(reversed(range(len(hashes)))))},
            {"name": "a hash that no receipt uses", "data": data(6, hashes=[*hashes, hashes[0]])},
            {"name": "the head of another entry", "data": data(6, head=compact(head(9)).decode())},
            {"name": "another salt", "data": data(6, head_salt=b64(head_salt(9)))},
            {
                "name": "a checkpoint of another key",
                "data": data(6, checkpoint=f"{log.text()}\n{STRANGER.line(log.text())}"),
            },
            {
                "name": "a checkpoint of another size",
                "data": data(6, checkpoint=f"{forged}\n{LOG.line(log.text())}"),
            },
        ],
    }
