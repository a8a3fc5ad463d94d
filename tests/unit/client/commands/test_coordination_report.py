"""`kopuro coordination report` and `statistics`, and `kopuro organization statement`."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Callable
from typing import Any, cast

import orjson
import pytest

from contracts.errors import Refused
from kopuro_client.commands.labels import LANGUAGES
from kopuro_client.commands.report_words import WORDS
from runtime.access.tokens import Principal
from runtime.web.request import Request
from services.routing import api
from services.routing.domain import report_words
from services.routing.domain.blocking_rule import BLOCKING_RULES
from services.routing.domain.calendar_week import CalendarWeek, SeriesSpan
from services.routing.domain.passed_over import REASONS
from services.routing.domain.report_view import report_view, series_view, statement_view
from services.routing.domain.weekly_report import (
    ALL_OTHERS,
    AnswerInWeek,
    UnplacedInWeek,
    WeekEvents,
    WeeklyReport,
    report_of,
    statements_of,
)
from tests.unit.client.commands.conftest import Run
from tests.unit.client.fake_hub import FakeHub, Response, json_response

WEEK = CalendarWeek.parse("2026-W09")
MEMBERS = ("kg.a", "kg.b", "kg.c", "kg.d")
GAP = UnplacedInWeek(region="RU-MOW", need="legal.wage_claim", language="ky", rule="language_shared")
EVENTS = WeekEvents(
    submitted=20,
    unplaced=[GAP] * 6 + [UnplacedInWeek(region="KG-B", need="legal", language="ru", rule="no_service")] * 5,
    asked={"kg.a": 9, "kg.b": 7},
    passed_over={
        "kg.b": {
            reason: {f"kg.sender-{number}": 1 for number in range(count)}
            for reason, count in {"capacity": 8, "persons_choice": 2, "area": 1}.items()
        }
    },
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


def test_report_is_in_the_language_of_the_reader(hub: FakeHub, run: Run) -> None:
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
    assert "kg.d" not in rows
    assert "rows without a figure to show: 3 (--csv has them)" in done.out
    assert rows["silent"] == "withheld"
    assert hub.requests_to(REPORT)[0].query == {"week": "2026-W09", "language": "en"}


class Stored:
    """The hub's queries of reports, over one week and the week before."""

    weeks = (made(WEEK, EVENTS), made(WEEK.before, WeekEvents(submitted=3)))

    def report(self, week: CalendarWeek | None, language: str) -> Any:
        assert week in (None, WEEK)
        return report_view(*self.weeks, language)

    def series(self, every: SeriesSpan, limit: int) -> Any:
        return series_view(self.weeks, every)[-limit:]

    def statement(self, organization: str, week: CalendarWeek | None) -> Any:
        statement = statements_of(EVENTS, str, lambda path: 0)[organization]
        return statement_view(organization, week or WEEK, statement, statement)


Ask = Callable[[Any, Request], Any]


def serve(hub: FakeHub, address: str, ask: Ask) -> None:
    """Let the hub's own resource answer the request that a command sends."""

    def answer() -> Response:
        found = ask(Stored(), asked(**hub.requests_to(address)[-1].query))
        return Response(status=found.status, body=found.body, headers=dict(found.headers))

    hub.script("GET", address, answer)


def asked(**query: str) -> Request:
    caller = Principal(id="kg.b", roles=frozenset({"coordinator"}))
    return Request(method="GET", route="/", path_params={}, query_params=query, body=b"", caller=caller)


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_csv_has_a_row_for_each_figure(hub: FakeHub, run: Run) -> None:
    serve(hub, REPORT, api.report)
    rows = table(run("coordination", "report", "--csv", "--language", "ky", "--as", "coordinator").out)
    (gap,) = [row for row in rows if row["table"] == "gaps" and row["region"] == "RU-MOW"]
    assert (gap["need"], gap["language"], gap["count"]) == ("legal.wage_claim", "ky", "6")
    assert gap["label"] == "Москва / Төлөнбөгөн эмгек акы / Кыргызча"
    rest = rows[[row["table"] for row in rows].index("rules") - 1]
    assert (rest["table"], rest["label"]) == ("gaps", "калгандарынын баары")
    assert {row["rule"] for row in rows if row["table"] == "rules"} == {*BLOCKING_RULES, ""}
    quiet = [row for row in rows if row["organization"] == "kg.d"]
    assert len(quiet) == 12
    assert {row["count"] for row in quiet} == {"жашырылган"}


@pytest.mark.parametrize(
    ("line", "path", "ask"),
    [
        ("coordination report --week 2026-W09 --language ru", "coordination/report", api.report),
        ("coordination statistics --every month", "coordination/statistics", api.series),
        ("coordination statistics --limit 1 --language ky", "coordination/statistics", api.series),
        ("organization statement --language ru", "statement", api.statement),
    ],
)
def test_csv_of_the_command_is_byte_for_byte_that_of_the_hub(
    hub: FakeHub, run: Run, line: str, path: str, ask: Ask
) -> None:
    serve(hub, f"/routing/v1/{path}", ask)
    printed = run(*line.split(), "--csv", "--as", "coordinator").out
    (sent,) = hub.requests_to(f"/routing/v1/{path}")
    assert sent.query.items() >= {"format": "csv"}.items()
    answer = ask(Stored(), asked(**sent.query))
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert printed.encode() == answer.body
    assert len(table(printed)) > 0


