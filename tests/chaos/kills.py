"""SIGKILL at random moments, and the time until the hub works again."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import httpx

from admin.embedded_broker import LOOPBACK
from sandbox.hub_files import SERVICES
from sandbox.supervisor import Supervisor
from tests.journey.running_hub import RunningHub

BROKER = "broker"
VICTIMS = (*SERVICES, BROKER)
RECOVERY_SECONDS = 30.0
_GIVE_UP_SECONDS = 90.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Kill:
    """ready: seconds until the processes answered again; offered: until a referral submitted then was."""

    victims: tuple[str, ...]
    at: float
    ready: float
    offered: float


class Killer:
    """Kills processes in the order that a seed determines."""

    def __init__(self, hub: RunningHub, broker: Supervisor, amqp_port: int, random: Random) -> None:
        """broker: the supervisor of the broker alone."""
        self._hub, self._broker, self._amqp_port, self._random = hub, broker, amqp_port, random
        self._began = time.monotonic()

    def strike(self, probe: Callable[[], Callable[[], bool]]) -> Kill:
        """Kill one process, sometimes two at once; return when the hub has recovered.

        probe: submits a referral; its result says whether it has been offered. Raises TimeoutError.
        """
        victims = tuple(self._random.sample(VICTIMS, 2 if self._random.random() < 0.2 else 1))
        before = {victim: self._pid(victim) for victim in victims}
        began = time.monotonic()
        for pid in before.values():
            assert pid is not None, "the hub had recovered from the last kill"
            os.killpg(pid, signal.SIGKILL)
        was_offered = probe()
        ready = self._until(lambda: all(self._is_back(v, before[v]) for v in victims), began)
        offered = self._until(was_offered, began)
        return Kill(victims=victims, at=began - self._began, ready=ready, offered=offered)

    def _until(self, holds: Callable[[], bool], began: float) -> float:
        while not holds():
            if time.monotonic() - began > _GIVE_UP_SECONDS:
                raise TimeoutError(f"no recovery within {_GIVE_UP_SECONDS:.0f} s")
            time.sleep(0.02)
        return time.monotonic() - began

    def _is_back(self, victim: str, killed: int | None) -> bool:
        return self._pid(victim) not in (None, killed) and self._ready(victim)

    def _pid(self, victim: str) -> int | None:
        """Return the pid; None while the supervisor restarts the process."""
        assert self._hub.hub.supervisor is not None
        statuses = (*self._broker.status(), *self._hub.hub.supervisor.status())
        (pid,) = [status.pid for status in statuses if status.name == victim]
        return pid

    def _ready(self, victim: str) -> bool:
        try:
            if victim == BROKER:
                socket.create_connection((LOOPBACK, self._amqp_port), timeout=1).close()
                return True
            return self._hub.operations(victim, "/readyz").status_code == 200
        except (httpx.TransportError, OSError):
            return False
