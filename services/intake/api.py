"""Intake's HTTP resources."""

from __future__ import annotations

import datetime as dt

from contracts.codes import ReferralStatus
from contracts.errors import Refused
from contracts.idempotency_key import HEADER, require_well_formed
from contracts.jose import LONGEST_SEALED
from contracts.queries import ReferralListQuery
from contracts.records import load
from contracts.referral import ReferralFacts, ReferralSubmission
from contracts.responses.form import Page
from contracts.responses.referrals import Submitted
from runtime.access.reads import NOTHING_READ, Read
from runtime.clock import Clock
from runtime.identifiers import new_id, new_unguessable_id
from runtime.telemetry import trace
from runtime.web import paging
from runtime.web.parameters import invalid_parameter, organization_of
from runtime.web.path import ID_FORMS
from runtime.web.request import Request
from runtime.web.response import Response
from services.intake import ndjson
from services.intake.domain.admission import Caller, claim_of
from services.intake.domain.command import COMMANDS
from services.intake.handlers import Command, IntakeHandlers, refusal
from services.intake.referral_views import ReferralViews
from services.intake.submission_search import SubmissionSearch

PARTNERS = frozenset({"partner"})
OVERSIGHT = frozenset({"coordinator", "auditor", "operator"})

# The longest sealed text that the contract allows, plus room for the other fields.
SEALED_LIMIT = LONGEST_SEALED + 64 * 1024
_REFERRALS = "referrals"


class ApiContext:
    """The use cases, the clock and the event source name, for every resource."""

    def __init__(self, handlers: IntakeHandlers, source: str, clock: Clock) -> None:
        self.handlers = handlers
        self._source = source
        self._clock = clock

    def now(self) -> dt.datetime:
        """Return the current time; times of past events in a body may not be later."""
        return self._clock.now()

    def caller(self, request: Request) -> Caller:
        """Return the request's caller, with the current time and trace."""
        return Caller(
            organization=request.principal.id,
            source=self._source,
            now=self._clock.now(),
            traceparent=str(here) if (here := trace.current()) else None,
            new_id=new_id,
            new_referral_id=new_unguessable_id,
            excluded=request.principal.excluded,
        )


def submit_referral(context: ApiContext, request: Request) -> Response:
    """`POST /v1/referrals`."""
    caller = context.caller(request)
    claim = claim_of(caller.organization, request.headers.get(HEADER), request.body)
    try:
        submission = load(ReferralSubmission, request.json(), now=context.now())
    except Refused as error:
        return _referral_response(
            context.handlers.commits.answer(refusal(caller, error, claim, is_referral=True))
        )
    return _referral_response(context.handlers.submit_referral(caller, submission, claim))


def submit_referral_batch(context: ApiContext, request: Request) -> Response:
    """`POST /v1/referrals:batch`."""
    batch = ndjson.BatchBody.of(request.body, request.headers.get(HEADER))
    return ndjson.submit_referrals(context.handlers, context.caller(request), batch)


def preview_referral(context: ApiContext, request: Request) -> Response:
    """`POST /v1/referrals:preview`: the facts of a referral, without a case."""
    facts = load(ReferralFacts, request.json(), now=context.now())
    return Response.of(context.handlers.preview(request.principal.id, facts))


def submit_command(context: ApiContext, request: Request, name: str) -> Response:
    """`POST /v1/offers/{id}/…` and `POST /v1/referrals/{id}/…`: one command (`domain/command.py`)."""
    subject = request.path_params["id"]
    # The key identifies the whole request: command, subject and body.
    whole = b"\n".join((name.encode(), subject.encode(), request.body))
    caller = context.caller(request)
    claim = claim_of(caller.organization, request.headers.get(HEADER), whole)
    try:
        body = load(COMMANDS[name], request.json() if request.body.strip() else {}, now=context.now())
    except Refused as error:
        submission_id = context.handlers.commits.answer(refusal(caller, error, claim))
    else:
        command = Command(body=body, subject=subject, claim=claim)
        submission_id = context.handlers.submit_command(caller, command)
    return Response.of(Submitted(id=submission_id, status="submitted"), status=202)


def submit_command_batch(context: ApiContext, request: Request) -> Response:
    """`POST /v1/submissions:batch`."""
    batch = ndjson.BatchBody.of(request.body, request.headers.get(HEADER))
    return ndjson.submit_commands(context.handlers, context.caller(request), batch)


def show(views: ReferralViews, request: Request) -> Response:
    """`GET /v1/referrals/{id}`."""
    oversight = bool(request.principal.roles & OVERSIGHT)
    referral_id = request.path_params["id"]
    found = views.referral(referral_id, request.principal.id, oversight=oversight)
    return Response.of(found).reading(Read.of_one(referral_id))


def find(search: SubmissionSearch, request: Request) -> Response:
    """`GET /v1/submissions?id=` or `?key=`, for staff with `&organization=`: what intake admitted.

    An empty page: nothing that the caller may see was admitted under this id or key.
    """
    query, viewer = request.query_params, request.principal.id
    if ("id" in query) == ("key" in query):
        raise invalid_parameter("id", "or `key` must be given, but not both.")
    oversight = bool(request.principal.roles & OVERSIGHT)
    organization = organization_of(query)
    if not oversight and organization not in (None, viewer):
        raise invalid_parameter("organization", "must be your own; only staff can look up those of others.")
    if "id" in query:
        if not ID_FORMS["uuid"].fits(query["id"]):
            raise invalid_parameter("id", f"must be {ID_FORMS['uuid'].expected}.")
        of = organization if oversight else viewer
        found = search.by_id(query["id"], of, viewer=viewer)
    else:
        require_well_formed(query["key"])
        found = search.by_key(query["key"], organization or viewer, viewer=viewer)
    referrals = list(dict.fromkeys(one.referral_id for one in found))
    # Not the key, which is text of its owner's choice. An id is recorded only if something has it.
    asked = {name: query[name] for name in ("id", "organization") if name in query}
    read = Read.of_list(referrals, asked) if referrals else NOTHING_READ
    return Response.of(Page(items=found, next=None)).reading(read)


def show_offer(views: ReferralViews, request: Request) -> Response:
    """`GET /v1/offers/{id}`."""
    return Response.of(views.offer(request.path_params["id"], request.principal.id))


def listing(views: ReferralViews, request: Request) -> Response:
    """`GET /v1/referrals`."""
    limit = paging.limit_of(request.query_params)
    status = request.query_params.get("status")
    if status is not None and status not in set(ReferralStatus):
        raise invalid_parameter("status", f"must be one of {', '.join(ReferralStatus)}.")
    position = paging.position_of(request.query_params, _REFERRALS, (paging.UUID,))
    items = views.listing(
        ReferralListQuery(
            viewer=request.principal.id,
            oversight=bool(request.principal.roles & OVERSIGHT),
            limit=limit + 1,
            status=status,
            after=position[0] if position else None,
        )
    )
    following = paging.encode_cursor(_REFERRALS, (items[limit - 1].id,)) if len(items) > limit else None
    read = Read.of_list([item.id for item in items[:limit]], {} if status is None else {"status": status})
    return Response.of(Page(items=items[:limit], next=following)).reading(read)


def _referral_response(referral_id: str) -> Response:
    return Response.of(
        Submitted(id=referral_id, status="requested"),
        status=202,
        headers={"Location": f"/v1/referrals/{referral_id}"},
    )
