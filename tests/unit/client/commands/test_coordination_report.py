"""`kopuro coordination report` and `statistics`, and `kopuro organization statement`."""

from __future__ import annotations

import csv
import datetime as dt
from typing import Any

import orjson
import pytest

from kopuro_client.commands.code_words import LANGUAGES
from kopuro_client.commands.report_words import RULES, WORDS
from services.routing.domain.blocking_rule import BLOCKING_RULES
from services.routing.domain.calendar_week import CalendarWeek, Span
from services.routing.domain.report_view import report_view, series_view, statement_view
from services.routing.domain.weekly_report import (
    AnswerInWeek,
    UnplacedInWeek,
    WeekEvents,
    WeeklyReport,
    report_of,
    statements_of,
)
from tests.unit.client.commands.conftest import Run
from tests.unit.client.fake_hub import FakeHub, json_response

WEEK = CalendarWeek.parse("2026-W09")
MEMBERS = ("kg.a", "kg.b", "kg.c", "kg.d")
GAP = UnplacedInWeek(region="RU-MOW", need="legal.wage_claim", language="ky", rule="language_shared")
EVENTS = WeekEvents(
    submitted=20,
    unplaced=[GAP] * 6 + [UnplacedInWeek(region="KG-B", need="legal", language="ru", rule="no_service")] * 5,
    asked={"kg.a": 9, "kg.b": 7},
    answers=[AnswerInWeek(organization="kg.a", result="accepted", seconds=7500)] * 8
    + [AnswerInWeek(organization="kg.b", result="no_capacity", seconds=300)] * 6,
)
REPORT = "/routing/v1/coordination/report"


def made(week: CalendarWeek, events: WeekEvents) -> WeeklyReport:
    return report_of(week, events, MEMBERS, week.end + dt.timedelta(hours=1), lambda path: 0)


def shown(language: str) -> Any:
    """The hub's JSON, as its own code makes it."""
    before = made(WEEK.before, WeekEvents(submitted=24))
    return orjson.loads(orjson.dumps(report_view(made(WEEK, EVENTS), before, language)))


def test_report_speaks_the_language_of_the_reader(hub: FakeHub, run: Run) -> None:
    hub.script("GET", REPORT, json_response(shown("ru")))
    done = run("coordination", "report", "--language", "ru", "--as", "coordinator")
    lines = [line.split() for line in done.out.splitlines()]
    assert ["направлено", "20", "-4"] in lines
    assert ["Москва", "Невыплата", "заработной", "платы", "Киргизский", "6"] in lines
    assert ["нет", "общего", "языка", "6"] in lines
    assert "скрыто: меньше 5" in done.err
    (request,) = hub.requests_to(REPORT)
    assert request.query == {"language": "ru"}


def test_report_marks_withheld_figures_and_shows_lower_bounds(hub: FakeHub, run: Run) -> None:
    hub.script("GET", REPORT, json_response(shown("en")))
    done = run("coordination", "report", "--week", "2026-W09", "--as", "coordinator")
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in done.out.splitlines() if line}
    assert rows["kg.a"] == "9 ≥ 8 8 withheld withheld 2:05 h"
    assert rows["kg.d"] == "withheld withheld withheld withheld withheld withheld"
    assert rows["silent"] == "withheld"
    assert hub.requests_to(REPORT)[0].query == {"week": "2026-W09", "language": "en"}


def test_csv_has_a_row_for_each_figure(hub: FakeHub, run: Run) -> None:
    hub.script("GET", REPORT, json_response(shown("ky")))
    done = run("coordination", "report", "--csv", "--language", "ky", "--as", "coordinator")
    rows = list(csv.DictReader(done.out.splitlines()))
    (gap,) = [row for row in rows if row["table"] == "gaps" and row["region"] == "RU-MOW"]
    assert (gap["need"], gap["language"], gap["count"]) == ("legal.wage_claim", "ky", "6")
    assert gap["label"] == "Москва / Төлөнбөгөн эмгек акы / Кыргызча"
    assert {row["rule"] for row in rows if row["table"] == "rules"} == {*BLOCKING_RULES, ""}
    quiet = [row for row in rows if row["organization"] == "kg.d"]
    assert len(quiet) == 12
    assert {row["count"] for row in quiet} == {"жашырылган"}


def test_statistics_are_a_table_csv_or_json(hub: FakeHub, run: Run) -> None:
    weeks = [made(WEEK, EVENTS), made(WEEK.before, WeekEvents(submitted=3))]
    page = {"every": "month", "items": orjson.loads(orjson.dumps(series_view(weeks, Span.month)))}
    address = "/routing/v1/coordination/statistics"
    hub.script("GET", address, *[json_response(page)] * 3)
    line = ("coordination", "statistics", "--every", "month", "--as", "coordinator")
    assert run(*line).out.splitlines()[1].split(maxsplit=4)[:4] == ["2026-02", "2", "≥", "20"]
    assert run(*line, "--json").json() == page
    assert run(*line, "--csv").out.splitlines()[1].startswith('"2026-02",2,"withheld",20,"withheld",11')
    assert hub.requests_to(address)[0].query == {"every": "month", "limit": "12"}
    refused = run("coordination", "statistics", "--every", "day", "--as", "coordinator")
    assert refused.code != 0
    assert "must be week or month" in refused.err


def test_statement_is_exact(hub: FakeHub, run: Run) -> None:
    statement = statements_of(EVENTS)["kg.b"]
    found = orjson.loads(orjson.dumps(statement_view("kg.b", WEEK, statement, statement)))
    hub.script("GET", "/routing/v1/statement", json_response(found))
    rows = [line.split() for line in run("organization", "statement").out.splitlines()]
    assert ["asked", "7", "+0"] in rows
    assert ["declined:", "no_capacity", "6", "+0"] in rows
    assert ["silent", "0", "+0"] in rows
    assert ["median", "0:05", "h"] in rows


def test_every_rule_of_a_report_has_a_name_in_each_language() -> None:
    assert set(RULES) == set(BLOCKING_RULES)
    for texts in (*WORDS.values(), *RULES.values()):
        assert len(texts) == len(LANGUAGES)
        assert all(texts)


@pytest.mark.parametrize("language", ["de", "EN", ""])
def test_language_without_words_is_refused(run: Run, language: str) -> None:
    refused = run("coordination", "report", "--language", language)
    assert (refused.code != 0, "en, ru, ky" in refused.err) == (True, True)
