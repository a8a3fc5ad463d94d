"""Delivery's HTTP resources. An organisation reads its own mailbox, a coordinator also the shared one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

import orjson
from marshmallow.validate import Length

from contracts.answers.mailbox import (
    Acknowledgement,
    AcknowledgementResults,
    ReleasedCase,
)
from contracts.answers.mailbox import MailboxPage as MailboxAnswer
from contracts.errors import KopuroError, Refused
from contracts.facts import CaseFetched
from contracts.identifiers import MessageId
from contracts.records import load
from runtime.access.read_recorder import ReadRecorder
from runtime.access.reads import NOTHING_READ, STAFF, Read, Reader
from runtime.web.paging import NUMBER, encode_cursor, integer_of, limit_of, position_of
from runtime.web.request import Request
from runtime.web.response import Response
from services.delivery.domain.recipients import shared_mailboxes
from services.delivery.handlers import MAILBOX, MailboxHandlers, MailboxPage

LONGEST_WAIT: Final = 30  # seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Acknowledgements:
    """The body of `POST /v1/mailbox:acknowledge`."""

    ids: Annotated[tuple[MessageId, ...], Length(min=1, max=1000)]


def mailbox(handlers: MailboxHandlers, request: Request) -> Response:
    """`GET /v1/mailbox?after=&limit=&wait=`.

    next: the cursor of the next page, null when no more messages are waiting, as in every list. resume:
    the cursor for a later poll; the given `after` when the page is empty.
    """
    query = request.query_params
    position = position_of(query, MAILBOX, (NUMBER,))
    page = handlers.page(
        request.principal.id,
        shared=shared_mailboxes(request.principal.roles),
        after=position[0] if position else 0,
        limit=limit_of(query),
        wait=integer_of(query, "wait", default=0, minimum=0, maximum=LONGEST_WAIT),
        reauthorize=request.reauthorize,
    )
    last = encode_cursor(MAILBOX, [page.last]) if page.bodies else query.get("after") or None
    # the stored bytes, not parsed again
    items: tuple[Any, ...] = tuple(orjson.Fragment(body) for body in page.bodies)
    response = Response.of(MailboxAnswer(items=items, next=last if page.more else None, resume=last))
    # Partners read their own mailbox; only the messages of staff are looked into.
    return response if request.principal.roles.isdisjoint(STAFF) else response.reading(_read(page))


def acknowledge(handlers: MailboxHandlers, request: Request) -> Response:
    """`POST /v1/mailbox/{message_id}/acknowledge`."""
    handlers.acknowledge(
        request.principal.id,
        request.path_params["message_id"],
        shared=shared_mailboxes(request.principal.roles),
    )
    return Response.empty()


def acknowledge_batch(handlers: MailboxHandlers, request: Request) -> Response:
    """`POST /v1/mailbox:acknowledge`: one result for each id, in the same order."""
    ids = load(Acknowledgements, request.json()).ids
    results = handlers.acknowledge_all(
        request.principal.id, ids, shared=shared_mailboxes(request.principal.roles)
    )
    items = (_result(message_id, result) for message_id, result in zip(ids, results, strict=True))
    return Response.of(AcknowledgementResults(items=tuple(items)))


def case(handlers: MailboxHandlers, reads: ReadRecorder, request: Request) -> Response:
    """`GET /v1/case/{referral_id}`: for the organisation to which the case was released.

    The fetch is committed to the outbox before the case leaves.
    """
    referral_id = request.path_params["referral_id"]
    reader = Reader.of(request.principal)
    sealed = handlers.case(reader.id, referral_id)
    fetched = CaseFetched(referral_id=referral_id, organization=reader.id, client_id=reader.client_id)
    reads.record(fetched, referral_id)
    return Response.of(ReleasedCase(referral_id=referral_id, case=sealed))


def _read(page: MailboxPage) -> Read:
    """Return what a page of a coordinator's mailboxes contains; a message of receipts names no referral."""
    found = [orjson.loads(body)["data"].get("referral_id") for body in page.bodies]
    referral_ids = [referral_id for referral_id in found if referral_id]
    return Read.of_list(referral_ids, {}) if referral_ids else NOTHING_READ


def _result(message_id: str, result: bool | KopuroError) -> Acknowledgement:
    if isinstance(result, Refused):
        return Acknowledgement(id=message_id, status=result.status, problem=result.problem())
    return Acknowledgement(id=message_id, status=204)
