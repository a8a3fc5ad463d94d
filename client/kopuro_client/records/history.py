"""The audit log in a hub's responses: entries, reads and exports."""

from __future__ import annotations

from typing import Any, TypedDict

from kopuro_client.records.pages import Page


class HistoryEntry(TypedDict):
    """An entry of the audit log. index: its leaf index; commitment: salted hash of the event's data."""

    index: int
    time: str
    type: str
    hub: str
    actor: str
    referral_id: str | None
    message_id: str
    organization: str | None
    commitment: str


class TreeHead(TypedDict):
    """The tree head from which a page of history was read. root: the RFC 6962 root hash in base64."""

    origin: str
    size: int
    root: str


class HistoryPage(Page[HistoryEntry]):
    checkpoint: TreeHead


class RecordedRead(TypedDict):
    """A read of a referral's facts. index, time (RFC 3339), type: those of its log entry.

    client_id: the reader's OAuth client, null if unknown. resource: method and route template, null for reads
    of the log. filter: the query's codes; a value is null where you may not see it. entries: items in the
    answer, null for a fetched case.
    """

    index: int
    time: str
    type: str
    reader: str
    client_id: str | None
    roles: list[str]
    resource: str | None
    filter: dict[str, str | int | None]
    entries: int | None


class ReadersPage(Page[RecordedRead]):
    referral_id: str


class ExportedHead(TypedDict):
    """The head of an exported entry. salt: base64; value: its members."""

    salt: str
    value: dict[str, Any]


class ExportedEntry(TypedDict):
    """An entry of an export.

    leaf: canonical JSON; head: what the entry says, and the salt that opens it, None for leaves of formats 1
    and 2; salt (base64) and data: they open the leaf's commitment to the data; None once erased.
    """

    index: int
    leaf: str
    head: ExportedHead | None
    salt: str | None
    data: dict[str, Any] | None


class ExportPage(TypedDict):
    """A page of an export.

    size: that of the exported tree; checkpoint: the newest, which on the first page has that size.
    """

    entries: list[ExportedEntry]
    next: str | None
    size: int
    checkpoint: str
