"""`@resource`: the nameko entrypoint for HTTP requests.

    @resource("POST", "/v1/things", roles=frozenset({"partner"}))
    def add_thing(self, request: Request) -> Response:
        return api.add_thing(self.handlers, request)

The method runs as a nameko worker, in its own greenlet; it may wait (a long poll) if the wait yields to other
greenlets. Its exceptions become problems before nameko sees them: nameko would log the exception's text and
send it to the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import wraps
from typing import Any, TypeVar

from eventlet.event import Event
from nameko.exceptions import ContainerBeingKilled
from nameko.extensions import Entrypoint, ProviderCollector, SharedExtension, register_entrypoint

from contracts.errors import Defect, Unavailable
from runtime.access.caller_limits import Share
from runtime.access.gate import Gate
from runtime.access.held_refusals import HeldRefusals
from runtime.access.rate_limits import RequestRates, Work
from runtime.access.reads import Reads
from runtime.application import APPLICATION, Application
from runtime.telemetry import trace
from runtime.telemetry.metrics import ConnectionMetrics, HttpMetrics
from runtime.web import problems
from runtime.web.body import DEFAULT_LIMIT
from runtime.web.connections import open_file_limit, public_limits
from runtime.web.listener import Listener
from runtime.web.operation import Operation, Parameter
from runtime.web.request import Request
from runtime.web.response import Response
from runtime.web.router import FaultResponse, Route, Router

S = TypeVar("S")
Method = Callable[[S, Request], Response]


def resource(
    method: str,
    url: str,
    *,
    roles: frozenset[str] | None,
    limit: int = DEFAULT_LIMIT,
    query: Collection[Parameter | str] = (),
    takes_key: bool = False,
    open_to_excluded: bool = False,
    reads: Reads | None = None,
    share: Share | None = None,
    work: Work | None = None,
    operation: Operation | None = None,
    fault_response: FaultResponse = problems.response_for,
) -> Callable[[Method[S]], Method[S]]:
    """Make the decorated method handle `method` on `url` (`/v1/things/<uuid:id>`).

    url: states the form of each id (`runtime/web/path.py`); an id of another form is refused with 404.
    roles: the caller's token must have one of them; None makes the resource public.
    limit: the largest body in bytes; a larger one is refused with 413.
    query: the permitted query parameters; any other is refused with 400 and its name. A bare name is not
    published, and a test names the resource.
    takes_key: whether the method honours the Idempotency-Key; otherwise a request with one is refused.
    open_to_excluded: organisations that are suspended, inactive or have left may call it too, and the method
    decides what they get; every other resource refuses them.
    reads: the facts of persons that the response contains; every GET resource of a service declares it. With
    `Reads.recorded` the response leaves only after the read by staff is committed to the outbox; when that
    fails, the caller gets the error instead.
    share: what the requests of one caller are counted in (`runtime/access/caller_limits.py`); by default
    reads or changes, by the method.
    work: what the requests submit, each line of a batch on its own; the handler counts it in the
    application's `submissions`. A caller that has none left is refused before the body is read.
    operation: the body, responses and refusals, as the OpenAPI document publishes them. A response that it
    does not declare becomes a 500, as a defect of ours.
    fault_response: returns the response to an exception; by default an RFC 9457 problem.
    """
    parameters = tuple(query)

    def register(function: Method[S]) -> Method[S]:
        @wraps(function)
        def handle_request(service: S, request: Request, at: trace.Trace | None = None) -> Response:
            who = request.caller
            caller = None if who is None else (who.client_id, who.token_id)
            with trace.attached(at or trace.continued(None), caller=caller):
                try:
                    response = function(service, request)
                    if operation is not None:
                        response.require_declared_by(operation)
                    if reads is Reads.recorded:
                        _record(service, request, response)
                except Exception as fault:  # noqa: BLE001 - every fault has a response
                    response = fault_response(fault)
                return response if operation is None else response.with_notices_of(operation)

        register_entrypoint(
            handle_request,
            Resource(
                method,
                url,
                roles,
                limit,
                parameters,
                takes_key,
                open_to_excluded,
                reads,
                share,
                work,
                operation,
                fault_response,
            ),
        )
        return handle_request

    return register


def _record(service: Any, request: Request, response: Response) -> None:
    application: Application[Any] = service.application
    if application.reads is None:
        raise Defect(f"{application.name} has no recorder of reads.")
    resource = f"{request.method} {request.route}"
    application.reads.record_response(request.principal, resource, response.read)


class WebServer(ProviderCollector, SharedExtension):  # type: ignore[misc]  # nameko has no types
    """The service's HTTP port, shared by all of its resources."""

    listener: Listener | None = None

    def start(self) -> None:
        if self.listener is None:
            application: Application[Any] = self.container.config[APPLICATION]
            settings = application.settings
            held = HeldRefusals()
            application.releases.append(held.release)
            router = Router(
                [resource.route() for resource in self._providers],
                Gate(application.verifier, application.is_excluded),
                HttpMetrics(application.registry),
                RequestRates(settings.requests_per_minute),
                application.spans,
                settings.proxies,
                application.submissions,
                held,
            )
            self.listener = Listener(
                settings.http_address,
                router,
                self.container.spawn_managed_thread,
                limits=public_limits(
                    open_file_limit(),
                    total=settings.connections,
                    per_address=settings.connections_per_address,
                ),
                metrics=ConnectionMetrics(application.registry, "public"),
            )
            self.listener.open()

    def drain(self) -> None:
        """Stop accepting requests; return when none is in progress."""
        if self.listener is not None:
            self.container.config[APPLICATION].release()
            self.listener.drain()

    def kill(self) -> None:
        if self.listener is not None:
            self.listener.close()


