"""Self-service of an organisation's password at the partners' broker."""

from __future__ import annotations

from contracts.responses.directory import AmqpPassword
from runtime.web.request import Request
from runtime.web.response import Response
from services.directory import admission
from services.directory.handlers import DirectoryHandlers


def post_amqp_password(handlers: DirectoryHandlers, request: Request) -> Response:
    """Replace the password of the caller's organisation. 202: the gateway applies it within seconds."""
    wanted = admission.amqp_password_request(request.json())
    handlers.amqp_passwords.replace(wanted.password_hash, by=request.principal)
    return Response.of(AmqpPassword(waits=True), status=202)


def amqp_password(handlers: DirectoryHandlers, request: Request) -> Response:
    """Return whether a new password waits for the gateway. Only the gateway gets its hash."""
    waiting = handlers.amqp_passwords.waiting(by=request.principal)
    shown = waiting if waiting and request.principal.is_gateway else None
    return Response.of(AmqpPassword(waits=waiting != "", password_hash=shown))


def amqp_password_applied(handlers: DirectoryHandlers, request: Request) -> Response:
    """Record that the broker has the password with this hash, as the gateway. A repetition succeeds."""
    applied = admission.amqp_password_request(request.json())
    handlers.amqp_passwords.applied(applied.password_hash, by=request.principal)
    return amqp_password(handlers, request)
