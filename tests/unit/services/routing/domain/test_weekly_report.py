"""A week's report: what is counted where, what is withheld, and that nothing else is ever shown."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.codes import DeclineReason
from services.routing.domain.blocking_rule import BLOCKING_RULES, ERASED, NO_SERVICE, blocking_rule
from services.routing.domain.calendar_week import CalendarWeek, SeriesSpan
from services.routing.domain.passed_over import PERSONS_CHOICE
from services.routing.domain.passed_over import REASONS as PASSED_OVER_REASONS
from services.routing.domain.report_view import report_view, series_view, statement_view
from services.routing.domain.weekly_report import (
    ACCEPTED,
    ALL_OTHERS,
    AnswerInWeek,
    Statement,
    UnplacedInWeek,
    WeekEvents,
    WeeklyReport,
    report_of,
    statements_of,
)
from services.routing.domain.withholding import THRESHOLD
from tests.long_run import times

WEEK = CalendarWeek.parse("2026-W09")
MADE = WEEK.end + dt.timedelta(hours=1)
MEMBERS = ("kg.a", "kg.b", "ru.c", "ru.d", "ru.e")
REASONS = (ACCEPTED, *DeclineReason)
PLANTER = "kg.planter"
WITHHOLDING = ("considered", "passed_over", "passed_over_by_reason")


def unplaced(region: str, need: str = "legal.wage_claim", rule: str = "language_shared") -> UnplacedInWeek:
    return UnplacedInWeek(region=region, need=need, language="ky", rule=rule)


def answers(organization: str, result: str, count: int, seconds: int = 600) -> list[AnswerInWeek]:
    return [AnswerInWeek(organization=organization, result=result, seconds=seconds)] * count


def made(events: WeekEvents, week: CalendarWeek = WEEK) -> WeeklyReport:
    return report_of(week, events, MEMBERS, MADE, lambda path: 0)


def view(events: WeekEvents, before: WeekEvents | None = None, language: str = "en") -> dict[str, Any]:
    earlier = None if before is None else made(before, WEEK.before)
    return report_view(made(events), earlier, language)


def figures(shown: Any) -> Iterator[dict[str, Any]]:
    """Every figure of a view."""
    if isinstance(shown, dict):
        if "withheld" in shown:
            yield shown
        for value in shown.values():
            yield from figures(value)
    elif isinstance(shown, list):
        for value in shown:
            yield from figures(value)


def row(rows: list[dict[str, Any]], **wanted: str | None) -> dict[str, Any]:
    (found,) = [one for one in rows if all(one[name] == value for name, value in wanted.items())]
    return found


def test_gap_of_five_has_its_own_row_and_smaller_ones_share_one() -> None:
    shown = view(
        WeekEvents(
            unplaced=[unplaced("RU-MOW")] * 6
            + [unplaced("RU-KAM", "legal.work_permit")] * 2
            + [unplaced("RU-PRI", "legal.work_permit")] * 3
            + [unplaced("KG-B", "basic_needs.shelter")] * 4
            + [unplaced("KZ", "health.emergency")] * 2
        )
    )
    gaps = [(one["region"], one["need"], one["language"], one["count"]) for one in shown["gaps"]]
    assert gaps == [
        ("RU", "legal", None, 5),
        ("RU-MOW", "legal.wage_claim", "ky", 6),
        (None, None, None, 6),
    ]
    assert shown["totals"]["unplaced"] == {"count": 17, "withheld": False, "change": None}


def test_row_of_everything_else_is_marked_withheld_and_not_missing() -> None:
    empty, small = view(WeekEvents()), view(WeekEvents(submitted=4, unplaced=[unplaced("RU-MOW")] * 4))
    assert empty == small
    assert empty["gaps"][-1]["withheld"]
    assert empty["totals"]["submitted"] == {"count": None, "withheld": True, "change": None}
    assert [one["rule"] for one in empty["rules"]] == [*BLOCKING_RULES, None]
    assert [one["organization"] for one in empty["organizations"]] == [*MEMBERS, None]
    assert all(figure["withheld"] for figure in figures(empty))


def test_change_is_known_only_if_both_weeks_are_shown() -> None:
    this = WeekEvents(submitted=12, asked={"kg.a": 9, "kg.b": 6, "ru.c": 5, "ru.d": 5, "ru.e": 5})
    before = WeekEvents(submitted=20, asked={"kg.a": 7, "kg.b": 2, "ru.c": 5, "ru.d": 5, "ru.e": 5})
    shown = view(this, before)
    assert shown["before"] == "2026-W08"
    assert shown["totals"]["submitted"]["change"] == -8
    assert row(shown["organizations"], organization="kg.a")["asked"]["change"] == 2
    assert row(shown["organizations"], organization="kg.b")["asked"] == {
        "count": 6,
        "withheld": False,
        "change": None,
    }


def test_organization_row_has_answers_by_reason_and_the_median() -> None:
    events = WeekEvents(
        answers=[
            *answers("kg.a", ACCEPTED, 7, 600),
            *answers("kg.a", "no_capacity", 6, 7_230),
            *answers("kg.a", "other", 3),
            *answers("kg.a", "language", 2),
            *answers("kg.b", ACCEPTED, 4),
            *answers("ru.c", ACCEPTED, 3),
        ],
        silent={"ru.d": 8, "ru.e": 1},
    )
    rows = view(events)["organizations"]
    known, quiet = row(rows, organization="kg.a"), row(rows, organization="kg.b")
    assert (known["answered"]["count"], known["accepted"]["count"]) == (18, 7)
    assert known["declined"]["no_capacity"]["count"] == 6
    assert known["declined"]["language"]["withheld"]
    assert known["median_answer"]["count"] == 600
    assert quiet["answered"] == {"count": None, "withheld": True, "change": None, "at_least": 0}
    assert quiet["median_answer"]["withheld"]
    # 8 and 1: the small one would follow from the total if the other had a row.
    assert row(rows, organization="ru.d")["silent"]["withheld"]
    assert row(rows, organization=None)["silent"]["count"] == 9


def test_labels_are_in_the_language_of_the_reader() -> None:
    shown = view(WeekEvents(unplaced=[unplaced("RU-MOW")] * 6 + [unplaced("KG-B")] * 5), language="ky")
    assert shown["gaps"][0]["labels"]["need"] == "Төлөнбөгөн эмгек акы"
    assert shown["gaps"][-1]["labels"] == {"region": None, "need": None, "language": None}


def test_statement_of_an_organization_is_exact() -> None:
    events = WeekEvents(asked={"kg.a": 3}, answers=answers("kg.a", "other", 1, 90), silent={"kg.a": 1})
    statement = statements_of(events, str, lambda path: 0)["kg.a"]
    shown = statement_view("kg.a", WEEK, statement, None)
    assert (shown["asked"]["count"], shown["answered"]["count"], shown["silent"]["count"]) == (3, 1, 1)
    assert shown["declined"]["other"]["count"] == 1
    assert shown["median_answer"]["count"] == 120
    exact = {name: one for name, one in shown.items() if name not in WITHHOLDING}
    assert not any(figure["withheld"] for figure in figures(exact))


def test_statement_withholds_small_counts_of_passing_over() -> None:
    over = {"capacity": 9, "agreement": 6, PERSONS_CHOICE: 1, "area": 1}  # each by another sender
    shown = statement_view("kg.a", WEEK, statement_of(over, asked=3), None)
    assert (shown["passed_over"]["count"], shown["considered"]["count"]) == (17, 20)
    rows = {name: one["count"] for name, one in shown["passed_over_by_reason"].items() if one["count"]}
    # The two small ones take in the smallest row, so that subtraction from the total gives neither.
    assert rows == {"capacity": 9, ALL_OTHERS: 8}


def test_statement_of_an_organization_that_was_never_considered_looks_like_that_of_four() -> None:
    never = statement_view("kg.b", WEEK, Statement(), None)
    four = statement_view("kg.b", WEEK, statement_of({PERSONS_CHOICE: 4}, "kg.b"), None)
    assert never == four


@given(st.dictionaries(st.sampled_from(PASSED_OVER_REASONS), st.integers(0, 12)))
def test_statement_shows_only_sums_of_whole_rows_of_five_or_more_reasons(over: dict[str, int]) -> None:
    statement = statement_of(over)
    assert all(count >= THRESHOLD for count in statement.passed_over.values())
    if statement.passed_over_in_all is None:
        assert not statement.passed_over
        return
    assert statement.passed_over_in_all == sum(over.values()) == sum(statement.passed_over.values())
    for reason, count in statement.passed_over.items():
        assert reason == ALL_OTHERS or count == over[reason]


def statement_of(
    over: dict[str, int],
    organization: str = "kg.a",
    asked: int = 0,
    planted: dict[str, int] | None = None,
    root_of: Callable[[str], str] = str,
) -> Statement:
    """The statement with a sender for each referral of `over`, and with those `planted` by one sender."""
    senders = {
        reason: {f"kg.sender-{number}": 1 for number in range(count)}
        | ({PLANTER: more} if (more := (planted or {}).get(reason, 0)) else {})
        for reason, count in {**dict.fromkeys(planted or {}, 0), **over}.items()
    }
    events = WeekEvents(asked={organization: asked} if asked else {}, passed_over={organization: senders})
    return statements_of(events, root_of, lambda path: 0)[organization]


@given(st.dictionaries(st.sampled_from(PASSED_OVER_REASONS), st.integers(0, 9)), st.data())
def test_sender_that_subtracts_its_own_referrals_is_left_with_five_or_more(
    over: dict[str, int], data: st.DataObject
) -> None:
    planted = data.draw(st.dictionaries(st.sampled_from(PASSED_OVER_REASONS), st.integers(0, 30)))
    statement = statement_of(over, planted=planted)
    rows = dict(statement.passed_over)
    own = Counter(planted)
    for reason, count in rows.items():
        if reason != ALL_OTHERS:
            assert count == over.get(reason, 0) + own[reason]
            assert count - own.pop(reason, 0) >= THRESHOLD
    if ALL_OTHERS in rows:
        assert rows[ALL_OTHERS] - sum(own.values()) >= THRESHOLD
    assert sum(rows.values()) == (statement.passed_over_in_all or 0)


def test_planted_referrals_do_not_show_how_many_persons_chose_otherwise() -> None:
    planted = {PERSONS_CHOICE: 20, "language": 6, "capacity": 7}
    shown = [statement_of({PERSONS_CHOICE: chose}, planted=planted) for chose in range(5)]
    assert all(one == shown[0] for one in shown)


def test_referrals_of_the_organizations_own_branches_do_not_count() -> None:
    def root_of(organization: str) -> str:
        return "kg.a" if organization == PLANTER else organization

    over = {"capacity": 9, "agreement": 8}
    assert statement_of(over, planted={"capacity": 50}, root_of=root_of) == statement_of(over)


counts = st.one_of(st.integers(0, 4), st.integers(0, 12))


@st.composite
def weeks(draw: st.DrawFn) -> WeekEvents:
    return WeekEvents(
        submitted=draw(counts),
        unplaced=[
            unplaced(region, need, rule)
            for region in ("RU-MOW", "RU-KAM", "KG-B")
            for need, rule in (("legal.wage_claim", "language_shared"), ("health.emergency", NO_SERVICE))
            for _ in range(draw(counts))
        ],
        asked={name: draw(counts) for name in MEMBERS},
        answers=[
            one
            for name in MEMBERS
            for result in (ACCEPTED, "no_capacity", "other")
            for one in answers(name, result, draw(counts))
        ],
        silent={name: draw(counts) for name in MEMBERS},
    )


def truth(events: WeekEvents, table: str) -> Counter[tuple[str, ...]]:
    match table:
        case "gaps":
            return Counter(one.gap for one in events.unplaced)
        case "rules":
            return Counter((one.rule,) for one in events.unplaced)
        case "answers":
            return Counter((one.organization, one.result) for one in events.answers)
    return Counter({(name,): count for name, count in getattr(events, table).items()})


@settings(max_examples=times(15, 40))
@given(weeks())
def test_report_shows_only_sums_of_whole_rows_of_five_or_more(events: WeekEvents) -> None:
    report = made(events)
    assert all(
        not 0 <= figure["count"] < 5
        for figure in figures(report_view(report, None, "en"))
        if figure["count"] is not None
    )
    for table in ("gaps", "rules", "asked", "answers", "silent"):
        shown, exact = getattr(report, table), truth(events, table)
        for path, count in exact.items():
            assert path not in shown.rows or shown.rows[path] == count
        assert sum(shown.rows.values()) == (shown.total or 0)
    # The two tables of the same referrals have the same total, so neither completes the other.
    assert report.gaps.total == report.rules.total


@settings(max_examples=times(10, 20))
@given(st.lists(counts, min_size=5, max_size=6), st.sampled_from(SeriesSpan))
def test_series_is_computed_from_what_the_weeks_show(submitted: list[int], every: SeriesSpan) -> None:
    reports = []
    week = WEEK
    for count in submitted:
        reports.append(made(WeekEvents(submitted=count), week))
        week = week.after
    shown = series_view(reports, every)
    assert sum(one["weeks"] for one in shown) == len(reports)
    for one in shown:
        mine = [report for report in reports if report.week.within(every) == one["span"]]
        known = [report.submitted for report in mine]
        assert one["submitted"] == {
            "count": None if None in known else sum(filter(None, known)),
            "withheld": None in known,
            "at_least": sum(filter(None, known)),
        }


@pytest.mark.parametrize("text", ["2026-W00", "2026-W54", "2026-07", "2026-W7", "٢٠٢٦-W07", "0000-W01", ""])
def test_text_that_is_not_a_week_raises(text: str) -> None:
    with pytest.raises(ValueError, match="2026-W07"):
        CalendarWeek.parse(text)


@given(st.integers(0, 4_000_000_000))
def test_week_holds_its_moment_and_its_text_names_it(seconds: int) -> None:
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    week = CalendarWeek.of(moment)
    assert week.start <= moment < week.end == week.after.start
    assert CalendarWeek.parse(str(week)) == week == week.after.before


def test_month_consists_of_whole_weeks() -> None:
    # Monday 30 March to Sunday 5 April 2026: its Thursday is in April.
    assert CalendarWeek.parse("2026-W14").within(SeriesSpan.month) == "2026-04"
    assert CalendarWeek.parse("2026-W13").within(SeriesSpan.month) == "2026-03"


def failing(*candidates: tuple[str, ...]) -> dict[str, Any]:
    return {"candidates": [{"failures": [{"rule": rule} for rule in rules]} for rules in candidates]}


@pytest.mark.parametrize(
    ("record", "rule"),
    [
        ({}, ERASED),
        (failing(), NO_SERVICE),
        (failing(("area_served", "language_shared"), ("place_left",)), "place_left"),
        (failing(("place_left",), ("language_shared",), ("language_shared",)), "language_shared"),
        # On a tie, the first of the rules.
        (failing(("place_left",), ("agreement_in_force",)), "agreement_in_force"),
    ],
)
def test_blocking_rule_is_that_of_the_closest_candidates(record: dict[str, Any], rule: str) -> None:
    assert blocking_rule(record) == rule