class Resource(Entrypoint):  # type: ignore[misc]  # nameko has no types
    """The entrypoint of one method and path of a service."""

    server = WebServer()

    def __init__(
        self,
        method: str,
        url: str,
        roles: frozenset[str] | None,
        limit: int,
        parameters: tuple[Parameter | str, ...],
        takes_key: bool,
        open_to_excluded: bool,
        reads: Reads | None,
        share: Share | None,
        work: Work | None,
        operation: Operation | None,
        fault_response: FaultResponse,
    ) -> None:
        super().__init__()
        self.reads = reads
        self.parameters = parameters
        self.operation = operation
        self._method = method
        self._url = url
        self._roles = roles
        self._limit = limit
        self._takes_key = takes_key
        self._open_to_excluded = open_to_excluded
        self._share = share
        self._work = work
        self._fault_response = fault_response

    def setup(self) -> None:
        self.server.register_provider(self)

    def stop(self) -> None:
        # nameko itself would accept requests until every worker had ended.
        self.server.drain()
        self.server.unregister_provider(self)

    def route(self) -> Route:
        """Return this resource as a route of the router."""
        return Route(
            method=self._method,
            url=self._url,
            roles=self._roles,
            limit=self._limit,
            query=frozenset(one if isinstance(one, str) else one.name for one in self.parameters),
            takes_key=self._takes_key,
            open_to_excluded=self._open_to_excluded,
            share=self._share,
            work=self._work,
            fault_response=self._fault_response,
            operation=self.operation,
            handle_request=self._respond,
        )

    def _respond(self, request: Request, at: trace.Trace) -> Response:
        done = Event()

        def deliver(_worker: Any, result: Response | None, exc_info: Any) -> tuple[Any, Any]:
            done.send(result, exc_info)
            return result, exc_info

        try:
            self.container.spawn_worker(self, (request, at), {}, handle_result=deliver)
        except ContainerBeingKilled:
            raise Unavailable("The service is stopping.") from None
        response: Response = done.wait()
        return response
