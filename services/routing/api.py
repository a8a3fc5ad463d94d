"""Routing's HTTP resources and its replies to other services' queries."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from contracts import base64_text
from contracts.answers.coordination import (
    CoverageCell,
    Decisions,
    NetworkChange,
    NetworkWish,
    WishList,
)
from contracts.answers.form import Page, extended
from contracts.answers.referrals import Submitted
from contracts.answers.reports import (
    AskingDecision,
    IssuedIn,
    MonthlyStatement,
    NetworkReport,
    NetworkSeries,
    OrganizationStatement,
)
from contracts.codes import CoordinatorAct, InterventionReason, ReferralStatus
from contracts.errors import Refused
from contracts.facts import CoordinatorReason, InterventionSubmitted
from contracts.idempotency_key import HEADER, require_well_formed
from contracts.identifiers import OrganizationId
from contracts.queries import (
    OfferQuery,
    PartyQuery,
    PreviewQuery,
    ReferralListQuery,
    ReferralQuery,
    parse_query,
)
from contracts.records import load
from contracts.referral import ReferralFacts
from contracts.vocabularies import rows
from runtime.access.reads import Read
from runtime.clock import Clock
from runtime.storage.columns import microseconds, moment_of
from runtime.web import paging
from runtime.web.languages import in_language, wanted_language
from runtime.web.parameters import invalid_parameter, wants_csv
from runtime.web.request import Request
from runtime.web.response import Response
from runtime.web.spreadsheet import csv_response
from services.routing.domain.calendar_month import CalendarMonth
from services.routing.domain.calendar_week import CalendarWeek, Span
from services.routing.domain.coordination_queue import QueueFilter, QueueKind, QueuePosition
from services.routing.domain.coverage import Coverage, CoverageFilter
from services.routing.domain.preview import Preview
from services.routing.domain.report_rows import (
    coverage_rows,
    report_rows,
    series_rows,
    statement_rows,
    wish_rows,
)
from services.routing.domain.report_words import LANGUAGES
from services.routing.domain.view import OVERSIGHT_ROLES
from services.routing.handlers.commands import RoutingCommands
from services.routing.handlers.coordination_queries import CoordinationQueries
from services.routing.handlers.network_queries import NetworkQueries
from services.routing.handlers.queries import RoutingQueries
from services.routing.handlers.statement_queries import ShownDecision, StatementQueries
from services.routing.handlers.weekly_reports import ReportQueries

READERS = frozenset({"partner"}) | OVERSIGHT_ROLES
# Members read their own statement only. Coordinators read the report, in which small figures are withheld.
MEMBERS = frozenset({"partner"})
COORDINATORS = frozenset({"coordinator"})
# Those who may ask why an organisation was not a candidate.
EXAMINERS = frozenset({"coordinator", "auditor"})
# Those who may suspend an organisation, and see first what that concerns.
SUSPENDERS = frozenset({"coordinator", "operator"})

_UNPLACED = "unplaced"
_COVERAGE = "coverage"
_ASKED = "asked"
# The priority, the time of submission in microseconds, and the id.
_QUEUE_POSITION = (paging.NUMBER, paging.NUMBER, paging.UUID)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacementRequest:
    """The body of `POST /v1/coordination/{referral_id}/offer`.

    reason: required if an open offer or an overdue acceptance is revoked for the placement.
    """

    organization: OrganizationId
    reason: InterventionReason | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class InterventionRequest:
    """The body of `POST /v1/coordination/{referral_id}/nudge` and `.../move-on`.

    organization: the holder of an open offer or the acceptor; None for all that the referral waits for.
    """

    reason: InterventionReason
    organization: OrganizationId | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtensionRequest:
    """The body of `POST /v1/coordination/{referral_id}/extend`. until: the new deadline."""

    reason: InterventionReason
    until: dt.datetime
    organization: OrganizationId | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class WithdrawalRequest:
    """The body of `POST /v1/coordination/{referral_id}/withdraw`.

    organization: the party that the coordinator acts for. reason: a withdrawal code or `consent_revoked`.
    """

    organization: OrganizationId
    reason: CoordinatorReason


def decisions(queries: RoutingQueries, request: Request, clock: Clock) -> Response:
    """`GET /v1/referrals/{id}/decision`. paused: the acceptor and the end of a pause in force, or null."""
    referral_id = request.path_params["id"]
    oversight = bool(request.principal.roles & OVERSIGHT_ROLES)
    found = queries.decisions(referral_id, request.principal.id, oversight=oversight)
    part_of, parts = queries.split_links(referral_id)
    shown = Decisions(
        referral_id=referral_id,
        decisions=tuple(found),
        paused=queries.pause(referral_id, clock.now()),
        parts=parts,
        part_of=part_of,
    )
    return Response.of(shown).reading(Read.of_one(referral_id))


def unplaced(queries: RoutingQueries, request: Request) -> Response:
    """`GET /v1/coordination/unplaced`."""
    limit = paging.limit_of(request.query_params)
    position = paging.position_of(request.query_params, _UNPLACED, (paging.UUID,))
    items = queries.unplaced(after=position[0] if position else None, limit=limit + 1)
    following = paging.encode_cursor(_UNPLACED, (items[limit - 1].id,)) if len(items) > limit else None
    read = Read.of_list([item.id for item in items[:limit]], {})
    return Response.of(Page(items=items[:limit], next=following)).reading(read)


def queue(queries: CoordinationQueries, request: Request, clock: Clock) -> Response:
    """`GET /v1/coordination/queue`."""
    query = request.query_params
    kind = _queue_kind(query.get("kind"))
    wanted = QueueFilter(
        region=_code(query, "region", "regions"),
        need=_code(query, "need", "needs"),
        organization=_organization(query, "organization"),
    )
    scope = f"q-{kind}"
    limit = paging.limit_of(query)
    cursor = paging.position_of(query, scope, _QUEUE_POSITION)
    after = None
    if cursor is not None:
        priority, submitted_at, referral_id = cursor
        after = QueuePosition(
            priority=priority, submitted_at=moment_of(submitted_at), referral_id=referral_id
        )
    items, last = queries.queue(kind, clock.now(), wanted, after=after, limit=limit)
    following = None
    if last is not None:
        position = last.priority, microseconds(last.submitted_at), last.referral_id
        following = paging.encode_cursor(scope, position)
    filters = {name: query[name] for name in ("kind", "region", "need", "organization") if name in query}
    read = Read.of_list([item.id for item in items], filters)
    return Response.of(Page(items=items, next=following)).reading(read)


def wishes(queries: NetworkQueries, request: Request, clock: Clock) -> Response:
    """`GET /v1/coordination/wishes`. considered: how many unplaced referrals; items: those counted most."""
    query = request.query_params
    wanted = QueueFilter(
        region=_code(query, "region", "regions"),
        need=_code(query, "need", "needs"),
        organization=_organization(query, "organization"),
    )
    limit = paging.limit_of(query)
    as_csv = wants_csv(query)
    found, considered = queries.wishes(clock.now(), wanted)
    if as_csv:
        return csv_response(wish_rows(found[:limit]))
    items = tuple(
        NetworkWish(
            changes=tuple(extended(NetworkChange, change) for change in wish.changes),
            referrals=wish.referrals,
            emergencies=wish.emergencies,
        )
        for wish in found[:limit]
    )
    return Response.of(WishList(considered=considered, items=items, next=None))


def coverage(queries: NetworkQueries, request: Request, clock: Clock) -> Response:
    """`GET /v1/coordination/coverage`. CSV has all cells: a file is not read by pages."""
    query = request.query_params
    lacking = query.get("lacking", "false")
    if lacking not in ("true", "false"):
        raise invalid_parameter("lacking", "must be true or false.")
    wanted = CoverageFilter(
        region=_code(query, "region", "regions"),
        need=_code(query, "need", "needs"),
        language=_code(query, "language", "languages"),
        lacking=lacking == "true",
    )
    if wants_csv(query):
        if paged := sorted(query.keys() & {"after", "limit"}):
            raise invalid_parameter(paged[0], "must be absent for CSV, which has all cells.")
        return csv_response(coverage_rows(queries.coverage(clock.now(), wanted)))
    limit = paging.limit_of(query)
    after = paging.position_of(query, _COVERAGE, (paging.NAME,) * 3)
    cells = queries.coverage(clock.now(), wanted)
    left = [one for one in cells if after is None or _cell(one) > after]
    following = paging.encode_cursor(_COVERAGE, _cell(left[limit - 1])) if len(left) > limit else None
    cells_shown = [extended(CoverageCell, one) for one in left[:limit]]
    return Response.of(Page(items=cells_shown, next=following))


def _cell(one: Coverage) -> tuple[str, str, str]:
    return one.region, one.need, one.language


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
    if every not in (*Span,):
        raise invalid_parameter("every", "must be week or month.")
    items = queries.series(Span(every), paging.limit_of(request.query_params))
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


def _form(request: Request) -> tuple[bool, str]:
    """Return whether a report is wanted as CSV, and the language of its labels, one of LANGUAGES."""
    return wants_csv(request.query_params), wanted_language(request, LANGUAGES)


def _answer(kind: Callable[..., object], view: Mapping[str, Any]) -> Response:
    """Return the record of a view as JSON; Python reserves some of its names."""
    return Response.of(kind(**{_MEMBERS.get(name, name): value for name, value in view.items()}))


_MEMBERS: Mapping[str, str] = {"from": "start", "to": "end", "rules": "blocking"}


def candidates(queries: CoordinationQueries, request: Request, clock: Clock) -> Response:
    """`GET /v1/coordination/{referral_id}/candidates`."""
    referral_id = request.path_params["id"]
    organization = _organization(request.query_params, "organization")
    found = queries.candidates(referral_id, organization, clock.now())
    return Response.of(found).reading(Read.of_one(referral_id))


def engagements(queries: CoordinationQueries, request: Request) -> Response:
    """`GET /v1/coordination/organizations/{id}/engagements`: numbers only, of referrals by urgency."""
    return Response.of(queries.engagements(request.path_params["id"]))


def place(commands: RoutingCommands, request: Request, clock: Clock) -> Response:
    """`POST /v1/coordination/{referral_id}/offer`."""
    key = _key(request)
    wanted = load(PlacementRequest, request.json())
    submission_id = commands.submit_placement(
        request.path_params["id"],
        wanted.organization,
        request.principal.id,
        clock.now(),
        reason=wanted.reason,
        key=key,
    )
    return _submitted(submission_id)


def intervene(commands: RoutingCommands, request: Request, clock: Clock, act: CoordinatorAct) -> Response:
    """`POST /v1/coordination/{referral_id}/nudge`, `.../extend` and `.../move-on`."""
    key = _key(request)
    wanted: ExtensionRequest | InterventionRequest
    if act is CoordinatorAct.extend:
        wanted = load(ExtensionRequest, request.json())
    else:
        wanted = load(InterventionRequest, request.json())
    intervention = InterventionSubmitted(
        referral_id=request.path_params["id"],
        organization=wanted.organization,
        coordinator=request.principal.id,
        act=act,
        reason=wanted.reason,
        until=wanted.until if isinstance(wanted, ExtensionRequest) else None,
    )
    return _submitted(commands.submit_intervention(intervention, clock.now(), key=key))


def withdraw(commands: RoutingCommands, request: Request, clock: Clock) -> Response:
    """`POST /v1/coordination/{referral_id}/withdraw`."""
    key = _key(request)
    wanted = load(WithdrawalRequest, request.json())
    submission_id = commands.submit_withdrawal(
        request.path_params["id"],
        wanted.organization,
        wanted.reason,
        request.principal.id,
        clock.now(),
        key=key,
    )
    return _submitted(submission_id)


def answer_question(
    queries: RoutingQueries,
    wire: Mapping[str, Any],
    *,
    preview: Callable[[str, ReferralFacts], Preview] | None = None,
) -> Any:
    """Return the reply to a query of another service. Raises Refused; preview: and what it raises."""
    match parse_query(wire):
        case ReferralQuery() as asked:
            return queries.referral(asked.id, asked.viewer, oversight=asked.oversight)
        case ReferralListQuery() as asked:
            return queries.referrals(
                asked.viewer,
                oversight=asked.oversight,
                status=_status(asked.status),
                after=asked.after,
                limit=asked.limit,
            )
        case OfferQuery() as asked:
            return queries.offer_parties(asked.id)
        case PartyQuery() as asked:
            return queries.is_party(asked.id, asked.organization)
        case PreviewQuery() as asked if preview is not None:
            return preview(asked.sender, asked.facts)
    raise Refused("invalid-parameter", "Routing does not support this query.")


def _key(request: Request) -> str | None:
    key = request.headers.get(HEADER)
    if key is not None:
        require_well_formed(key)
    return key


def _submitted(submission_id: str) -> Response:
    return Response.of(Submitted(id=submission_id, status="submitted"), status=202)


def _queue_kind(text: str | None) -> QueueKind:
    if text is None or text not in QueueKind.__members__:
        raise invalid_parameter("kind", f"must be one of {', '.join(QueueKind)}.")
    return QueueKind(text)


def _code(query: Mapping[str, str], name: str, vocabulary: str) -> str | None:
    code = query.get(name)
    if code is not None and code not in rows(vocabulary):
        raise invalid_parameter(name, f"must be a code of the vocabulary '{vocabulary}'.")
    return code


def _week(query: Mapping[str, str]) -> CalendarWeek | None:
    text = query.get("week")
    if text is None:
        return None
    try:
        return CalendarWeek.parse(text)
    except ValueError:
        raise invalid_parameter("week", "must be a week such as 2026-W07.") from None


def _organization(query: Mapping[str, str], name: str) -> str | None:
    organization = query.get(name)
    if organization is not None and not paging.NAME.fits(organization):
        raise invalid_parameter(name, "must be the id of an organisation.")
    return organization


def _status(text: str | None) -> str | None:
    if text is not None and text not in ReferralStatus.__members__:
        raise invalid_parameter("status", "is not a referral status.")
    return text
