"""What one service process is made of, put together by the service's `bootstrap.build`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from prometheus_client import CollectorRegistry

from runtime.access.tokens import TokenVerifier
from runtime.background import Background
from runtime.clock import Clock, SystemClock
from runtime.messaging.messenger import Messenger
from runtime.settings import Settings
from runtime.telemetry.metrics import process_registry

# The key of nameko's configuration under which the extensions find the application.
APPLICATION: Final = "KOPURO_APPLICATION"


class Closeable(Protocol):
    """Something to close when the process ends."""

    def close(self) -> None: ...


ReadinessCheck = tuple[str, Callable[[], str | None]]  # a name; None when ready, else the reason


H = TypeVar("H")


@dataclass(kw_only=True, slots=True)
class Application(Generic[H]):
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
    handlers: H
    verifier: TokenVerifier
    messenger: Messenger | None = None  # None: the service consumes and publishes nothing
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
