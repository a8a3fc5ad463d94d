"""Response bodies of audit's resources. Hashes, salts and leaves of a bundle are base64."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from marshmallow.validate import OneOf

from contracts.identifiers import ReferralId
from contracts.responses.form import Shape, named

_ENTRY = {
    "type": "object",
    "properties": {
        "index": {"type": "integer", "minimum": 0},
        "time": {"type": "string", "format": "date-time"},
        "type": {"type": "string"},
    },
    "required": ["index", "time", "type"],
}
_TEXT_LISTS = Shape(
    {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class InclusionProof:
    """A proof that an entry is in the tree (RFC 9162 §2.1.3)."""

    index: int
    size: int
    leaf_hash: str
    hashes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsistencyProof:
    """A proof that a tree continues an earlier one (RFC 9162 §2.1.4)."""

    from_size: int = field(metadata=named("from"))
    to_size: int = field(metadata=named("to"))
    hashes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeHead:
    """The tree that a page was read from. root: its hash."""

    origin: str
    size: int
    root: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryPage:
    """One page of entries, each read from its leaf and head, which the tree proves."""

    items: Annotated[tuple[Mapping[str, Any], ...], Shape({"type": "array", "items": _ENTRY})]
    next: str | None
    checkpoint: TreeHead


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedRead:
    """One recorded read. filter: what was asked for; null where this reader may not see it."""

    index: int
    time: dt.datetime
    type: str
    reader: str
    client_id: str | None
    roles: tuple[str, ...]
    resource: str | None
    filter: Mapping[str, Any]
    entries: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadersPage:
    """One page of the recorded reads of a referral, oldest first."""

    referral_id: ReferralId
    items: tuple[RecordedRead, ...]
    next: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One leaf of the log as text, its hash, and the head that it commits to (null for old formats)."""

    index: int
    leaf: str
    leaf_hash: str
    head: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A referral's history with its proofs, to be verified offline. manifest: with the file's own digest."""

    format: str
    origin: str
    log_key: str
    referral_id: ReferralId
    referral_key: str | None
    checkpoint: str
    entries: tuple[Mapping[str, Any], ...]
    manifest: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProvedEntries:
    """Entries of the log with their openings and inclusion proofs, as a bundle has them, by index.

    checkpoint: the signed note that the proofs refer to. Entries that are not published yet are missing.
    """

    origin: str
    log_key: str
    checkpoint: str
    entries: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A count. values: by dimension; a sum lacks its dimension. count: null when withheld.

    times_withheld: the two times are protected, because few were answered.
    """

    values: Annotated[
        Mapping[str, str], Shape({"type": "object", "additionalProperties": {"type": "string"}})
    ]
    count: int | None
    withheld: bool
    times_withheld: bool
    answered_median_seconds: int | None
    answered_p90_seconds: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class StatisticsTable:
    """A table of counts. unit: what is counted. combined: the classes that a combined row may hold.

    log_size: the size of the log that was counted.
    """

    by: tuple[str, ...]
    since: dt.datetime | None = field(metadata=named("from"))
    until: dt.datetime | None = field(metadata=named("to"))
    unit: Annotated[str, OneOf(("referral", "need"))]
    figures: tuple[Figure, ...]
    combined: Annotated[Mapping[str, Any], _TEXT_LISTS]
    exact: bool
    withheld: bool
    log_size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedReferral:
    """A referral behind a figure, and its entries in the log."""

    referral_id: ReferralId
    entries: tuple[int, ...]
