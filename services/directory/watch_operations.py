"""Declarations of the resources about watched employers, as the OpenAPI document publishes them."""

from __future__ import annotations

from typing import Any, Final

from contracts import vocabularies
from contracts.employer import EmployerReport
from contracts.responses.watch import OwnReport, WatchedEmployer, WatchOptIn, WatchRecipient
from runtime.web.operation import Body, Operation, Parameter, page_of, record_of
from runtime.web.parameters import PAGED, coded, matching
from services.directory import admission
from services.directory.api.watch import LONGEST_NAME
from services.directory.operations import CHANGING, PROOF

# Evidence of the greatest length for each of the most recipients, and the rest of the report.
LONGEST_REPORT: Final = 6 * 1024 * 1024
LISTED_WATCHED: Final = (
    matching("country", "^[A-Z]{2}$", "Only employers of this country (ISO 3166-1 alpha-2)."),
    coded("region", vocabularies.codes("regions"), "Only employers in this region or country."),
    Parameter(
        name="name",
        schema={"type": "string", "minLength": 1, "maxLength": LONGEST_NAME},
        description="Only employers whose name contains this, whatever its case and punctuation.",
    ),
    *PAGED,
)
_CURSOR: Final = frozenset({"invalid-cursor"})
_SAMPLE_JWE: Final = "eyJhbGciOiJFQ0RILUVTK0EyNTZLVyIsImVuYyI6IkEyNTZHQ00ifQ.wrapped-key.iv.ciphertext.tag"
_REPORT: Final[dict[str, Any]] = {
    "employer": {
        "name": "Stroy (invented)",
        "kind": "employer",
        "country": "RU",
        "region": "RU-MOW",
        "registration_number": "7700000000",
    },
    "practices": ["wages_withheld", "passport_kept"],
    "first_month": "2026-01",
    "last_month": "2026-02",
    "evidence": [{"organization": "ru.builders-union", "sealed": _SAMPLE_JWE}],
}

WATCHED: Final = Operation(
    summary="List the employers that at least two unrelated organisations report",
    responses={200: page_of(WatchedEmployer)},
    refusals=_CURSOR,
)
SHOW_WATCHED: Final = Operation(
    summary="Read one watched employer",
    responses={200: record_of(WatchedEmployer)},
    refusals=frozenset({"not-found"}),
)
PUT_REPLY: Final = Operation(
    summary="Record an employer's reply in place of an earlier one; it is shown beside the entry",
    body=Body(
        record=admission.EmployerReplyText,
        examples={"a reply": {"text": "The wages of January were paid in March (invented)."}},
    ),
    headers=(PROOF,),
    responses={200: record_of(WatchedEmployer)},
    refusals=CHANGING | {"not-found"},
)
WATCH_REPORTS: Final = Operation(
    summary="List the caller's own reports about employers, oldest first",
    responses={200: page_of(OwnReport)},
    refusals=_CURSOR,
)
POST_REPORT: Final = Operation(
    summary="Report an employer or recruitment agency, with evidence sealed to each recipient",
    body=Body(record=EmployerReport, examples={"wages withheld": _REPORT}),
    headers=(PROOF,),
    responses={201: record_of(OwnReport, description="The report is stored and sent to its recipients.")},
    refusals=CHANGING | {"case-not-sealed", "conflict"},
)
RETRACT_REPORT: Final = Operation(
    summary="Retract a report of the caller; a repetition changes nothing",
    headers=(PROOF,),
    responses={200: record_of(OwnReport)},
    refusals=CHANGING | {"not-found"},
)
WATCH_RECIPIENTS: Final = Operation(
    summary="List the organisations that receive watch reports, with their sealing keys",
    responses={200: page_of(WatchRecipient)},
    refusals=_CURSOR,
)
WATCH_OPT_IN: Final = Operation(
    summary="Read whether the caller has opted in to watch reports", responses={200: record_of(WatchOptIn)}
)
PUT_OPT_IN: Final = Operation(
    summary="Opt the caller in to watch reports, or out",
    body=Body(record=admission.WatchChoice, examples={"opt in": {"receives": True}}),
    headers=(PROOF,),
    responses={200: record_of(WatchOptIn)},
    refusals=CHANGING | {"conflict"},
)
