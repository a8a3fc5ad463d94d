"""The statement of a month: sums of its weeks, which reveal no more than the weeks do."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from services.routing.domain.calendar_month import CalendarMonth
from services.routing.domain.calendar_week import CalendarWeek
from services.routing.domain.monthly_statement import (
    content_of,
    digest_of,
    latest_complete,
    monthly_statement,
    months_to_issue,
)
from services.routing.domain.passed_over import PERSONS_CHOICE
from services.routing.domain.weekly_report import ALL_OTHERS, Statement, WeekEvents, statements_of

MONTH = CalendarMonth.parse("2026-10")
ONE = "ru.one"
REASONS = st.sampled_from(["others_first", PERSONS_CHOICE, "area", "language", "capacity"])


def statement(**weeks: Statement) -> dict[str, object]:
    known = {CalendarWeek.parse(name.replace("_", "-")): one for name, one in weeks.items()}
    return monthly_statement(ONE, MONTH, known)


def test_exact_figures_are_the_sums_of_the_weeks() -> None:
    found = statement(
        **{
            "2026_W40": Statement(asked=4, accepted=2, declined={"out_of_area": 1}, silent=1),
            "2026_W43": Statement(asked=3, accepted=1, declined={"out_of_area": 1, "no_capacity": 1}),
        }
    )
    assert {name: found[name] for name in ("asked", "answered", "accepted", "silent")} == {
        "asked": 7,
        "answered": 6,
        "accepted": 3,
        "silent": 1,
    }
    declined = found["declined"]
    assert isinstance(declined, dict)
    assert (declined["out_of_area"], declined["no_capacity"], declined["language"]) == (2, 1, 0)
    assert (found["weeks"], found["complete"]) == (["2026-W40", "2026-W43"], False)
    assert (found["from"], found["to"]) == ("2026-09-28T00:00:00Z", "2026-11-02T00:00:00Z")


def test_withheld_week_withholds_the_month() -> None:
    shown = Statement(asked=1, passed_over_in_all=9, passed_over={"area": 9})
    found = statement(**{"2026_W40": shown, "2026_W41": Statement(asked=2)})
    assert found["passed_over"] == {"count": None, "withheld": True, "at_least": 9}
    assert found["considered"] == {"count": None, "withheld": True, "at_least": 12}
    found = statement(**{"2026_W40": shown, "2026_W41": shown})
    assert found["passed_over"] == {"count": 18, "withheld": False, "at_least": 18}
    assert found["considered"] == {"count": 20, "withheld": False, "at_least": 20}


@given(st.lists(REASONS, max_size=4), st.lists(REASONS, max_size=4))
def test_statement_does_not_depend_on_the_choices_of_few_persons(first: list[str], second: list[str]) -> None:
    """If fewer than five did in a week, nobody learns whether a person excluded the organisation."""

    def shown(reasons: list[str]) -> bytes:
        counts = {
            reason: {f"kg.sender-{number}": 1 for number in range(reasons.count(reason))}
            for reason in set(reasons)
        }
        events = WeekEvents(asked={ONE: 3}, passed_over={ONE: counts} if counts else {})
        return content_of(
            monthly_statement(
                ONE, MONTH, {MONTH.weeks[0]: statements_of(events, str, lambda path: 0).get(ONE, Statement())}
            )
        )

    assert shown(first) == shown(second)


def test_row_of_all_others_is_part_of_the_sum() -> None:
    week = Statement(passed_over_in_all=12, passed_over={"area": 7, ALL_OTHERS: 5})
    found = statement(**{"2026_W40": week})
    rows = found["passed_over_by_reason"]
    assert isinstance(rows, dict)
    assert sum(one["at_least"] for one in rows.values()) == 12


def test_content_is_canonical_and_its_digest_is_that_of_its_bytes() -> None:
    content = content_of(statement(**{"2026_W40": Statement(asked=1)}))
    assert content == orjson.dumps(orjson.loads(content), option=orjson.OPT_SORT_KEYS)
    assert digest_of(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_month_is_complete_with_the_report_of_its_last_week() -> None:
    assert latest_complete(CalendarWeek.parse("2026-W43")) == CalendarMonth.parse("2026-09")
    assert latest_complete(CalendarWeek.parse("2026-W44")) == MONTH


def test_months_are_issued_in_order_and_once() -> None:
    assert list(months_to_issue(None, MONTH)) == [MONTH]
    assert list(months_to_issue(MONTH, MONTH)) == []
    assert [str(one) for one in months_to_issue(CalendarMonth.parse("2026-07"), MONTH)] == [
        "2026-08",
        "2026-09",
        "2026-10",
    ]
