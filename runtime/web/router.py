"""The WSGI application of a service: routing, authorisation, body reading and the response."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPMethod, HTTPStatus
from typing import Any, Final, Protocol

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map, RequestRedirect, Rule, UnicodeConverter

from contracts.errors import Refused
from runtime.access.address_counters import counter_of
from runtime.access.caller_limits import CallerLimits, Share
from runtime.access.gate import Gate
from runtime.access.held_refusals import HeldRefusals
from runtime.access.rate_limits import RequestRates, SubmissionRates, Work
from runtime.access.token_buckets import rate_headers
from runtime.access.tokens import Principal
from runtime.telemetry import trace
from runtime.telemetry.metrics import HttpMetrics
from runtime.telemetry.spans import Spans, request_span
from runtime.web import problems
from runtime.web.arriving_lines import ArrivingLines
from runtime.web.body import announces_more_than, read_body, take_any
from runtime.web.client_address import Network, client_address
from runtime.web.connections import origin_of
from runtime.web.fair_turns import FairTurns
from runtime.web.operation import NDJSON, Operation
from runtime.web.path import ID_FORMS, decode_path, id_forms_of, require_id_forms, template_of
from runtime.web.protocol import close_after_response, may_make_room
from runtime.web.request import Request, parse_parameters, require_known
from runtime.web.response import Response

# Returns the response to a request that raised the exception. Never raises.
FaultResponse = Callable[[Exception], Response]

_STATUS_LINES: Final = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
_NO_ROUTE: Final = "(none)"
_METHODS: Final = frozenset(HTTPMethod)
# Refusals that a caller may meet again if it repeats the request without a change or a pause.
_HELD: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS})
# Headers that make a change conditional (RFC 9110 §13.1).
_PRECONDITIONS: Final = ("If-Match", "If-None-Match", "If-Unmodified-Since")
_UNREAD_TOLERATED: Final = 64 * 1024  # a refused body up to this size is read to keep the connection
# A caller that was admitted longer ago is admitted again once its body is there. A body may take minutes, in
# which its client may be revoked or its organisation suspended.
_ADMITTED_SECONDS: Final = 0.25
# Requests that have waited in their handlers, such as long polls, and go on in one round of the event loop.
# One message wakes all polls of a mailbox, and one revoked client those of all. Each then needs about half a
# millisecond.
RESUMED_IN_A_ROUND: Final = 8
_ALL: Final = "all callers"


class _MatchedRule(Rule):
    """A rule that matches paths and builds none.

    werkzeug compiles two functions for each rule, which build its URLs: nine tenths of the time of a Map.
    """

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        return _build_nothing


def _build_nothing(*_: object, **__: object) -> tuple[str, str]:
    raise NotImplementedError("the router builds no URLs")


class RequestHandler(Protocol):
    """Runs a route's handler in a worker and returns its response. Never raises."""

    def __call__(self, request: Request, at: trace.Trace, /) -> Response: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One method of a path. roles: the roles that may call it, None for a public route.

    limit: the largest body in bytes. query: the permitted query parameters. takes_key: whether a repetition
    with the same Idempotency-Key has no second effect. open_to_excluded: excluded organisations may call it;
    the handler decides what they get. share: what the requests of one caller are counted in. work: what its
    requests submit, None for nothing. fault_response: returns the response to a request of the route that
    raised an exception.
    """

    method: str
    url: str  # with the form of each id: `/v1/referrals/<uuid:id>`
    roles: frozenset[str] | None
    limit: int
    handle_request: RequestHandler
    query: frozenset[str] = frozenset()
    takes_key: bool = False
    open_to_excluded: bool = False
    share: Share | None = None  # None: reads or changes, by the method
    work: Work | None = None
    fault_response: FaultResponse = problems.response_for
    operation: Operation | None = field(default=None, compare=False)  # None: any body is taken

    @property
    def template(self) -> str:
        """Return the URL as metrics and recorded reads name it: `/v1/referrals/<id>`."""
        return template_of(self.url)

    @property
    def takes_lines(self) -> bool:
        """Return whether the body is a batch, one document a line."""
        taken = None if self.operation is None else self.operation.body
        return taken is not None and taken.media_type == NDJSON

    @property
    def counted_in(self) -> Share:
        """Return the share of the caller's requests."""
        return self.share or (Share.read if self.method == "GET" else Share.change)


