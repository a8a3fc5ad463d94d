"""Declarations of audit's resources, as the OpenAPI document publishes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from contracts.identifiers import UUID_PATTERN
from contracts.responses.history import (
    Bundle,
    ConsistencyProof,
    CountedReferral,
    Entry,
    HistoryPage,
    InclusionProof,
    ProvedEntries,
    ReadersPage,
    StatisticsTable,
)
from runtime.web.languages import ACCEPT_LANGUAGE, LANGUAGE_HEADERS
from runtime.web.operation import (
    CSV,
    JSON,
    NDJSON,
    DeclaredResponse,
    Operation,
    Parameter,
    or_csv,
    page_of,
    record_of,
    text,
)
from runtime.web.parameters import AFTER, JSON_OR_CSV, PAGED, SINCE, UNTIL, coded, flag, limit, matching
from services.audit.reports import export_api, history_api
from services.audit.reports.domain.statistics_counts import DIMENSIONS
from services.audit.reports.story_text import RENDERERS
from services.audit.reports.story_words import LANGUAGES

_NUMBER: Final = {"type": "integer", "minimum": 0, "maximum": 10**12 - 1}
_CURSOR: Final = frozenset({"invalid-cursor"})
_HISTORY: Final = frozenset({"not-found", "bundle-too-large"})

_UUID: Final = UUID_PATTERN.strip("^$")
_BY: Final = "^({0})(,({0}))?$".format("|".join(DIMENSIONS))

SEARCHED: Final = (
    *(
        matching(name, f"^({form.pattern.strip('^$')})$", f"Only entries about {said}.", maxLength=200)
        for name, form, said in history_api.described_forms()
    ),
    SINCE,
    UNTIL,
    *PAGED,
)
TIMELINE_SEARCHED: Final = tuple(one for one in SEARCHED if one.name != "referral")
READ_BY: Final = PAGED
TOLD: Final = (
    coded(
        "language",
        LANGUAGES,
        "The language of the document; by default as `Accept-Language` prefers.",
    ),
    coded("format", RENDERERS, "The form of the document; `text` by default."),
)
EXPORTED: Final = (
    SINCE,
    UNTIL,
    matching("type", r"^[a-z0-9_]+(\.[a-z0-9_]+){1,9}$", "Only entries of this type.", maxLength=200),
    coded("format", ("ndjson", "csv"), "`ndjson` by default."),
    AFTER,
    limit(default=export_api.USUAL, maximum=export_api.MOST),
)
COUNTED: Final = (
    Parameter(
        name="by",
        schema={"type": "string", "pattern": _BY},
        description="One or two dimensions, separated by a comma.",
        required=True,
    ),
    SINCE,
    UNTIL,
    JSON_OR_CSV,
    flag("exact", "Exact figures, for auditors and coordinators; `false` by default."),
)
BEHIND: Final = (
    *(matching(name, "^[A-Za-z0-9_.-]{1,100}$", f"The figure's value of `{name}`.") for name in DIMENSIONS),
    SINCE,
    UNTIL,
    *PAGED,
)
NAMED: Final = (
    matching(
        "message",
        f"^{_UUID}(,{_UUID}){{0,99}}$",
        "The ids of up to 100 messages, separated by commas; none by default.",
        maxLength=3_700,
    ),
)
PROVEN: Final = (
    Parameter(name="index", schema=_NUMBER, description="The entry's index.", required=True),
    Parameter(name="size", schema=_NUMBER, description="The tree's size; by default the newest tree."),
)
COMPARED: Final = (
    Parameter(name="from", schema=_NUMBER, description="The earlier tree's size.", required=True),
    Parameter(name="to", schema=_NUMBER, description="The later tree's size; by default the newest."),
)

CHECKPOINT: Final = Operation(
    summary="Read the newest published checkpoint of the log (C2SP tlog-checkpoint)",
    responses={200: text("A signed note.")},
    refusals=frozenset({"not-found", "unavailable"}),
)
COSIGNED_CHECKPOINT: Final = Operation(
    summary="Read the newest checkpoint with the cosignatures that the policy requires",
    responses={200: text("A signed note.")},
    refusals=frozenset({"not-found", "unavailable"}),
)
_TILE: Final = ("application/octet-stream",)
TILE: Final = Operation(
    summary="Read a tile or an entry bundle of the log (C2SP tlog-tiles)",
    responses={
        200: text("The whole tile.", *_TILE),
        206: text("The part that a Range header asked for.", *_TILE),
        304: DeclaredResponse(description="The tile that the caller has.", media_types=_TILE),
        416: DeclaredResponse(description="The tile has no such part.", media_types=_TILE),
    },
    refusals=frozenset({"content-mismatch"}),
)
LOG_KEY: Final = Operation(
    summary="Read the key that verifies the log's checkpoints (C2SP signed-note)",
    responses={200: text("A verifier key on one line.")},
)
HISTORY: Final = Operation(
    summary="Search the entries of the log", responses={200: record_of(HistoryPage)}, refusals=_CURSOR
)
TIMELINE: Final = Operation(
    summary="List the entries about a referral", responses={200: record_of(HistoryPage)}, refusals=_CURSOR
)
BUNDLE: Final = Operation(
    summary="Get a referral's history with its proofs, to be verified offline",
    responses={
        200: record_of(Bundle, headers={"Content-Disposition": "The name of the file to save."}),
    },
    refusals=_HISTORY,
)
STORY: Final = Operation(
    summary="Get a referral's history as a document for people",
    headers=(ACCEPT_LANGUAGE,),
    responses={
        200: replace(
            text("The document.", "text/plain", "text/markdown", "text/html", JSON), headers=LANGUAGE_HEADERS
        )
    },
    refusals=_HISTORY,
)
READERS: Final = Operation(
    summary="List who read a referral", responses={200: record_of(ReadersPage)}, refusals=_HISTORY | _CURSOR
)
EXPORT: Final = Operation(
    summary="Export entries in bulk",
    responses={200: text("One line for each entry; the last line of NDJSON has `next`.", NDJSON, CSV)},
    refusals=_CURSOR,
)
STATISTICS: Final = Operation(
    summary="Count referrals by one or two dimensions; small figures are withheld",
    responses={200: or_csv(record_of(StatisticsTable, description="A table."))},
)
STATISTICS_ENTRIES: Final = Operation(
    summary="List the referrals behind a figure",
    responses={200: page_of(CountedReferral)},
    refusals=_CURSOR,
)
ENTRY: Final = Operation(summary="Read one entry of the log", responses={200: record_of(Entry)})
ENTRIES: Final = Operation(
    summary="Get entries about routing's decisions, and the caller's own statements, with their proofs",
    responses={200: record_of(ProvedEntries)},
)
PROOF: Final = Operation(
    summary="Get a proof that an entry is in the log", responses={200: record_of(InclusionProof)}
)
CONSISTENCY: Final = Operation(
    summary="Get a proof that the log only grew", responses={200: record_of(ConsistencyProof)}
)
