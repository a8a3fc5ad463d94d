"""Delivery's HTTP resources. An organisation reads its own mailbox, a coordinator also the shared one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated, Any, Final

import orjson
from marshmallow.validate import Length

from contracts.errors import KopuroError, PointerError, Refused
from contracts.facts import CaseFetched
from contracts.identifiers import MessageId
from contracts.record_schema import NOT_NULL
from contracts.records import load
from contracts.responses.form import Page
from contracts.responses.mailbox import (
    Acknowledgement,
    AcknowledgementResults,
    AnswerIds,
    MailboxConsumer,
    ReleasedCase,
    TriggeredMessageId,
)
from contracts.responses.mailbox import MailboxPage as MailboxResponse
from contracts.rfc3339 import parse_time
from runtime.access.daily_reads import DailyReads
from runtime.access.read_recorder import ReadRecorder
from runtime.access.reads import NOTHING_READ, STAFF, Read, Reader
from runtime.web.paging import NUMBER, decode_cursor, encode_cursor, integer_of, limit_of, position_of
from runtime.web.parameters import invalid_parameter
from runtime.web.path import ID_FORMS
from runtime.web.request import Request
from runtime.web.response import Response
from services.delivery.domain.consumer import NamedConsumer, require_contract
from services.delivery.domain.recipients import shared_mailboxes
from services.delivery.domain.selection import Selection, name_of, require_kinds, types_of
from services.delivery.handlers import ConsumerHandlers, MailboxHandlers, MailboxPage, mailbox_cursors
from services.delivery.message_tracing import MessageTracing
from services.delivery.submission_answers import MOST_ANSWERS, SubmissionAnswer, SubmissionAnswers
from services.delivery.triggers import Triggers

LONGEST_WAIT: Final = 30  # seconds
_MOST_TYPES: Final = 50
_PLACE: Final = "an RFC 3339 time with an offset, or a cursor of the mailbox"


@dataclass(frozen=True, kw_only=True, slots=True)
class Acknowledgements:
    """The body of `POST /v1/mailbox:acknowledge`."""

    ids: Annotated[tuple[MessageId, ...], Length(min=1, max=1000)]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsumerSettings:
    """The body of `PUT /v1/mailbox/consumers/{name}`.

    Members that are left out stay as they are; none may be null. types: such as `offer.opened`, or with
    prefix and version, which `contract` decides; an empty list reads all, as a new consumer does. contract:
    the version in which it reads messages, one that the hub writes; today `1`. start: where it reads next, a
    cursor or an RFC 3339 time. Without one it continues where it was, and a new consumer begins with the
    oldest message.
    """

    types: Annotated[tuple[str, ...], Length(max=_MOST_TYPES)] | None = field(default=None, metadata=NOT_NULL)
    contract: str | None = field(default=None, metadata=NOT_NULL)
    start: Annotated[str, Length(max=200)] | None = field(default=None, metadata=NOT_NULL)


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmissionAnswerList:
    """The body of `POST /v1/mailbox:answer`."""

    answers: Annotated[tuple[SubmissionAnswer, ...], Length(min=1, max=MOST_ANSWERS)]


@dataclass(frozen=True, kw_only=True, slots=True)
class TriggeredMessage:
    """The body of `POST /v1/sandbox/messages`.

    type: such as `offer.opened`, or with prefix and version. data: of the CloudEvent.
    """

    type: Annotated[str, Length(max=100)]
    data: Mapping[str, Any]


def mailbox(handlers: MailboxHandlers, request: Request) -> Response:
    """`GET /v1/mailbox?from=&after=&limit=&wait=&type=&consumer=`.

    next: the cursor of the next page, null when no more messages are waiting, as in every list. resume:
    the cursor for a later poll; the given `after` when the page is empty. from: a time or a cursor after
    which messages are read again, acknowledged ones too. type: names or whole types of messages, separated
    by commas.
    """
    query = request.query_params
    cursors = mailbox_cursors(request.principal.id)
    position = position_of(query, cursors, (NUMBER,))
    start = _place(query["from"], cursors) if "from" in query else None
    if "from" in query and start is None:
        raise invalid_parameter("from", f"must be {_PLACE}. In a URL, `+` is written `%2B`.")
    consumer = _consumer_of(request)
    if start is not None and consumer is not None:
        raise invalid_parameter("from", "cannot be used with `consumer`: PUT its `start` instead.")
    page = handlers.page(
        request.principal.id,
        shared=shared_mailboxes(request.principal.roles) if consumer is None else (),
        after=max(position[0] if position else 0, start if isinstance(start, int) else 0),
        limit=limit_of(query),
        wait=integer_of(query, "wait", default=0, minimum=0, maximum=LONGEST_WAIT),
        selection=Selection(
            consumer=consumer,
            again=start is not None,
            types=types_of(query["type"].split(",", _MOST_TYPES)) if "type" in query else frozenset(),
        ),
        since=start if isinstance(start, dt.datetime) and position is None else None,
        reauthorize=request.reauthorize,
    )
    # Messages of other types are passed too, so that an empty page may move the cursor.
    read = page.bodies or "type" in query or consumer is not None
    last = encode_cursor(cursors, [page.last]) if read and page.last else query.get("after") or None
    # the stored bytes, not parsed again
    items: tuple[Any, ...] = tuple(orjson.Fragment(body) for body in page.bodies)
    response = Response.of(MailboxResponse(items=items, next=last if page.more else None, resume=last))
    # Partners read their own mailbox; only the messages of staff are looked into.
    if request.principal.roles.isdisjoint(STAFF):
        return response
    asked = {name: query[name] for name in ("from", "type") if name in query}
    return response.reading(_read(page, asked))


def acknowledge(handlers: MailboxHandlers, consumers: ConsumerHandlers, request: Request) -> Response:
    """`POST /v1/mailbox/{message_id}/acknowledge`, `?consumer=` for a named one."""
    message_id = request.path_params["message_id"]
    if (consumer := _consumer_of(request)) is not None:
        (result,) = consumers.acknowledge_all(request.principal.id, consumer, [message_id])
        if isinstance(result, KopuroError):
            raise result
        return Response.empty()
    handlers.acknowledge(
        request.principal.id,
        message_id,
        shared=shared_mailboxes(request.principal.roles),
    )
    return Response.empty()


def acknowledge_batch(handlers: MailboxHandlers, consumers: ConsumerHandlers, request: Request) -> Response:
    """`POST /v1/mailbox:acknowledge`: one result for each id, in the same order.

    With `?consumer=` for a named consumer.
    """
    ids = load(Acknowledgements, request.json()).ids
    consumer = _consumer_of(request)
    if consumer is not None:
        results = consumers.acknowledge_all(request.principal.id, consumer, ids)
    else:
        results = handlers.acknowledge_all(
            request.principal.id, ids, shared=shared_mailboxes(request.principal.roles)
        )
    items = (_result(message_id, result) for message_id, result in zip(ids, results, strict=True))
    return Response.of(AcknowledgementResults(items=tuple(items)))


def consumers(handlers: ConsumerHandlers, request: Request) -> Response:
    """`GET /v1/mailbox/consumers`: the organisation's named consumers, by name."""
    found = handlers.all_of(request.principal.id)
    return Response.of(Page(items=[_described(*one) for one in found], next=None))


