"""The JSON of reports: a week of the network, a series of weeks or months, an organisation's own week."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class Figure(TypedDict):
    """count: null if withheld. change: from the week before; null unless both counts are shown.

    at_least: how many are shown in other rows, where the count itself may be withheld.
    """

    count: int | None
    withheld: bool
    change: int | None
    at_least: NotRequired[int]


class GapLabels(TypedDict):
    region: str | None
    need: str | None
    language: str | None


class Gap(Figure):
    """Referrals that found no organisation. A row with a null counts all others: see `WeeklyReport`."""

    region: str | None
    need: str | None
    language: str | None
    labels: GapLabels


class RuleCount(Figure):
    """Referrals that found no organisation, by the rule that excluded the closest candidates.

    rule: null for all others. label: of the rule, in the language that the report was read in.
    """

    rule: str | None
    label: str


class OrganizationWeek(TypedDict):
    """An organisation's week; the one whose `organization` is null counts all that have no row."""

    organization: str | None
    asked: Figure
    answered: Figure
    accepted: Figure
    declined: dict[str, Figure]
    silent: Figure
    median_answer: Figure


class WeeklyReport(TypedDict):
    """A week of the network. before: the week that changes refer to, null if there is no report of it.

    totals: by `submitted`, `unplaced`, `asked`, `answered` and `silent`. In the gaps, a row without a
    language counts the other cells of its need group and country, one without a need those of its country,
    and one without a region everything else. median_answer: in seconds.
    """

    week: str
    before: str | None
    made_at: str
    threshold: int
    totals: dict[str, Figure]
    median_answer: Figure
    gaps: list[Gap]
    rules: list[RuleCount]
    organizations: list[OrganizationWeek]


class SpanCount(TypedDict):
    """count: null if that of a week is withheld; at_least: the sum of the others."""

    count: int | None
    withheld: bool
    at_least: int


# One line of a series: `span` (2026-W07 or 2026-02), `from`, `to`, `weeks`, and a SpanCount for each total.
SpanTotals = TypedDict(
    "SpanTotals",
    {
        "span": str,
        "from": str,
        "to": str,
        "weeks": int,
        "submitted": SpanCount,
        "unplaced": SpanCount,
        "asked": SpanCount,
        "answered": SpanCount,
        "silent": SpanCount,
    },
)


class Statement(TypedDict):
    """The figures of one's own organisation in a week.

    considered: offers, and referrals for which it was passed over. In `considered`, `passed_over` and its
    reasons, figures below 5 are withheld, and `others` counts the reasons that share a row; older hubs do not
    send these three. The other figures are exact.
    """

    organization: str
    week: str
    before: str | None
    considered: NotRequired[Figure]
    passed_over: NotRequired[Figure]
    passed_over_by_reason: NotRequired[dict[str, Figure]]
    asked: Figure
    answered: Figure
    accepted: Figure
    declined: dict[str, Figure]
    silent: Figure
    median_answer: Figure


class MonthSum(TypedDict):
    """count: null if that of a week is withheld; at_least: the sum of the other weeks."""

    count: int | None
    withheld: bool
    at_least: int


# The figures of one's own organisation in a month, the sums of its weeks: `kopuro-statement/1`.
MonthFigures = TypedDict(
    "MonthFigures",
    {
        "format": str,
        "organization": str,
        "month": str,
        "from": str,
        "to": str,
        "weeks": list[str],
        "complete": bool,
        "considered": MonthSum,
        "passed_over": MonthSum,
        "passed_over_by_reason": dict[str, MonthSum],
        "asked": int,
        "answered": int,
        "accepted": int,
        "declined": dict[str, int],
        "silent": int,
    },
)


class IssuedIn(TypedDict):
    """message_id: of the mailbox's message `statement.issued`."""

    message_id: str
    issued_at: str


class MonthlyStatement(TypedDict):
    """issued: null until the month is over and the log commits to the figures."""

    statement: MonthFigures
    issued: IssuedIn | None


class ProvedStatement(TypedDict):
    """A statement with its proofs: the file that `kopuro_client.tlog.ProvedStatement` verifies."""

    format: str
    origin: str
    log_key: str
    statement: MonthFigures
    issued: str | None
    decisions: list[dict[str, Any]]
    proofs: list[dict[str, Any]]
