"""Weekly and monthly figures: reports for coordinators, and an organisation's own statements."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from marshmallow.validate import OneOf

from contracts.identifiers import MessageId, ReferralId
from contracts.responses.form import OMITTED, Shape, named

_COUNT: Final = {"type": ["integer", "null"]}
# count: null if it is withheld. change: from the week before, null unless both are shown.
_FIGURE: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"count": _COUNT, "withheld": {"type": "boolean"}, "change": _COUNT},
}
FIGURE: Final = Shape(_FIGURE)
FIGURES: Final = Shape({"type": "object", "additionalProperties": dict(_FIGURE)})
ROWS: Final = Shape({"type": "array", "items": {"type": "object"}})


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkReport:
    """A week of the network beside the week before. threshold: smaller figures are withheld.

    gaps: by region, need and language. blocking: the referrals that each rule left without a candidate.
    organizations: how each answered its offers; null stands for all that share a row.
    """

    week: str
    start: dt.datetime = field(metadata=named("from"))
    end: dt.datetime = field(metadata=named("to"))
    made_at: dt.datetime
    before: str | None
    threshold: int
    totals: Annotated[Mapping[str, Any], FIGURES]
    median_answer: Annotated[Mapping[str, Any], FIGURE]
    gaps: Annotated[tuple[Mapping[str, Any], ...], ROWS]
    blocking: Annotated[tuple[Mapping[str, Any], ...], ROWS] = field(metadata=named("rules"))
    organizations: Annotated[tuple[Mapping[str, Any], ...], ROWS]


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkSeries:
    """The totals of the latest weeks or months, the oldest first."""

    every: str
    items: Annotated[tuple[Mapping[str, Any], ...], ROWS]


@dataclass(frozen=True, kw_only=True, slots=True)
class OrganizationStatement:
    """The figures of an organisation's own week.

    considered: the offers, and the referrals for which the organisation was passed over. In `considered`,
    `passed_over` and its reasons, figures below 5 are withheld, and `others` counts the reasons that share a
    row. The other figures are exact.
    """

    organization: str
    week: str
    start: dt.datetime = field(metadata=named("from"))
    end: dt.datetime = field(metadata=named("to"))
    before: str | None
    considered: Annotated[Mapping[str, Any], FIGURE]
    passed_over: Annotated[Mapping[str, Any], FIGURE]
    passed_over_by_reason: Annotated[Mapping[str, Any], FIGURES]
    asked: Annotated[Mapping[str, Any], FIGURE]
    answered: Annotated[Mapping[str, Any], FIGURE]
    accepted: Annotated[Mapping[str, Any], FIGURE]
    declined: Annotated[Mapping[str, Any], FIGURES]
    silent: Annotated[Mapping[str, Any], FIGURE]
    median_answer: Annotated[Mapping[str, Any], FIGURE]


# at_least: the sum of the weeks that are not withheld.
_SUM: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "count": _COUNT,
        "withheld": {"type": "boolean"},
        "at_least": {"type": "integer", "minimum": 0},
    },
    "required": ["count", "withheld", "at_least"],
    "additionalProperties": False,
}
_EXACT: Final[Mapping[str, Any]] = {"type": "integer", "minimum": 0}
# The content of `kopuro-statement/1`. Its canonical JSON (RFC 8785) is what the log's digest covers.
STATEMENT_CONTENT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "format": {"const": "kopuro-statement/1"},
        "organization": {"type": "string"},
        "month": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}$"},
        "from": {"type": "string", "format": "date-time"},
        "to": {"type": "string", "format": "date-time"},
        "weeks": {"type": "array", "items": {"type": "string", "pattern": "^[0-9]{4}-W[0-9]{2}$"}},
        "complete": {"type": "boolean"},
        "considered": dict(_SUM),
        "passed_over": dict(_SUM),
        "passed_over_by_reason": {"type": "object", "additionalProperties": dict(_SUM)},
        "asked": dict(_EXACT),
        "answered": dict(_EXACT),
        "accepted": dict(_EXACT),
        "declined": {"type": "object", "additionalProperties": dict(_EXACT)},
        "silent": dict(_EXACT),
    },
    "required": [
        "format",
        "organization",
        "month",
        "from",
        "to",
        "weeks",
        "complete",
        "considered",
        "passed_over",
        "passed_over_by_reason",
        "asked",
        "answered",
        "accepted",
        "declined",
        "silent",
    ],
}


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuedIn:
    """message_id: of the message `statement.issued`, which commits to the statement in the log."""

    message_id: MessageId
    issued_at: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class MonthlyStatement:
    """The figures of an organisation's month: the sums of its weeks. issued: null until all have been issued.

    complete: every week has a report. considered: the offers and the referrals for which the organisation was
    passed over; these and their reasons are withheld if a week's figure is. The others are exact.
    """

    statement: Annotated[Mapping[str, Any], Shape(STATEMENT_CONTENT)]
    issued: IssuedIn | None


@dataclass(frozen=True, kw_only=True, slots=True)
class AskingDecision:
    """A decision that asked the organisation, and the proof of it (docs/auditing.md).

    message_id: of the message that commits to the decision in the log. index, size: the leaf's number and how
    many there are; path: base64 hashes, the leaf's sibling first. unproven: why there is no leaf: `erased`,
    `earlier_build`, or `contradicted` by the stored record.
    """

    decision_id: MessageId
    message_id: MessageId | None
    referral_id: ReferralId | None = field(default=None, metadata=OMITTED)
    salt: str | None = field(default=None, metadata=OMITTED)
    index: int | None = field(default=None, metadata=OMITTED)
    size: int | None = field(default=None, metadata=OMITTED)
    path: tuple[str, ...] | None = field(default=None, metadata=OMITTED)
    outcome: str | None = field(default=None, metadata=OMITTED)
    unproven: Annotated[str, OneOf(("erased", "earlier_build", "contradicted"))] | None = field(
        default=None, metadata=OMITTED
    )
