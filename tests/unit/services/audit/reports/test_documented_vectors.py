"""The documents with entries have the bytes that docs/auditing.md describes."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from base64 import b64decode
from typing import Any

import orjson

from contracts.commitment import commitment_to
from contracts.facts import DecisionsRecorded, ReceiptsIssued
from contracts.records import dump, read
from kopuro_client.tlog.receipts import receipts_in
from services.audit.log.domain.checkpoint import Checkpoint
from services.audit.log.domain.published import PublishedCheckpoint
from services.audit.log.ports import OpenedLeaf
from services.audit.reports.bundle_file import bundle_file, entry_document
from services.audit.reports.export_api import _line
from services.audit.reports.handlers.history import Bundle, BundledEntry
from tests.servers import ROOT


def vectors() -> dict[str, Any]:
    """Return the vectors of the documents in docs/auditing.md."""
    page = (ROOT / "docs" / "auditing.md").read_text()
    text = (
        page.partition("Vectors from the first entry above")[2].partition("```json\n")[2].partition("```")[0]
    )
    found: dict[str, Any] = json.loads(text)
    assert found.keys() == {"bundle", "export_line", "receipts_issued", "decision"}
    return found


VECTORS = vectors()


def canonical(value: Any) -> bytes:
    """RFC 8785 for objects whose names are ASCII and whose numbers are small integers."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def root_of(leaf: bytes, sibling: bytes) -> bytes:
    return hashlib.sha256(b"\1" + hashlib.sha256(b"\0" + leaf).digest() + sibling).digest()


def first_entry() -> BundledEntry:
    """Return the entry of the vectors as the service reads it from its database."""
    (entry,) = VECTORS["bundle"]["entries"]
    leaf = OpenedLeaf(
        index=entry["index"],
        leaf=b64decode(entry["leaf"]),
        head=b64decode(entry["head"]["salt"]) + canonical(entry["head"]["value"]),
        salt=b64decode(entry["opening"]["salt"]),
        data=entry["opening"]["data"],
    )
    return BundledEntry(leaf=leaf, proof=tuple(map(b64decode, entry["proof"])))


def test_bundle_has_the_documented_members_and_hash() -> None:
    stated = VECTORS["bundle"]
    note = stated["checkpoint"]
    origin, size, root, *_ = note.split("\n")
    made = bundle_file(
        Bundle(
            referral_id=stated["referral_id"],
            referral_key=b64decode(stated["referral_key"]),
            log_key=stated["log_key"],
            published=PublishedCheckpoint(
                note=note.encode(),
                checkpoint=Checkpoint(origin=origin, size=int(size), root=b64decode(root)),
            ),
            entries=(first_entry(),),
            created_at=dt.datetime.fromisoformat(stated["manifest"]["created_at"]),
        )
    )
    assert orjson.loads(orjson.dumps(made)) == stated
    # Computed with what the page says alone, and not with the code that made the bundle.
    covered = {**stated, "manifest": {**stated["manifest"]}}
    digest = covered["manifest"].pop("sha256")
    assert hashlib.sha256(canonical(covered)).hexdigest() == digest
    entry = stated["entries"][0]
    assert root_of(b64decode(entry["leaf"]), b64decode(entry["proof"][0])) == b64decode(root)


def test_head_of_a_bundle_is_hashed_as_its_canonical_json() -> None:
    (entry,) = VECTORS["bundle"]["entries"]
    salted = b"kopuro-entry/3 head\n" + b64decode(entry["head"]["salt"]) + canonical(entry["head"]["value"])
    leaf = json.loads(b64decode(entry["leaf"]))
    assert leaf["head"] == "sha256:" + hashlib.sha256(salted).hexdigest()
    assert entry_document(first_entry()) == entry


def test_export_line_has_the_documented_members() -> None:
    assert _line(first_entry().leaf) == VECTORS["export_line"]


def test_receipts_message_has_the_documented_members() -> None:
    stated = VECTORS["receipts_issued"]
    assert json.loads(dump(read(ReceiptsIssued, stated))) == stated
    (receipt,) = receipts_in(stated)
    (one,) = stated["receipts"]
    assert receipt.leaf == one["leaf"].encode()
    assert receipt.proof.hashes == tuple(b64decode(stated["hashes"][place]) for place in one["path"])
    assert receipt.fields()["message_id"] == json.loads(one["head"])["message_id"]
    root = b64decode(stated["checkpoint"].split("\n")[2])
    assert root_of(receipt.leaf, receipt.proof.hashes[0]) == root


def test_decision_is_committed_to_as_documented() -> None:
    stated = VECTORS["decision"]
    (decision,) = stated["data"]["decisions"]
    salt, record = bytes.fromhex(stated["salt"]), stated["record"].encode()
    assert decision["commitment"] == "sha256:" + hashlib.sha256(salt + record).hexdigest()
    assert decision["commitment"] == commitment_to(record, salt)
    assert json.loads(dump(read(DecisionsRecorded, stated["data"]))) == stated["data"]