def test_csv_of_a_statement_has_exact_figures_and_labels(hub: FakeHub, run: Run) -> None:
    serve(hub, "/routing/v1/statement", api.statement)
    rows = {
        row["figure"]: row for row in table(run("organization", "statement", "--csv", "--language", "ru").out)
    }
    assert {row["organization"] for row in rows.values()} == {"kg.b"}
    over = rows["passed_over.persons_choice"]
    assert (over["label"], over["count"]) == ("не предложено: выбор человека", "скрыто")
    assert (rows["passed_over"]["count"], rows["considered"]["count"]) == ("11", "18")
    declined = rows["declined.no_capacity"]
    assert declined["label"] == "отказы: Нет возможности принять"
    assert (declined["count"], declined["change"]) == ("6", "0")
    assert (rows["silent"]["count"], rows["median_answer_seconds"]["count"]) == ("0", "300")


@pytest.mark.parametrize("ask", [api.report, api.series, api.statement])
def test_form_that_is_neither_json_nor_csv_is_refused(ask: Ask) -> None:
    with pytest.raises(Refused, match="must be `json` or `csv`"):
        ask(Stored(), asked(format="xlsx"))


def test_statistics_are_a_table_or_json(hub: FakeHub, run: Run) -> None:
    weeks = [made(WEEK, EVENTS), made(WEEK.before, WeekEvents(submitted=3))]
    page = {"every": "month", "items": orjson.loads(orjson.dumps(series_view(weeks, SeriesSpan.month)))}
    address = "/routing/v1/coordination/statistics"
    hub.script("GET", address, *[json_response(page)] * 3)
    line = ("coordination", "statistics", "--every", "month", "--as", "coordinator")
    assert run(*line).out.splitlines()[1].split(maxsplit=4)[:4] == ["2026-02", "2", "≥", "20"]
    assert run(*line, "--json").json() == page
    assert run(*line, "--language", "ru").out.splitlines()[0].split()[2:4] == ["направлено", "никто"]
    assert hub.requests_to(address)[0].query == {"every": "month", "limit": "12"}
    refused = run("coordination", "statistics", "--every", "day", "--as", "coordinator")
    assert refused.code != 0
    assert "must be week or month" in refused.err


def test_statement_is_exact(hub: FakeHub, run: Run) -> None:
    statement = statements_of(EVENTS, str, lambda path: 0)["kg.b"]
    found = orjson.loads(orjson.dumps(statement_view("kg.b", WEEK, statement, statement)))
    hub.script("GET", "/routing/v1/statement", json_response(found))
    rows = [line.split() for line in run("organization", "statement").out.splitlines()]
    assert ["considered", "18", "+0"] in rows
    assert ["passed", "over", "11", "+0"] in rows
    assert ["passed", "over:", "all", "others", "11", "+0"] in rows
    assert not any("choice" in row for row in rows)
    assert ["asked", "7", "+0"] in rows
    assert ["declined:", "no", "capacity", "6", "+0"] in rows
    assert ["silent", "0", "+0"] in rows
    assert ["median", "0:05", "h"] in rows


def test_csv_of_series_marks_withheld_counts_and_shows_lower_bounds() -> None:
    rows = api.series(cast(Any, Stored()), asked(every="month", format="csv")).body.decode().splitlines()
    assert rows[0].startswith('"month","weeks","submitted","submitted_at_least","unplaced"')
    assert rows[1].startswith('"2026-02",2,"withheld",20,"withheld",11')


def test_every_rule_of_a_report_has_a_label_in_each_language() -> None:
    assert set(report_words.RULES) == set(BLOCKING_RULES)
    for texts in (*WORDS.values(), *report_words.WORDS.values(), *report_words.RULES.values()):
        assert len(texts) == len(LANGUAGES)
        assert all(texts)
    assert set(report_words.PASSED_OVER) == {*REASONS, ALL_OTHERS}
    for texts in report_words.PASSED_OVER.values():
        assert len(texts) == len(LANGUAGES)
        assert all(texts)
    assert report_words.rule_label("open_now", "tg") == report_words.rule_label("open_now", "en")


def test_client_and_hub_use_the_same_words() -> None:
    assert report_words.LANGUAGES == LANGUAGES
    assert report_words.WORDS.items() <= WORDS.items()
    assert {f"passed_over.{reason}": texts for reason, texts in report_words.PASSED_OVER.items()}.items() <= (
        WORDS.items()
    )


@pytest.mark.parametrize("language", ["de", "EN", ""])
def test_language_without_words_is_refused(run: Run, language: str) -> None:
    refused = run("coordination", "report", "--language", language)
    assert (refused.code != 0, "en, ru, ky" in refused.err) == (True, True)
