"""Conversion of errors to RFC 9457 responses."""

from __future__ import annotations

import logging
from typing import Final

import amqp.exceptions
import kombu.exceptions
import orjson
import sqlalchemy.exc

from contracts.errors import Refused, Unavailable, drop_frames, problem
from runtime.telemetry import trace
from runtime.web.response import Response

_log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"

# The broker or the database is unreachable: temporary faults, whichever library raised them.
_OUTAGES: Final[tuple[type[Exception], ...]] = (
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.TimeoutError,
    kombu.exceptions.OperationalError,
    amqp.exceptions.ConnectionError,
    amqp.exceptions.RecoverableChannelError,
    ConnectionError,
    TimeoutError,
)

# RFC 6750 §3: the code a bearer challenge gives besides the problem.
_CHALLENGES: Final = {
    "missing-token": 'Bearer realm="kopuro"',
    "invalid-token": 'Bearer realm="kopuro", error="invalid_token"',
    "expired-token": 'Bearer realm="kopuro", error="invalid_token", error_description="expired"',
    "invalid-client": 'Basic realm="kopuro"',
    "clock-skew": 'Basic realm="kopuro"',
}


def response_for(exception: Exception) -> Response:
    """Return the response to a request that raised `exception`. Logs server faults, never content.

    The exception keeps neither its traceback nor its cause: a frame in it may hold the exception.
    """
    try:
        return _response_for(exception)
    finally:
        drop_frames(exception)


def _response_for(exception: Exception) -> Response:
    if isinstance(exception, Refused):
        return _refused(exception)
    if isinstance(exception, Unavailable):
        return _unavailable(exception)
    if isinstance(exception, _OUTAGES):
        _log.warning("request failed: a dependency is unavailable", exc_info=exception)
        return _unavailable(Unavailable("A dependency of this service is unavailable."))
    _log.error("request failed", exc_info=exception)
    body = problem("internal", "The request failed. Quote the reference when you report it.")
    at = trace.current()
    if at is not None:
        body["reference"] = at.trace_id  # the log line carries the same trace id
    return _response(body)


def not_found() -> Response:
    """Return the response for a path that matches no route."""
    detail = "This service has no resource at this path. `/reference` names the service of each path."
    return _response(problem("not-found", detail))


def method_not_allowed(allowed: list[str]) -> Response:
    """Return the response for a method that the path does not support. RFC 9110 §15.5.6 requires Allow."""
    methods = ", ".join(sorted(allowed))
    return _response(problem("method-not-allowed", f"This resource supports {methods}."), {"Allow": methods})


def _refused(refused: Refused) -> Response:
    challenge = _CHALLENGES.get(refused.slug) if refused.status == 401 else None
    headers = {"WWW-Authenticate": challenge} if challenge else {}
    if refused.slug == "unsupported-content-encoding":
        headers["Accept-Encoding"] = "identity"  # RFC 9110 §12.5.3
    return _response(refused.problem(), headers)


def _unavailable(unavailable: Unavailable) -> Response:
    return _response(unavailable.problem(), {"Retry-After": str(unavailable.retry_after)})


def _response(body: dict[str, object], headers: dict[str, str] | None = None) -> Response:
    status = body["status"]
    assert isinstance(status, int)
    return Response(status, orjson.dumps(body), {"Content-Type": MEDIA_TYPE, **(headers or {})})
