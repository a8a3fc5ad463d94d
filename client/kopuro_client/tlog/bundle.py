"""Bundles: a referral's history in one file that can be verified offline.

    {"format": "kopuro-bundle/3", "origin", "log_key", "referral_id",
     "referral_key": base64, which recognises every leaf of the referral, or null in the bundle of a party,
     "checkpoint": the signed note, cosignatures included,
     "entries": [{"index", "leaf": base64, "proof": [base64, ...],
                  "head": {"salt": base64, "value": {...}} or null for leaves of formats 1 and 2,
                  "opening": {"salt": base64, "data": {...}} or null}, ...],
     "manifest": {"created_at", "entries": how many, "sha256"}}

`manifest.sha256` is the hash of the canonical JSON of everything except itself. It detects accidental damage
only, because a forger can recompute it; the proofs and signatures cannot be forged.

The older formats remain supported. `kopuro-bundle/2` has neither `referral_key` nor heads. In
`kopuro-bundle/1` the hash also omits the whole manifest, including `created_at`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from kopuro_client.tlog import base64_text
from kopuro_client.tlog.entries import (
    KEY_BYTES,
    canonical_json,
    is_closed,
    key_commitment,
    read_json,
    recognizes,
)
from kopuro_client.tlog.errors import ContentError, MalformedError
from kopuro_client.tlog.keys import VerifierKey
from kopuro_client.tlog.policy import AcceptedCheckpoint, TrustPolicy
from kopuro_client.tlog.proved_entry import member, only, verify_entry

FORMAT: Final = "kopuro-bundle/3"
OLDER_FORMATS: Final = ("kopuro-bundle/1", "kopuro-bundle/2")
FORMATS: Final = (FORMAT, *OLDER_FORMATS)
_WHAT: Final = "the bundle"
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, kw_only=True, slots=True)
class BundledEntry:
    """A verified entry. leaf: what it says, from the leaf or its opened head (`entries.read_entry`).

    closed: whether the leaf is of format 3; opened: whether the bundle has its content; data: that content.
    """

    index: int
    leaf: Mapping[str, Any]
    closed: bool
    opened: bool
    data: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A parsed bundle. Its format and manifest are valid; proofs and signatures are not verified yet.

    referral_key: recognises the referral's leaves of format 3; None in a party's bundle and in older formats.
    """

    origin: str
    log_key: VerifierKey
    referral_id: str
    referral_key: bytes | None
    note: str
    entries: tuple[Mapping[str, Any], ...]

    @classmethod
    def parse(cls, content: bytes) -> Bundle:
        """Parse a bundle file. Raises MalformedError, or ContentError if the manifest does not match."""
        document = read_json(content, what="the bundle")
        if document.get("format") not in FORMATS:
            raise MalformedError(f"the file is not a bundle in one of the formats {', '.join(FORMATS)}")
        manifest = member(document, "manifest", dict, what=_WHAT)
        entries = member(document, "entries", list, what=_WHAT)
        bundle = cls(
            origin=member(document, "origin", str, what=_WHAT),
            log_key=VerifierKey.parse(member(document, "log_key", str, what=_WHAT)),
            referral_id=member(document, "referral_id", str, what=_WHAT),
            referral_key=_key(document),
            note=member(document, "checkpoint", str, what=_WHAT),
            entries=tuple(entry if isinstance(entry, dict) else {} for entry in entries),
        )
        added = ("referral_key",) if document["format"] == FORMAT else ()
        only(
            document,
            "format",
            "origin",
            "log_key",
            "referral_id",
            "checkpoint",
            "entries",
            "manifest",
            *added,
            what=_WHAT,
        )
        only(manifest, "created_at", "entries", "sha256", what=_WHAT)
        if not _TIME.fullmatch(member(manifest, "created_at", str, what=_WHAT)):
            raise MalformedError("the manifest's created_at is not an RFC 3339 time")
        if member(manifest, "entries", int, what=_WHAT) != len(entries):
            raise ContentError(
                f"the bundle has {len(entries)} entries, but its manifest says {manifest['entries']}"
            )
        if (
            member(manifest, "sha256", str, what=_WHAT)
            != sha256(canonical_json(_hashed(document))).hexdigest()
        ):
            raise ContentError("the bundle does not match its manifest's hash")
        return bundle

    def verify(self, policy: TrustPolicy) -> tuple[AcceptedCheckpoint, tuple[BundledEntry, ...]]:
        """Verify every proof and opening, and return the accepted checkpoint and the entries.

        Raises UntrustedError, ProofError, ContentError, MalformedError. Does not prove that the log has no
        other entries of this referral; for that, see `replay` and `is_about`.
        """
        accepted = policy.accept(self.note)
        if accepted.checkpoint.origin != self.origin:
            raise ContentError("the bundle and its checkpoint name different logs")
        entries = tuple(self._verify_entry(entry, accepted) for entry in self.entries)
        indices = [entry.index for entry in entries]
        if indices != sorted(set(indices)):
            raise ContentError("the bundle's entries are not in log order")
        if len({entry.leaf["referral_key"] for entry in entries if entry.closed}) > 1:
            raise ContentError("the bundle's entries name different keys of the referral")
        return accepted, entries

    def is_about(self, leaf: bytes) -> bool:
        """Return whether a leaf of the log is an entry of the referral, as far as the bundle shows.

        Without `referral_key`, leaves of format 3 are not recognised.
        """
        if is_closed(leaf):
            return self.referral_key is not None and recognizes(self.referral_key, leaf)
        return f'"referral_id":"{self.referral_id}"'.encode() in leaf

    def _verify_entry(self, entry: Mapping[str, Any], accepted: AcceptedCheckpoint) -> BundledEntry:
        found = verify_entry(entry, accepted.checkpoint, what=_WHAT)
        self._check_key(found.leaf, found.fields, found.index)
        if found.fields.get("referral_id") != self.referral_id:
            raise ContentError(f"entry {found.index} is not about the bundle's referral")
        return BundledEntry(
            index=found.index,
            leaf=found.fields,
            closed=found.closed,
            opened=found.opened,
            data=found.data,
        )

    def _check_key(self, leaf: bytes, fields: Mapping[str, Any], index: int) -> None:
        if self.referral_key is None or not is_closed(leaf):
            return
        committed = fields["referral_key"] == key_commitment(self.referral_key)
        if not committed or not recognizes(self.referral_key, leaf):
            raise ContentError(f"the bundle's referral_key is not that of entry {index}")


def _hashed(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of the document that the manifest's hash covers."""
    rest = {name: value for name, value in document.items() if name != "manifest"}
    if document["format"] == OLDER_FORMATS[0]:
        return rest
    manifest = {name: value for name, value in document["manifest"].items() if name != "sha256"}
    return {**rest, "manifest": manifest}


def _key(document: Mapping[str, Any]) -> bytes | None:
    if document.get("referral_key") is None:
        return None
    key = base64_text.decode(
        member(document, "referral_key", str, what=_WHAT), what="the bundle's referral_key"
    )
    if len(key) != KEY_BYTES:
        raise MalformedError(f"the bundle's referral_key does not have {KEY_BYTES} bytes")
    return key
