"""Reports of weeks, series, and the statements of organisations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from contracts import base64_text
from contracts.responses.form import Page
from contracts.responses.reports import (
    AskingDecision,
    IssuedIn,
    MonthlyStatement,
    NetworkReport,
    NetworkSeries,
    OrganizationStatement,
)
from runtime.web import paging
from runtime.web.languages import in_language, wanted_language
from runtime.web.parameters import invalid_parameter, wants_csv
from runtime.web.request import Request
from runtime.web.response import Response
from runtime.web.spreadsheet import csv_response
from services.routing.domain.calendar_month import CalendarMonth
from services.routing.domain.calendar_week import CalendarWeek, SeriesSpan
from services.routing.domain.report_rows import (
    report_rows,
    series_rows,
    statement_rows,
)
from services.routing.domain.report_words import LANGUAGES
from services.routing.handlers.statement_queries import ShownDecision, StatementQueries
from services.routing.handlers.weekly_reports import ReportQueries

_ASKED = "asked"
_MEMBERS: Mapping[str, str] = {"from": "start", "to": "end", "rules": "blocking"}


def report(queries: ReportQueries, request: Request) -> Response:
    """`GET /v1/coordination/report?week=2026-W07&language=ru`. By default the latest week, in English."""
    as_csv, language = _form(request)
    found = queries.report(_week(request.query_params), language)
    shown = csv_response(report_rows(found, language)) if as_csv else _answer(NetworkReport, found)
    return in_language(shown, language)


def series(queries: ReportQueries, request: Request) -> Response:
    """`GET /v1/coordination/statistics?every=week|month&limit=`: the totals of the latest spans."""
    as_csv, language = _form(request)
    every = request.query_params.get("every", "week")
    if every not in (*SeriesSpan,):
        raise invalid_parameter("every", "must be week or month.")
    items = queries.series(SeriesSpan(every), paging.limit_of(request.query_params))
    if as_csv:
        return in_language(csv_response(series_rows(items, every, language)), language)
    return Response.of(NetworkSeries(every=every, items=tuple(items)))


def statement(queries: ReportQueries, request: Request) -> Response:
    """`GET /v1/statement?week=2026-W07`: the figures of the caller's own week."""
    as_csv, language = _form(request)
    found = queries.statement(request.principal.id, _week(request.query_params))
    if as_csv:
        return in_language(csv_response(statement_rows(found, language)), language)
    return _answer(OrganizationStatement, found)


def monthly_statement(queries: StatementQueries, request: Request) -> Response:
    """`GET /v1/statement/month?month=2026-10`: the figures of the caller's own month."""
    found = queries.statement(request.principal.id, _month(request.query_params))
    issued = found.issued
    return Response.of(
        MonthlyStatement(
            statement=found.content,
            issued=None
            if issued is None
            else IssuedIn(message_id=issued.logged_in, issued_at=issued.issued_at),
        )
    )


def asking_decisions(queries: StatementQueries, request: Request) -> Response:
    """`GET /v1/statement/month/decisions?month=2026-10`: the decisions that asked the caller, with proofs."""
    query = request.query_params
    after = paging.position_of(query, _ASKED, (paging.NUMBER,))
    found, following = queries.decisions(
        request.principal.id, _month(query), after[0] if after else 0, paging.limit_of(query)
    )
    cursor = None if following is None else paging.encode_cursor(_ASKED, (following,))
    return Response.of(Page(items=[_asking(one) for one in found], next=cursor))


def _asking(one: ShownDecision) -> AskingDecision:
    if one.proof is None:
        return AskingDecision(decision_id=one.id, message_id=one.logged_in, unproven=one.unproven)
    return AskingDecision(
        decision_id=one.id,
        message_id=one.logged_in,
        referral_id=one.proof.referral_id,
        salt=base64_text.encoded(one.proof.salt),
        index=one.proof.index,
        size=one.proof.size,
        path=tuple(base64_text.encoded(digest) for digest in one.proof.path),
        outcome=one.proof.outcome,
    )


def _month(query: Mapping[str, str]) -> CalendarMonth | None:
    if "month" not in query:
        return None
    try:
        return CalendarMonth.parse(query["month"])
    except ValueError:
        raise invalid_parameter("month", "must be a month such as 2026-10.") from None


def _week(query: Mapping[str, str]) -> CalendarWeek | None:
    text = query.get("week")
    if text is None:
        return None
    try:
        return CalendarWeek.parse(text)
    except ValueError:
        raise invalid_parameter("week", "must be a week such as 2026-W07.") from None


def _form(request: Request) -> tuple[bool, str]:
    """Return whether a report is wanted as CSV, and the language of its labels, one of LANGUAGES."""
    return wants_csv(request.query_params), wanted_language(request, LANGUAGES)


def _answer(kind: Callable[..., object], view: Mapping[str, Any]) -> Response:
    """Return the record of a view as JSON; Python reserves some of its names."""
    return Response.of(kind(**{_MEMBERS.get(name, name): value for name, value in view.items()}))