def put_consumer(handlers: ConsumerHandlers, request: Request) -> Response:
    """`PUT /v1/mailbox/consumers/{name}`: create a named consumer, or change its settings and position."""
    settings = load(ConsumerSettings, request.json())
    require_kinds({f"/types/{place}": kind for place, kind in enumerate(settings.types or ())})
    start = None if settings.start is None else _place(settings.start, mailbox_cursors(request.principal.id))
    if settings.start is not None and start is None:
        where = PointerError(pointer="/start", detail=f"Must be {_PLACE}.")
        raise Refused("invalid-submission", "Correct /start.", errors=(where,))
    found = handlers.put(
        request.principal.id,
        request.path_params["name"],
        types=None if settings.types is None else tuple(dict.fromkeys(map(name_of, settings.types))),
        contract=None if settings.contract is None else require_contract(settings.contract),
        start=start,
    )
    return Response.of(_described(*found))


def delete_consumer(handlers: ConsumerHandlers, request: Request) -> Response:
    """`DELETE /v1/mailbox/consumers/{name}`."""
    handlers.remove(request.principal.id, request.path_params["name"])
    return Response.empty()


def answer_submissions(answers: SubmissionAnswers, request: Request) -> Response:
    """`POST /v1/mailbox:answer`: the gateway puts answers to submissions into the organisation's mailbox.

    Raises Refused `forbidden` for every other client: an organisation relies on what its mailbox says was
    admitted.
    """
    if not request.principal.is_gateway:
        raise Refused("forbidden", "Only the gateway may put answers to submissions into a mailbox.")
    given = load(SubmissionAnswerList, request.json()).answers
    return Response.of(AnswerIds(ids=tuple(answers.put(request.principal.id, given))))


