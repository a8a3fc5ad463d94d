"""/metrics, /healthz and /readyz, on a separate port that partners cannot reach."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final

import eventlet
import orjson
from nameko.extensions import DependencyProvider
from prometheus_client import Gauge

from contracts.errors import Refused
from runtime.application import APPLICATION, Application, ReadinessCheck
from runtime.telemetry.exposition import exposition
from runtime.telemetry.logs import describe
from runtime.telemetry.metrics import ConnectionMetrics
from runtime.web.body import announces_more_than
from runtime.web.connections import OPERATIONS_LIMITS
from runtime.web.fair_turns import FairTurns
from runtime.web.listener import Listener
from runtime.web.protocol import close_after_response
from runtime.web.request import parse_parameters, require_known

CHECK_SECONDS: Final = 2.0
WATCH_SECONDS: Final = 2.0
ROUNDS_BETWEEN_WARNINGS = 10
_PATHS: Final = frozenset({"/metrics", "/healthz", "/readyz"})
_JSON: Final = ("Content-Type", "application/json")


class Operations(DependencyProvider):  # type: ignore[misc]  # nameko has no types
    """The operations port of a service. As a dependency it serves until the last request has ended."""

    listener: Listener | None = None
    _watch: Any = None  # the greenlet of `watch_readiness`

    def start(self) -> None:
        application: Application[Any] = self.container.config[APPLICATION]
        operations = OperationsApplication(application)
        self._watch = self.container.spawn_managed_thread(operations.watch_readiness, identifier="readiness")
        self.listener = Listener(
            application.settings.operations_address,
            operations,
            self.container.spawn_managed_thread,
            limits=OPERATIONS_LIMITS,
            metrics=ConnectionMetrics(application.registry, "operations"),
        )
        self.listener.open()

    def stop(self) -> None:
        if self._watch is not None:
            self._watch.kill()
        if self.listener is not None:
            self.listener.drain()

    def kill(self) -> None:
        if self.listener is not None:
            self.listener.close()


class OperationsApplication:
    """The WSGI application of the operations port."""

    def __init__(self, application: Application[Any]) -> None:
        self._application = application
        # A connection that sends its next requests ahead never waits for one: it would hold the process.
        self._turns = FairTurns()
        self._unready = Gauge(
            "kopuro_unready",
            "1 while a check of /readyz fails, 0 while it passes; looked up every two seconds",
            ("check",),
            registry=application.registry,
        )
        for name in ("process", *(name for name, _ in application.readiness)):
            self._unready.labels(name)
        self._warned = Gauge(
            "kopuro_warned",
            "1 while a warning of /readyz is given, 0 while it is not; looked up every twenty seconds",
            ("check",),
            registry=application.registry,
        )
        for name, _ in application.warnings:
            self._warned.labels(name)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        self._turns.wait(environ["REMOTE_ADDR"])
        if announces_more_than(environ, 0):  # no resource of this port reads a body
            close_after_response(environ)
        path = environ["RAW_PATH_INFO"]
        if path not in _PATHS:
            return _respond(start_response, "404 Not Found", {"status": "not found"})
        if environ["REQUEST_METHOD"] != "GET":
            return _respond(start_response, "405 Method Not Allowed", {"status": "use GET"})
        if (unknown := _unknown_parameter(environ.get("QUERY_STRING", ""))) is not None:
            return _respond(start_response, "400 Bad Request", {"status": unknown})
        if path == "/metrics":
            body, media_type = exposition(self._application.registry, environ.get("HTTP_ACCEPT", ""))
            start_response("200 OK", [("Content-Type", media_type)])
            return [body]
        if path == "/healthz":
            return _respond(start_response, "200 OK", {"status": "ok", "service": self._application.name})
        checks = self.readiness()
        ready = not any(checks.values())
        status = "200 OK" if ready else "503 Service Unavailable"
        shown = {"ready": ready, "checks": _stated(checks), "warnings": _stated(self.warnings())}
        return _respond(start_response, status, shown)

    def readiness(self) -> dict[str, str | None]:
        """Return every check by name: None when ready, else the reason."""
        checks: dict[str, str | None] = {"process": "stopping" if self._application.stopping else None}
        return checks | _results(self._application.readiness)

    def watch_readiness(self) -> None:
        """Keep the figures of checks and warnings up to date, until the process ends.

        A scrape must not wait for a check that hangs.
        """
        for number in itertools.count():
            self.look(warnings=number % ROUNDS_BETWEEN_WARNINGS == 0)
            eventlet.sleep(WATCH_SECONDS)

    def look(self, *, warnings: bool) -> None:
        """Look the checks up for the figures. warnings: the warnings too."""
        for name, reason in self.readiness().items():
            self._unready.labels(name).set(reason is not None)
        if warnings:
            for name, reason in self.warnings().items():
                self._warned.labels(name).set(reason is not None)

    def warnings(self) -> dict[str, str | None]:
        """Return every warning by name, for operators to act on; None when there is none."""
        return _results(self._application.warnings)


def _stated(results: dict[str, str | None]) -> dict[str, str]:
    """Return the results for a reader: "ok" where there is no reason."""
    return {name: "ok" if reason is None else reason for name, reason in results.items()}


def _results(named: list[ReadinessCheck]) -> dict[str, str | None]:
    checks: dict[str, str | None] = {}
    for name, check in named:
        checks[name] = f"did not answer within {CHECK_SECONDS:.0f} s"
        with eventlet.Timeout(CHECK_SECONDS, exception=False):
            try:
                checks[name] = check()
            except Exception as fault:  # noqa: BLE001 - a failed check is its result
                checks[name] = describe(fault)
    return checks


def _unknown_parameter(query: str) -> str | None:
    """Return why the query is refused, or None: no resource of this port takes parameters."""
    try:
        require_known(parse_parameters(query), ())
    except Refused as refused:
        return refused.detail
    return None


def _respond(start_response: Callable[..., Any], status: str, document: dict[str, Any]) -> list[bytes]:
    start_response(status, [_JSON])
    return [orjson.dumps(document)]
