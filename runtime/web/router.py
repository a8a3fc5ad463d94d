"""The WSGI application of a service: finds the route, checks the caller, reads the body, answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map, RequestRedirect, Rule

from runtime.access.tokens import Principal, TokenVerifier, permit
from runtime.telemetry import trace
from runtime.telemetry.metrics import HttpMetrics
from runtime.web import problems
from runtime.web.body import announces_more_than, read_body
from runtime.web.listener import close_after_response
from runtime.web.path import decode_path
from runtime.web.request import Request, parse_parameters, require_known
from runtime.web.response import Response

_STATUS_LINES: Final = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
_NO_ROUTE: Final = "(none)"
_UNREAD_TOLERATED: Final = 64 * 1024  # a refused request's body that is read for the connection's sake


class RequestHandler(Protocol):
    """Runs the handler of a route in a worker and gives its answer. Never raises."""

    def __call__(self, request: Request, at: trace.Trace, /) -> Response: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One address. roles: any of them may call; None for everybody. limit: bytes of body.

    query: the parameters that it takes.
    """

    method: str
    url: str  # werkzeug's template: `/v1/referrals/<id>`
    roles: frozenset[str] | None
    limit: int
    handle_request: RequestHandler
    query: frozenset[str] = frozenset()


class Router:
    """Answers every request with an `Response` or a problem; nothing it calls can end a connection."""

    def __init__(
        self,
        routes: Iterable[Route],
        verifier: TokenVerifier,
        metrics: HttpMetrics,
    ) -> None:
        # An address has one spelling: nothing is merged, nothing redirects.
        url_map = Map(
            (Rule(route.url, methods=[route.method], endpoint=route) for route in routes),
            merge_slashes=False,
        )
        self._adapter = url_map.bind("")
        self._verifier = verifier
        self._metrics = metrics

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        started = time.perf_counter()
        at = trace.continued(environ.get("HTTP_TRACEPARENT"))
        with trace.attached(at), self._metrics.in_flight.track_inprogress():
            template, answer = self._answer(environ, at)
        headers = {"traceparent": str(at), "Cache-Control": "no-store", **answer.headers}
        method = environ["REQUEST_METHOD"]
        body = [answer.body]
        if method == "HEAD":  # eventlet would send the body all the same
            headers["Content-Length"] = str(len(answer.body))
            body = []
        start_response(_STATUS_LINES[answer.status], list(headers.items()))
        # A method or path as sent is the caller's text: only what a route declares is a label.
        label = method if template != _NO_ROUTE else _NO_ROUTE
        self._metrics.observe(label, template, answer.status, time.perf_counter() - started)
        return body

    def _answer(self, environ: dict[str, Any], at: trace.Trace) -> tuple[str, Response]:
        template = _NO_ROUTE
        body_read = reading = False
        try:
            path = decode_path(environ["RAW_PATH_INFO"])
            route, values = self._adapter.match(path, environ["REQUEST_METHOD"])
            template = route.url
            caller = self._caller(environ, route)
            query = parse_parameters(environ.get("QUERY_STRING", ""))
            require_known(query, route.query)
            reading = True
            body = read_body(environ, route.limit)
            reading = False
            body_read = True
            request = Request(
                method=route.method,
                route=route.url,
                path_params=values,
                query_params=query,
                headers=_headers(environ),
                body=body,
                caller=caller,
            )
            answer = route.handle_request(request, at)
        except MethodNotAllowed as fault:
            answer = problems.method_not_allowed(list(fault.valid_methods or ()))
        except (NotFound, RequestRedirect):
            answer = problems.not_found()
        except Exception as fault:  # noqa: BLE001 - every fault has an answer
            answer = problems.response_for(fault)
        # A body that broke off in the middle leaves the connection at no known place.
        if reading or (not body_read and announces_more_than(environ, _UNREAD_TOLERATED)):
            close_after_response(environ)
        return template, answer

    def _caller(self, environ: dict[str, Any], route: Route) -> Principal | None:
        if route.roles is None:
            return None
        principal = self._verifier.authenticate(environ.get("HTTP_AUTHORIZATION"))
        permit(principal, route.roles)
        return principal


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    headers["content-type"] = environ.get("CONTENT_TYPE", "")
    return headers
