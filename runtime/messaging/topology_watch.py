"""Checks that the broker has the hub's exchanges, queues and bindings, which a deployment step declares.

It also reports what somebody else has declared, which stops nothing. Bindings are compared, and strays
listed, where `KOPURO_BROKER_MANAGEMENT_URI` is set: AMQP cannot list them.

A fact published while a queue or its binding is missing would be lost for that queue's service: the broker
reports only a message that reaches no queue at all. So nothing is published until everything exists. This
also holds while the management API is silent after it had named a missing binding: what waits in the outbox
is not lost. A service that starts then publishes, because it knows of no missing binding.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from prometheus_client import Gauge

from contracts.topology import Topology
from runtime.messaging.ports import BrokerUnavailable, QueueReader
from runtime.messaging.stalled_loops import StalledLoops

_log = logging.getLogger(__name__)

# Between two checks while everything exists.
CHECK_SECONDS = 20.0
_NAMES_SHOWN = 5
_LOOP = "watch of the broker"
_UNNOTICED = (
    "A repair of bindings is therefore not noticed: afterwards restore the API or restart the service."
)


class TopologyWatch:
    """One process's knowledge of the topology at the broker. Only one thread may call `look`."""

    def __init__(
        self,
        reader: QueueReader,
        topology: Topology,
        *,
        lacking: Gauge | None = None,
        strays: Gauge | None = None,
        stalled_loops: StalledLoops | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """lacking: a gauge with the label `name`, set to 1 for each missing exchange, queue or binding.

        strays: set to the number of those that the topology does not declare.

        stalled_loops: notified while the broker is unreachable. It may be unreachable for new connections
        only: consumers with open connections then notice nothing.
        """
        self._reader = reader
        self._topology = topology
        self._lacking = lacking
        self._stray_count = strays
        self._stalled_loops = stalled_loops or StalledLoops()
        self._now = now
        self._seen = threading.Event()
        self._missing: tuple[str, ...] = ()
        self._strays: tuple[str, ...] = ()
        self._uncompared: str | None = None
        self._checked_at: float | None = None

    @property
    def is_complete(self) -> bool:
        """Return whether the last check found everything."""
        return self._seen.is_set() and not self._missing

    def look(self) -> None:
        """Check if it is time to; at once while something is missing. Failures to connect change nothing."""
        if self._checked_at is not None and self._now() < self._checked_at + CHECK_SECONDS:
            return
        try:
            missing = self._reader.missing(self._topology)
            strays = self._reader.strays(self._topology)
        except BrokerUnavailable as error:
            _log.warning("broker unreachable", extra={"reason": str(error)})
            self._stalled_loops.stalled(_LOOP, str(error))
            return
        self._stalled_loops.resumed(_LOOP)
        if missing and missing != self._missing:
            _log.error("the broker lacks exchanges, queues or bindings", extra={"reason": ", ".join(missing)})
        if strays and strays != self._strays:
            _log.error("the broker has undeclared queues or exchanges", extra={"reason": _listed(strays)})
        if self._stray_count is not None:
            self._stray_count.set(len(strays))
        self._strays = strays
        self._count(missing)
        self._missing = missing
        self._uncompared = self._reader.uncompared()
        self._checked_at = None if missing else self._now()
        if not missing:
            self._seen.set()

    def _count(self, missing: tuple[str, ...]) -> None:
        if self._lacking is None:
            return
        for name in set(self._missing) - set(missing):
            self._lacking.remove(name)
        for name in missing:
            self._lacking.labels(name).set(1)

    def look_again(self) -> None:
        """Make the next `look` check at once."""
        self._checked_at = None

    def await_complete(self, seconds: float) -> bool:
        """Wait up to `seconds` until everything was there once; return whether it was."""
        return self._seen.wait(seconds)

    def obstacle(self) -> str | None:
        """Return what the broker lacks, and what to do about it; None when nothing is known to be missing."""
        if self._missing:
            shown = _listed(self._missing)
            lacks = f"The broker lacks {shown}: import the hub's definitions (`kopuro admin broker`)."
            return lacks if self._uncompared is None else f"{lacks} {self._uncompared} {_UNNOTICED}"
        return None

    def surplus(self) -> str | None:
        """Return what the broker has that the hub does not declare, and what to do about it."""
        if not self._strays:
            return None
        return (
            f"The broker has {_listed(self._strays)}, which the hub does not declare. Somebody may have "
            "declared it with a service's password: replace the password, then run "
            "`kopuro admin broker remove-strays`."
        )

    def unready(self) -> str | None:
        """Return None once everything was there, else the reason (a readiness check)."""
        if self._seen.is_set():
            return None
        return self.obstacle() or "The service has not reached the broker yet."


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
