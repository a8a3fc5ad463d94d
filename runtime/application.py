"""What one service process is made of, put together by the service's `bootstrap.build`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from prometheus_client import CollectorRegistry

from runtime.clock import Clock, SystemClock
from runtime.settings import Settings
from runtime.telemetry.metrics import process_registry
from runtime.web.tokens import TokenVerifier

# The key of nameko's configuration under which the extensions find the application.
APPLICATION: Final = "KOPURO_APPLICATION"


class Spawn(Protocol):
    """Runs a function in a greenlet of its own; if the function raises, the process ends."""

    def __call__(self, function: Callable[[], None], /) -> object: ...


class Background(Protocol):
    """Work beside the requests: a relay, a poll for deadlines."""

    def start(self, spawn: Spawn, /) -> None:
        """Begin; called once, when the process starts, and must not block."""
        ...

    def stop(self) -> None:
        """End, and return when ended; called after the last request has been answered."""
        ...


class Closeable(Protocol):
    """Something to close when the process ends."""

    def close(self) -> None: ...


ReadinessCheck = tuple[str, Callable[[], str | None]]  # a name; None when ready, else the reason


@dataclass(kw_only=True, slots=True)
class Application:
    """One service process: its settings, its handlers, and what starts and stops with it.

    database: closed last; handlers: what the service's methods call, of the service's own type.
    readiness: every check must answer within two seconds; /readyz is 503 while one gives a reason.
    warnings: what /readyz tells besides, and operators must see to; the process goes on all the same.
    releases: called when the process begins to stop and before requests in flight are awaited;
    what waits on purpose (a long poll) is woken here.
    """

    name: str
    settings: Settings
    database: Closeable
    handlers: Any
    verifier: TokenVerifier
    messenger: Any = None  # runtime.messaging.messenger.Messenger; a service may do without messages
    readiness: list[ReadinessCheck] = field(default_factory=list)
    warnings: list[ReadinessCheck] = field(default_factory=list)
    background: list[Background] = field(default_factory=list)
    releases: list[Callable[[], None]] = field(default_factory=list)
    registry: CollectorRegistry = field(default_factory=process_registry)
    clock: Clock = field(default_factory=SystemClock)
    stopping: bool = False

    def release(self) -> None:
        """Begin to stop: /readyz turns 503 and long waits are woken."""
        if not self.stopping:
            self.stopping = True
            for wake in self.releases:
                wake()

    def close(self) -> None:
        """Give back what the process holds. Called once, when nothing runs any more."""
        self.database.close()