class Router:
    """Answers every request with a `Response` or a problem; no exception reaches the connection."""

    def __init__(
        self,
        routes: Iterable[Route],
        gate: Gate,
        metrics: HttpMetrics,
        rates: RequestRates | None = None,
        spans: Spans | None = None,
        proxies: Collection[Network] = (),
        submissions: SubmissionRates | None = None,
        held: HeldRefusals | None = None,
    ) -> None:
        """rates: the limit of each caller's requests; None: no limit and no headers of it.

        spans: receives a span of each answered request; None when tracing is off. proxies: the networks of
        the proxies whose `X-Forwarded-For` is read. submissions: the limit of what each caller submits; the
        handlers count it. held: delays the refusals of callers that get many; None: all are sent at once.
        """
        # Each path has one spelling: slashes are not merged, and nothing redirects. Any text
        # matches an id here; its form is checked after the token: without one, every id gets a 401.
        url_map = Map(
            (
                _MatchedRule(
                    route.url,
                    methods=[route.method],
                    endpoint=(route, route.template, id_forms_of(route.url)),
                )
                for route in routes
            ),
            merge_slashes=False,
            converters=dict.fromkeys(ID_FORMS, UnicodeConverter),
        )
        self._adapter = url_map.bind("")
        self._gate = gate
        self._metrics = metrics
        self._limits = CallerLimits()
        self._rates = rates
        self._spans = spans
        self._proxies = proxies
        self._submissions = submissions
        self._held = held
        self._turns = FairTurns()
        self._resumed_of_caller = FairTurns()
        self._resumed_of_all = FairTurns(RESUMED_IN_A_ROUND)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        started, started_at = time.perf_counter(), time.time_ns()
        sent = environ.get("HTTP_TRACEPARENT")
        origin = self._origin(environ)
        self._turns.wait(origin)
        at = trace.continued(sent)
        with trace.attached(at), self._metrics.in_flight.track_inprogress():
            template, response, caller = self._respond(environ, origin, at)
        headers = {"traceparent": str(at), "Cache-Control": "no-store", **response.headers}
        method = environ["REQUEST_METHOD"]
        body = [response.body]
        if method == "HEAD":  # eventlet would still send the body
            headers["Content-Length"] = str(len(response.body))
            body = []
        # The method and path as sent are caller input, so only declared routes become labels.
        label = method if template != _NO_ROUTE else _NO_ROUTE
        seconds = time.perf_counter() - started
        self._metrics.observe(label, template, response.status, seconds, trace_id=at.trace_id)
        if self._spans is not None and self._spans.samples(at):
            self._spans.add(
                request_span(
                    at,
                    trace.parse(sent),
                    method=label,
                    route=template,
                    status=response.status,
                    started=started_at,
                    ended=started_at + int(seconds * 1e9),
                )
            )
        if response.status in _HELD:
            self._hold(environ, origin, caller)
        start_response(_STATUS_LINES[response.status], list(headers.items()))
        return body

    def _hold(self, environ: dict[str, Any], origin: str, caller: Principal | None) -> None:
        """Delay the refusal of a caller that gets many of them, or close its connection."""
        if self._held is None:
            return
        name = None if caller is None else caller.id
        seconds = self._held.seconds_for(name, origin)
        if seconds:
            with self._metrics.held.track_inprogress(), may_make_room(environ):
                is_held = self._held.hold(name, origin, seconds)
            if not is_held:
                close_after_response(environ)

    def _respond(
        self, environ: dict[str, Any], origin: str, at: trace.Trace
    ) -> tuple[str, Response, Principal | None]:
        """Return the route's template, the response, and the caller if the request has a valid token."""
        template = _NO_ROUTE
        caller: Principal | None = None
        work: Work | None = None
        fault_response: FaultResponse = problems.response_for
        counted = False
        body_read = reading = False
        try:
            _require_implemented(environ["REQUEST_METHOD"])
            path = decode_path(environ["RAW_PATH_INFO"])
            (route, template, id_forms), values = self._adapter.match(path, environ["REQUEST_METHOD"])
            fault_response = route.fault_response
            caller, admitted = self._caller(environ, route), time.monotonic()
            counted, work = caller is not None and self._rates is not None, route.work
            self._take(caller, route, origin)
            require_id_forms(values, id_forms)
            query = parse_parameters(environ.get("QUERY_STRING", ""))
            require_known(query, route.query)
            _refuse_unsupported_key(environ, route)
            _refuse_unsupported_precondition(environ, route)
            with self._slot(caller, route):
                # Before the body is read: what it costs to refuse is bounded. After the wait for the slot:
                # others of the caller may have used up what was left.
                if caller is not None and work is not None and self._submissions is not None:
                    self._submissions.require_any(caller.id, work)
                count = self._counter(caller, route)
                reading = True
                check = ArrivingLines().add if route.takes_lines else take_any
                body = read_body(environ, route.limit, count, check)
                reading = False
                body_read = True
                if time.monotonic() - admitted > _ADMITTED_SECONDS:
                    caller = self._caller(environ, route)
                if route.operation is not None:
                    route.operation.require_expected(body, environ.get("CONTENT_TYPE", ""))
                request = Request(
                    method=route.method,
                    route=template,
                    path_params=values,
                    query_params=query,
                    headers=_headers(environ),
                    body=body,
                    caller=caller,
                    reauthorize=partial(self._admitted_again, environ, route, caller),
                    origin=origin,
                )
                with self._public_slot(caller, origin, route):
                    response = route.handle_request(request, at)
        except MethodNotAllowed as fault:
            response = problems.method_not_allowed(list(fault.valid_methods or ()))
        except (NotFound, RequestRedirect):
            response = problems.not_found()
        except Exception as fault:  # noqa: BLE001 - every fault has a response
            response = fault_response(fault)
        # After a partly read body, the start of the next request is unknown.
        # A client that waits for 100 (Continue) sends the body or the next request: which one is unknown too.
        tolerated = 0 if "HTTP_EXPECT" in environ else _UNREAD_TOLERATED
        if reading or (not body_read and announces_more_than(environ, tolerated)):
            close_after_response(environ)
        if counted:
            assert caller is not None
            response = replace(response, headers={**self._left(caller, work), **response.headers})
        return template, response, caller

    def _origin(self, environ: dict[str, Any]) -> str:
        peer, forwarded = environ["REMOTE_ADDR"], environ.get("HTTP_X_FORWARDED_FOR")
        return origin_of((client_address(peer, forwarded, self._proxies), 0))

    def _take(self, caller: Principal | None, route: Route, origin: str) -> None:
        """Count the caller's request, or that of its address at a public route. Raises RateLimited."""
        if self._rates is None or route.counted_in is Share.credentials:
            return
        if caller is None:
            self._rates.require_public(origin)
            return
        if not self._rates.take(caller.id):
            raise self._rates.refusal(caller.id)

    def _counter(self, caller: Principal | None, route: Route) -> Callable[[], object]:
        """Return what counts further pieces of a body. Raises RateLimited if earlier ones have overdrawn."""
        if caller is None or self._rates is None or route.counted_in is Share.credentials:
            return lambda: None
        if self._rates.is_overdrawn(caller.id):
            raise self._rates.refusal(caller.id)
        return partial(self._rates.use, caller.id)

    def _left(self, caller: Principal, work: Work | None) -> Mapping[str, str]:
        """Return the headers that say what is left."""
        assert self._rates is not None
        left = [self._rates.remaining(caller.id)]
        if work is not None and self._submissions is not None:
            left.append(self._submissions.remaining(caller.id, work))
        return rate_headers(*left)

    def _slot(self, caller: Principal | None, route: Route) -> AbstractContextManager[None]:
        return nullcontext() if caller is None else self._limits.slot(caller.id, route.counted_in)

    def _public_slot(
        self, caller: Principal | None, origin: str, route: Route
    ) -> AbstractContextManager[None]:
        """Hold a slot of the caller's address at a public route.

        Only once the body has been read: others behind the same address must not wait for a slow one.
        """
        if caller is not None:
            return nullcontext()
        return self._limits.slot(counter_of(origin), route.counted_in)

    def _admitted_again(self, environ: dict[str, Any], route: Route, caller: Principal | None) -> None:
        """Admit the caller of a request that has waited, once it is its turn to go on. Raises Refused."""
        if caller is not None:
            self._resumed_of_caller.wait(caller.id)
        self._resumed_of_all.wait(_ALL)
        self._caller(environ, route)

    def _caller(self, environ: dict[str, Any], route: Route) -> Principal | None:
        if route.roles is None:
            return None
        return self._gate.admit(
            environ.get("HTTP_AUTHORIZATION"), route.roles, open_to_excluded=route.open_to_excluded
        )