def trigger(triggers: Triggers, request: Request) -> Response:
    """`POST /v1/sandbox/messages`, only in a sandbox: put a message into one's own mailbox."""
    asked = load(TriggeredMessage, request.json())
    message_id = triggers.make(request.principal.id, asked.type, asked.data)
    return Response.of(TriggeredMessageId(id=message_id), status=201)


def trace(tracing: MessageTracing, request: Request) -> Response:
    """`GET /v1/deliveries/{id}`: the states of the messages about a referral, or of one message.

    Raises Refused `not-found` if no mailbox that the caller may look into has any.
    """
    is_staff = not request.principal.roles.isdisjoint(STAFF)
    found = tracing.of(request.path_params["id"], request.principal.id, everywhere=is_staff)
    if not found:
        raise Refused("not-found", "No mailbox that you can read has these messages.")
    referrals = list(dict.fromkeys(one.referral_id for one in found if one.referral_id is not None))
    read = Read.of_list(referrals, {}) if referrals else NOTHING_READ
    return Response.of(Page(items=found, next=None)).reading(read)


def case(handlers: MailboxHandlers, reads: ReadRecorder, daily: DailyReads, request: Request) -> Response:
    """`GET /v1/case/{referral_id}`: for the organisation to which the case was released.

    The fetch is committed to the outbox before the case leaves: once a day for each client and case. Another
    case of the referral, such as a replaced one, is recorded again.
    """
    referral_id = request.path_params["referral_id"]
    reader = Reader.of(request.principal)
    sealed = handlers.case(reader.id, referral_id)
    fetched = CaseFetched(referral_id=referral_id, organization=reader.id, client_id=reader.client_id)
    daily.record_once(
        (referral_id, reader.id, reader.client_id, sha256(sealed.encode()).digest()),
        lambda: reads.record(fetched, referral_id),
    )
    return Response.of(ReleasedCase(referral_id=referral_id, case=sealed))


def _consumer_of(request: Request) -> str | None:
    """Return the named consumer of a request, None for the default one.

    Raises Refused `invalid-parameter` for a name that none can have, `forbidden` for callers without any.
    """
    name = request.query_params.get("consumer")
    if name is None:
        return None
    if not ID_FORMS["slug"].fits(name):
        raise invalid_parameter("consumer", f"must be {ID_FORMS['slug'].expected}.")
    if "partner" not in request.principal.roles:
        raise Refused("forbidden", "Only organisations have named consumers; coordinators share a mailbox.")
    return name


def _place(text: str, cursors: str) -> int | dt.datetime | None:
    """Return the sequence to read after, or the time to read from; None if the text is neither.

    cursors: the scope of the reader's own.
    """
    try:
        return int(decode_cursor(cursors, text, (NUMBER,))[0])
    except Refused:
        pass
    try:
        return parse_time(text)
    except ValueError:
        return None


def _described(consumer: NamedConsumer, waiting_since: dt.datetime | None) -> MailboxConsumer:
    return MailboxConsumer(
        name=consumer.name,
        types=tuple(consumer.types),
        contract=consumer.contract,
        position=encode_cursor(mailbox_cursors(consumer.organization), [consumer.position]),
        created_at=consumer.created_at,
        waiting_since=waiting_since,
    )


def _read(page: MailboxPage, asked: Mapping[str, str]) -> Read:
    """Return what a page of a coordinator's mailboxes contains; a message of receipts names no referral.

    asked: the checked places and types of the query.
    """
    found = [orjson.loads(body)["data"].get("referral_id") for body in page.bodies]
    referral_ids = [referral_id for referral_id in found if referral_id]
    return Read.of_list(referral_ids, asked) if referral_ids else NOTHING_READ


def _result(message_id: str, result: bool | KopuroError) -> Acknowledgement:
    if isinstance(result, Refused):
        return Acknowledgement(id=message_id, status=result.status, problem=result.problem())
    return Acknowledgement(id=message_id, status=204)
