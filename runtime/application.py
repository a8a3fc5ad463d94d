"""The parts of a service process, assembled by the service's `bootstrap.build`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from prometheus_client import CollectorRegistry

from runtime.access.rate_limits import SubmissionRates
from runtime.access.read_recorder import ReadRecorder
from runtime.access.standing import IsExcluded
from runtime.access.tokens import TokenVerifier
from runtime.background import Background
from runtime.clock import Clock, SystemClock
from runtime.messaging.messenger import Messenger
from runtime.messaging.ports import Delivery
from runtime.settings import Settings
from runtime.telemetry.metrics import process_registry
from runtime.telemetry.spans import Spans

# The key of nameko's configuration under which the extensions find the application.
APPLICATION: Final = "KOPURO_APPLICATION"


class Closeable(Protocol):
    """A resource to close when the process ends."""

    def close(self) -> None: ...


ReadinessCheck = tuple[str, Callable[[], str | None]]  # a name; None when ready, else the reason


H = TypeVar("H")


@dataclass(kw_only=True, slots=True)
class Application(Generic[H]):
    """One service process: settings, handlers, and the work that starts and stops with it.

    database: closed last; handlers: called by the service's methods, of the service's own type.
    verifier, is_excluded: the gate of the service's resources (`runtime/access/gate.py`).
    readiness: each check must return within two seconds; /readyz is 503 while one returns a reason.
    warnings: shown by /readyz for operators to act on; the process continues.
    releases: called when the process begins to stop, before it waits for requests in flight; they wake
    intentional waits (a long poll).
    """

    name: str
    settings: Settings
    database: Closeable
    handlers: H
    verifier: TokenVerifier
    is_excluded: IsExcluded
    messenger: Messenger | None = None  # None: the service consumes and publishes nothing
    spans: Spans | None = None  # None: tracing is off
    submissions: SubmissionRates | None = None  # None: the service takes no submissions
    reads: ReadRecorder | None = None  # None: no resource of the service shows staff facts of persons
    readiness: list[ReadinessCheck] = field(default_factory=list)
    warnings: list[ReadinessCheck] = field(default_factory=list)
    background: list[Background] = field(default_factory=list)
    releases: list[Callable[[], None]] = field(default_factory=list)
    registry: CollectorRegistry = field(default_factory=process_registry)
    clock: Clock = field(default_factory=SystemClock)
    stopping: bool = False

    def release(self) -> None:
        """Begin to stop: /readyz returns 503, and long polls are woken."""
        if not self.stopping:
            self.stopping = True
            for wake in self.releases:
                wake()

    def process_receipts(self, deliveries: Sequence[Delivery]) -> None:
        """Process audit's receipts for this service's events."""
        assert self.messenger is not None
        self.messenger.receipts.process(deliveries)

    def close(self) -> None:
        """Release the resources of the process. Called once, after all work has ended."""
        self.database.close()