def _require_implemented(method: str) -> None:
    """Raise Refused for a method that no resource can have.

    RFC 9110 §9.1: methods are case-sensitive, so `get` is not GET; the router itself would accept it.
    """
    if method not in _METHODS:
        raise Refused(
            "method-not-implemented",
            "The method is unknown: use a registered one in upper case, such as GET.",
        )


def _refuse_unsupported_key(environ: dict[str, Any], route: Route) -> None:
    """Refuse an Idempotency-Key that would have no effect: its sender relies on it when it repeats."""
    if route.takes_key or route.method == "GET" or "HTTP_IDEMPOTENCY_KEY" not in environ:
        return
    raise Refused(
        "idempotency-key-unsupported",
        "An `Idempotency-Key` has no effect here: send the request without it. A precondition (`If-Match`,"
        " `If-None-Match: *`), where the resource takes one, makes a repetition safe.",
    )


def _refuse_unsupported_precondition(environ: dict[str, Any], route: Route) -> None:
    """Refuse a precondition of a change that would have no effect: its sender relies on it.

    RFC 9110 §13.2.1 lets a server ignore the precondition of a request that only reads.
    """
    if route.method == "GET":
        return
    declared = () if route.operation is None else route.operation.headers
    taken = {header.name for header in declared}
    for name in _PRECONDITIONS:
        if name not in taken and f"HTTP_{name.replace('-', '_').upper()}" in environ:
            raise Refused(
                "invalid-parameter",
                f"The resource does not check `{name}`. Send the request without the header.",
            )


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    headers["content-type"] = environ.get("CONTENT_TYPE", "")
    return headers
