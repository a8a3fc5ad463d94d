"""The HTTP resources of webhooks. An organisation manages its own endpoints."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final

from marshmallow.validate import Length

from contracts.record_schema import NOT_NULL
from contracts.records import load
from contracts.responses.form import Page
from contracts.responses.webhooks import (
    WebhookAttempt,
    WebhookEndpoint,
    WebhookNotice,
    WebhookRequest,
    WebhookResponse,
    WebhookSecret,
)
from runtime.web.paging import NUMBER, encode_cursor, limit_of, position_of
from runtime.web.request import Request
from runtime.web.response import Response
from services.delivery.webhooks.domain.endpoint import Endpoint
from services.delivery.webhooks.domain.notice import Attempt, Notice, NoticeState
from services.delivery.webhooks.owners import EndpointOwners, NewSecret

_NOTICES: Final = "webhook-notices"
_ATTEMPTS: Final = "webhook-attempts"

Url = Annotated[str, Length(min=1, max=1000)]
Types = Annotated[tuple[str, ...], Length(max=50)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Registration:
    """The body of `POST /v1/webhooks`.

    types: of the messages it gets notices of; empty: all. `offer.opened` is the message in every
    version, `kopuro.offer.opened.v1` in one.
    """

    url: Url
    types: Types = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointChange:
    """The body of `PATCH /v1/webhooks/{id}`.

    Members that are left out stay as they are; none may be null. types: empty: all.
    """

    url: Url | None = field(default=None, metadata=NOT_NULL)
    types: Types | None = field(default=None, metadata=NOT_NULL)
    enabled: bool | None = field(default=None, metadata=NOT_NULL)


def register(owners: EndpointOwners, request: Request) -> Response:
    """`POST /v1/webhooks`: 201 with the secret, which is shown only now."""
    body = load(Registration, request.json())
    caller = request.principal
    return Response.of(
        _secret(owners.register(caller.id, caller.client_id, body.url, body.types)), status=201
    )


def listing(owners: EndpointOwners, request: Request) -> Response:
    """`GET /v1/webhooks`: all endpoints, oldest first."""
    items = [_endpoint(endpoint) for endpoint in owners.endpoints(request.principal.id)]
    return Response.of(Page(items=items, next=None))


def show(owners: EndpointOwners, request: Request) -> Response:
    """`GET /v1/webhooks/{endpoint_id}`."""
    return Response.of(_endpoint(owners.show(request.principal.id, request.path_params["endpoint_id"])))


def change(owners: EndpointOwners, request: Request) -> Response:
    """`PATCH /v1/webhooks/{endpoint_id}`: the changed endpoint."""
    body = load(EndpointChange, request.json())
    changed = owners.change(
        request.principal.id,
        request.principal.client_id,
        request.path_params["endpoint_id"],
        url=body.url,
        types=body.types,
        is_enabled=body.enabled,
    )
    return Response.of(_endpoint(changed))


def delete(owners: EndpointOwners, request: Request) -> Response:
    """`DELETE /v1/webhooks/{endpoint_id}`."""
    owners.delete(request.principal.id, request.principal.client_id, request.path_params["endpoint_id"])
    return Response.empty()


def rotate(owners: EndpointOwners, request: Request) -> Response:
    """`POST /v1/webhooks/{endpoint_id}/secrets`: 201 with a new secret, which is shown only now."""
    caller = request.principal
    new = owners.rotate(caller.id, caller.client_id, request.path_params["endpoint_id"])
    return Response.of(_secret(new), status=201)


def test(owners: EndpointOwners, request: Request) -> Response:
    """`POST /v1/webhooks/{endpoint_id}/test`: 202 with the notice of a test or a challenge."""
    notice = owners.test(request.principal.id, request.path_params["endpoint_id"])
    return Response.of(_notice(notice), status=202)


def notices(owners: EndpointOwners, request: Request) -> Response:
    """`GET /v1/webhooks/{endpoint_id}/notices?after=&limit=`: newest first."""
    position = position_of(request.query_params, _NOTICES, (NUMBER,))
    found, more = owners.notices(
        request.principal.id,
        request.path_params["endpoint_id"],
        before=position[0] if position else None,
        limit=limit_of(request.query_params),
    )
    following = encode_cursor(_NOTICES, [found[-1].number]) if more else None
    return Response.of(Page(items=[_notice(notice) for notice in found], next=following))


def attempts(owners: EndpointOwners, request: Request) -> Response:
    """`GET /v1/webhooks/{endpoint_id}/attempts?after=&limit=`: newest first."""
    position = position_of(request.query_params, _ATTEMPTS, (NUMBER,))
    found, more = owners.attempts(
        request.principal.id,
        request.path_params["endpoint_id"],
        before=position[0] if position else None,
        limit=limit_of(request.query_params),
    )
    following = encode_cursor(_ATTEMPTS, [found[-1][0]]) if more else None
    return Response.of(Page(items=[_attempt(attempt) for _, attempt in found], next=following))


def resend(owners: EndpointOwners, request: Request) -> Response:
    """`POST /v1/webhooks/{endpoint_id}/notices/{message_id}/resend`: 202 with the notice."""
    path = request.path_params
    return Response.of(
        _notice(owners.resend(request.principal.id, path["endpoint_id"], path["message_id"])), status=202
    )


def cancel(owners: EndpointOwners, request: Request) -> Response:
    """`POST /v1/webhooks/{endpoint_id}/notices/{message_id}/cancel`: the cancelled notice."""
    path = request.path_params
    return Response.of(_notice(owners.cancel(request.principal.id, path["endpoint_id"], path["message_id"])))


def _endpoint(endpoint: Endpoint) -> WebhookEndpoint:
    return WebhookEndpoint(
        id=endpoint.id,
        url=endpoint.url.text,
        types=tuple(sorted(endpoint.types)),
        state=endpoint.state,
        reason=endpoint.reason,
        created_at=endpoint.created_at,
        failing_since=endpoint.health.failing_since,
        disabled_at=endpoint.disabled_at,
    )


def _secret(new: NewSecret) -> WebhookSecret:
    return WebhookSecret(
        endpoint=_endpoint(new.endpoint),
        secret=new.secret.shared,
        public_key=new.secret.public_key,
        previous_until=new.previous_until,
    )


def _notice(notice: Notice) -> WebhookNotice:
    return WebhookNotice(
        message_id=notice.message_id,
        type=notice.type,
        referral_id=notice.referral_id or None,
        state=notice.state,
        attempts=notice.attempts,
        next_attempt_at=notice.due_at if notice.state is NoticeState.waiting else None,
        until=notice.until,
    )


def _attempt(attempt: Attempt) -> WebhookAttempt:
    response = None
    if attempt.status is not None:
        response = WebhookResponse(
            status=attempt.status, media_type=attempt.answer_type, bytes=attempt.answer_size
        )
    return WebhookAttempt(
        message_id=attempt.message_id,
        type=attempt.type,
        attempt=attempt.number,
        started_at=attempt.started_at,
        milliseconds=attempt.milliseconds,
        request=WebhookRequest(method="POST", url=attempt.url),
        response=response,
        fault=attempt.fault,
        next_attempt_at=attempt.next_at,
    )
