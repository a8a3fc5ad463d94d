"""Watch reports and watched employers."""

from __future__ import annotations

import re

from contracts.errors import Refused
from contracts.idempotency_key import HEADER, require_well_formed
from contracts.organization import Organization
from contracts.responses.form import extended
from contracts.responses.watch import OwnReport, Reply, WatchedEmployer, WatchOptIn, WatchRecipient
from contracts.vocabularies import codes
from runtime.access.standing import excluded_refusal
from runtime.web.paging import NAME
from runtime.web.parameters import invalid_parameter
from runtime.web.request import Request
from runtime.web.response import Response
from services.directory import admission
from services.directory.api.responses import page
from services.directory.domain.watch_report import WatchReport
from services.directory.domain.watched import Watched
from services.directory.handlers import DirectoryHandlers
from services.directory.handlers.watched_employers import WatchedSearch

LONGEST_NAME = 200


def watched_employers(handlers: DirectoryHandlers, request: Request) -> Response:
    """List the watched employers by `country`, `region` and `name`, ordered by id."""
    query = request.query_params
    search = WatchedSearch(country=query.get("country"), region=query.get("region"), name=query.get("name"))
    if not re.fullmatch("[A-Z]{2}", search.country or "KG"):
        raise invalid_parameter("country", "must be an ISO 3166-1 alpha-2 code.")
    if search.region is not None and search.region not in codes("regions"):
        raise invalid_parameter("region", "is not a code of the vocabulary `regions`.")
    if search.name is not None and not 0 < len(search.name) <= LONGEST_NAME:
        raise invalid_parameter("name", f"must have 1 to {LONGEST_NAME} characters.")
    return Response.of(
        page(
            request,
            "watched",
            (NAME,),
            lambda after, limit: handlers.watched_employers.page(search, after[0], limit),
            lambda watched: (watched.id,),
            _shown,
        )
    )


def watched_employer(handlers: DirectoryHandlers, request: Request) -> Response:
    """Return one watched employer."""
    return Response.of(_shown(handlers.watched_employers.one(request.path_params["id"])))


def put_employer_reply(handlers: DirectoryHandlers, request: Request) -> Response:
    """Record an employer's reply in place of an earlier one."""
    text = admission.employer_reply(request.json()).text
    by = request.principal.id
    return Response.of(_shown(handlers.watched_employers.reply(request.path_params["id"], text, by=by)))


def watch_reports(handlers: DirectoryHandlers, request: Request) -> Response:
    """List the caller's own reports, oldest first."""
    return Response.of(
        page(
            request,
            "watch_reports",
            (NAME,),
            lambda after, limit: handlers.watch_reports.reports_of(request.principal.id, after[0], limit),
            lambda report: (report.id,),
            lambda report: _own(handlers, report),
        )
    )


def post_watch_report(handlers: DirectoryHandlers, request: Request) -> Response:
    """Report an employer. A repetition under the same Idempotency-Key returns the first report.

    That holds for an excluded organisation too; anything else that it sends is refused for its exclusion.
    """
    caller, key = request.principal, request.headers.get(HEADER)
    try:
        if key is not None:
            require_well_formed(key)
        submitted = admission.employer_report(request.json())
        report = handlers.watch_reports.report(caller.id, submitted, key=key, repeats_only=caller.excluded)
    except Refused:
        if caller.excluded:
            raise excluded_refusal() from None
        raise
    return Response.of(_own(handlers, report), status=201)


def retract_watch_report(handlers: DirectoryHandlers, request: Request) -> Response:
    """Take the caller's own report back."""
    report = handlers.watch_reports.retract(request.principal.id, request.path_params["id"])
    return Response.of(_own(handlers, report))


def watch_recipients(handlers: DirectoryHandlers, request: Request) -> Response:
    """List the organisations that receive watch reports, ordered by id."""
    return Response.of(
        page(
            request,
            "watch_recipients",
            (NAME,),
            lambda after, limit: handlers.watch_reports.receiving(after[0], limit),
            lambda organization: (organization.id,),
            _recipient,
        )
    )


def watch_opt_in(handlers: DirectoryHandlers, request: Request) -> Response:
    """Return whether the caller has opted in."""
    since = handlers.watch_reports.chosen(request.principal.id)
    return Response.of(WatchOptIn(receives=since is not None, since=since))


def put_watch_opt_in(handlers: DirectoryHandlers, request: Request) -> Response:
    """Opt the caller in or out."""
    wanted = admission.watch_choice(request.json())
    since = handlers.watch_reports.choose(request.principal.id, receives=wanted.receives)
    return Response.of(WatchOptIn(receives=since is not None, since=since))


def _shown(watched: Watched) -> WatchedEmployer:
    reply = watched.reply
    return WatchedEmployer(
        id=watched.id,
        employer=watched.employer,
        practices=watched.practices,
        first_month=watched.first_month,
        last_month=watched.last_month,
        reporters=watched.reporters,
        # The day would reveal when a report was made.
        until=f"{watched.until:%Y-%m}",
        reply=None if reply is None else Reply(text=reply.text, by=reply.by, at=reply.at),
    )


def _own(handlers: DirectoryHandlers, report: WatchReport) -> OwnReport:
    return extended(
        OwnReport,
        report.allegation,
        id=report.id,
        recipients=report.recipients,
        reported_at=report.reported_at,
        expires_at=handlers.watch_reports.expires_at(report),
        retracted_at=report.retracted_at,
    )


def _recipient(organization: Organization) -> WatchRecipient:
    assert organization.sealing_key is not None  # `may_receive`
    return WatchRecipient(
        organization=organization.id, name=organization.name, sealing_key=organization.sealing_key
    )
