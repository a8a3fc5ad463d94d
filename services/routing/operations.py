"""Declarations of routing's resources, as the OpenAPI document publishes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from contracts import vocabularies
from contracts.responses.coordination import (
    Considered,
    CoverageCell,
    Decisions,
    EngagementCounts,
    PolicySimulation,
    QueueItem,
    UnplacedReferral,
    WishList,
)
from contracts.responses.referrals import Submitted
from contracts.responses.reports import (
    AskingDecision,
    MonthlyStatement,
    NetworkReport,
    NetworkSeries,
    OrganizationStatement,
)
from runtime.web.languages import ACCEPT_LANGUAGE, LANGUAGE_HEADERS
from runtime.web.operation import Body, Operation, or_csv, page_of, record_of
from runtime.web.parameters import JSON_OR_CSV, LIMIT, ORGANIZATION, PAGED, coded, flag, matching
from services.routing.api import (
    ExtensionRequest,
    InterventionRequest,
    PlacementRequest,
    SimulationRequest,
    WithdrawalRequest,
)
from services.routing.domain.calendar_week import SeriesSpan
from services.routing.domain.coordination_queue import QueueKind
from services.routing.domain.report_words import LANGUAGES

_REGION: Final = coded(
    "region", vocabularies.codes("regions"), "Only this region, or the regions of a country."
)
_NEED: Final = coded("need", vocabularies.codes("needs"), "Only this need, or the needs of a group.")
_PARTY: Final = replace(
    ORGANIZATION, description="Only items that concern this organisation; an unknown id matches nothing."
)

QUEUED: Final = (
    coded("kind", QueueKind, "The queue to list.", required=True),
    _REGION,
    _NEED,
    _PARTY,
    *PAGED,
)
WISHED: Final = (_REGION, _NEED, _PARTY, LIMIT, JSON_OR_CSV)
COVERED: Final = (
    _REGION,
    _NEED,
    coded("language", vocabularies.codes("languages"), "Only this language."),
    flag("lacking", "Only cells in which referrals found no organisation."),
    *PAGED,
    coded("format", ("csv", "json"), "`json` by default; `csv` has all cells, without `after` and `limit`."),
)
CONSIDERED: Final = (_PARTY,)
WEEK: Final = matching(
    "week", r"^\d{4}-W\d{2}$", "The week (ISO 8601), such as `2026-W07`; by default the latest with a report."
)
_LABELS: Final = coded(
    "language",
    LANGUAGES,
    "The language of the labels; by default as `Accept-Language` prefers.",
)
MONTH: Final = matching(
    "month", r"^\d{4}-\d{2}$", "The month, such as `2026-10`; by default the latest with a report."
)
ASKING: Final = (MONTH, *PAGED)
REPORTED: Final = (WEEK, _LABELS, JSON_OR_CSV)
SERIES_SPANS: Final = (
    coded("every", SeriesSpan, "The length of a span; by default a week."),
    LIMIT,
    _LABELS,
    JSON_OR_CSV,
)

REPORT: Final = Operation(
    summary="Read the report of a week; small figures are withheld",
    headers=(ACCEPT_LANGUAGE,),
    responses={200: or_csv(record_of(NetworkReport, headers=LANGUAGE_HEADERS))},
    refusals=frozenset({"not-found"}),
)
SERIES: Final = Operation(
    summary="Read the totals of the latest weeks or months",
    headers=(ACCEPT_LANGUAGE,),
    responses={200: or_csv(record_of(NetworkSeries, headers=LANGUAGE_HEADERS))},
)
STATEMENT: Final = Operation(
    summary="Read the figures of the caller's own week",
    headers=(ACCEPT_LANGUAGE,),
    responses={200: or_csv(record_of(OrganizationStatement, headers=LANGUAGE_HEADERS))},
    refusals=frozenset({"not-found"}),
)

MONTHLY_STATEMENT: Final = Operation(
    summary="Read the figures of the caller's own month",
    responses={200: record_of(MonthlyStatement)},
    refusals=frozenset({"not-found"}),
)
ASKING_DECISIONS: Final = Operation(
    summary="List the decisions of a month that asked the caller, with their proofs",
    responses={200: page_of(AskingDecision)},
    refusals=frozenset({"not-found", "invalid-cursor"}),
)

DECISIONS: Final = Operation(
    summary="Read why a referral was offered to these organisations, in this order",
    responses={200: record_of(Decisions)},
)
UNPLACED: Final = Operation(
    summary="List the referrals that await placement",
    responses={200: page_of(UnplacedReferral)},
    refusals=frozenset({"invalid-cursor"}),
)
QUEUE: Final = Operation(
    summary="List a queue of the coordinators, the most urgent first",
    responses={200: page_of(QueueItem)},
    refusals=frozenset({"invalid-cursor"}),
)
CANDIDATES: Final = Operation(
    summary="Read which organisations a search would consider now, with the result of every rule",
    responses={200: record_of(Considered)},
    refusals=frozenset({"not-in-this-state"}),
)
WISHES: Final = Operation(
    summary="List the changes of the network that would place the most referrals",
    responses={200: or_csv(record_of(WishList))},
)
COVERAGE: Final = Operation(
    summary="List who could help, by region, need and language",
    responses={200: or_csv(page_of(CoverageCell))},
    refusals=frozenset({"invalid-cursor"}),
)
ENGAGEMENTS: Final = Operation(
    summary="Count the open referrals of an organisation, by urgency",
    responses={200: record_of(EngagementCounts)},
)
SIMULATION: Final = Operation(
    summary="Read which of the last referrals would have gone elsewhere under another policy",
    body=Body(
        record=SimulationRequest,
        examples={
            "example": {
                "policy": {"version": "2026-2", "weights": {"nearness": 2, "language": 4}},
                "referrals": 100,
            }
        },
    ),
    responses={200: record_of(PolicySimulation)},
    refusals=frozenset({"invalid-submission", "conflict"}),
)


def _act(summary: str, body: type, example: Mapping[str, Any]) -> Operation:
    return Operation(
        summary=summary,
        body=Body(record=body, examples={"example": dict(example)}),
        responses={202: record_of(Submitted, description="Recorded durably, not yet applied.")},
        refusals=frozenset(
            {
                "invalid-submission",
                "invalid-parameter",
                "conflict",
                "not-in-this-state",
                "not-a-party",
                "unknown-organization",
                "receiver-has-no-key",
                "forbidden",
                "not-found",
                "too-many-statements",
            }
        ),
    )


_WAITING: Final = "kg.osh-legal-aid"
PLACE: Final = _act("Offer a referral to an organisation", PlacementRequest, {"organization": _WAITING})
NUDGE: Final = _act("Remind the organisations that must act", InterventionRequest, {"reason": "no_answer"})
EXTEND: Final = _act(
    "Set a later deadline",
    ExtensionRequest,
    {"reason": "agreed_with_organization", "until": "2026-12-01T12:00:00Z"},
)
MOVE_ON: Final = _act("Ask the next organisation at once", InterventionRequest, {"reason": "no_answer"})
WITHDRAW: Final = _act(
    "Withdraw a referral for a party",
    WithdrawalRequest,
    {"organization": _WAITING, "reason": "placed_elsewhere"},
)
