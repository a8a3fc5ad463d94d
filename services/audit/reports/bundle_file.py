"""The case bundle: one JSON file in the format `kopuro-bundle/3`, which `kopuro verify bundle` reads.

    {"format": "kopuro-bundle/3", "origin": str, "log_key": str, "referral_id": str,
     "referral_key": base64 | null,          recognises the referral's leaves; null for a party
     "checkpoint": str,                      the signed note, with the cosignatures of witnesses
     "entries": [{"index": int, "leaf": base64, "proof": [base64, ...],
                  "head": {"salt": base64, "value": {...}} | null,      null for leaves of formats 1 and 2
                  "opening": {"salt": base64, "data": {...}} | null}],
     "manifest": {"created_at": RFC 3339, "entries": int, "sha256": hex}}

`manifest.sha256` is the SHA-256 of the canonical JSON (RFC 8785) of the object without that field. It detects
accidental damage to the file; in `kopuro-bundle/1` it did not cover the manifest. In `kopuro-bundle/2` all
leaves have the formats 1 and 2, and there are neither heads nor a `referral_key`. Trust rests on the
checkpoint's signatures alone. `log_key` is a convenience: a verifier compares it with the key that it
obtained by other means.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from contracts import base64_text
from contracts.canonical import canonical_json
from contracts.responses.history import Bundle as BundleDocument
from runtime.turn import in_turns
from services.audit.log.ports import opened_head
from services.audit.reports.handlers.history import Bundle, BundledEntry

FORMAT: Final = "kopuro-bundle/3"


def bundle_file(bundle: Bundle) -> BundleDocument:
    """Return the file's content."""
    created_at = bundle.created_at.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    manifest = {"created_at": f"{created_at}Z", "entries": len(bundle.entries)}
    entries = tuple(map(entry_document, in_turns(bundle.entries)))
    content: dict[str, Any] = {
        "format": FORMAT,
        "origin": bundle.published.checkpoint.origin,
        "log_key": bundle.log_key,
        "referral_id": bundle.referral_id,
        "referral_key": None if bundle.referral_key is None else base64_text.encoded(bundle.referral_key),
        "checkpoint": bundle.published.note.decode(),
    }
    digest = _digest({**content, "manifest": manifest}, entries)
    return BundleDocument(**content, entries=entries, manifest={**manifest, "sha256": digest})


def _digest(content: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> str:
    """Return the SHA-256 of the canonical JSON of the content with the entries, computed entry by entry."""
    # Inside a text, the quotation marks of this member would be escaped.
    before, member, after = canonical_json({**content, "entries": []}).partition(b'"entries":[]')
    digest = sha256(before + member[:-1])
    for number, entry in enumerate(in_turns(entries)):
        digest.update((b"," if number else b"") + canonical_json(entry))
    digest.update(b"]" + after)
    return digest.hexdigest()


def entry_document(entry: BundledEntry) -> dict[str, Any]:
    """Return an entry as documents show it, with its proof and its openings."""
    leaf = entry.leaf
    opening = None if leaf.salt is None else {"salt": base64_text.encoded(leaf.salt), "data": leaf.data}
    return {
        "index": leaf.index,
        "leaf": base64_text.encoded(leaf.leaf),
        "proof": [base64_text.encoded(digest) for digest in entry.proof],
        "head": head_document(leaf.head),
        "opening": opening,
    }


def head_document(head: bytes | None) -> dict[str, Any] | None:
    """Return a head as documents show it, `{"salt": base64, "value": {...}}`. head: as stored."""
    if head is None:
        return None
    salt, value = opened_head(head)
    return {"salt": base64_text.encoded(salt), "value": value}
