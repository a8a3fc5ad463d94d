"""Configuration and processes of a peer, the same for every framework."""

from __future__ import annotations

import os
import socket
import sqlite3
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from admin.embedded_broker import LOOPBACK
from admin.keys import public_half, sealing_key
from benchmarks.keepalive import Endpoint
from benchmarks.systems import Doors
from sandbox.ports import free_ports
from sandbox.process import ServiceProcess

SERVICES = ("audit", "delivery", "routing", "intake")
_DOORS = ("intake", "delivery")
READY_SECONDS = 40.0
_PREFIX = "KOPURO_PEER_"


@dataclass(frozen=True, kw_only=True, slots=True)
class PeerSettings:
    """amqp_uri; database: a path; ready: a file that the service creates once it consumes messages."""

    amqp_uri: str
    database: str
    door: Endpoint
    ready: str

    @classmethod
    def from_environment(cls) -> PeerSettings:
        """Read the settings. Raises KeyError for a missing variable."""
        values = {
            name: os.environ[_PREFIX + name.upper()] for name in ("amqp_uri", "database", "port", "ready")
        }
        return cls(
            amqp_uri=values["amqp_uri"],
            database=values["database"],
            door=Endpoint(host=LOOPBACK, port=int(values["port"])),
            ready=values["ready"],
        )


def announce_ready(settings: PeerSettings) -> None:
    """Report that every queue of the service is declared and consumed."""
    Path(settings.ready).touch()


class Peer:
    """The processes of a peer, one per service. See `systems.System`."""

    work_begins_with = "kopuro.offer.accepted.v1"

    def __init__(self, name: str, module: str, directory: Path, amqp_uri: str) -> None:
        """module: run as `python -m MODULE SERVICE`."""
        self.name = name
        directory.mkdir(parents=True, exist_ok=True)
        self._ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
        self._databases = {service: directory / f"{service}.sqlite" for service in SERVICES}
        self._ready = {service: directory / f"{service}.ready" for service in SERVICES}
        self._key = public_half(sealing_key())
        self._audit: sqlite3.Connection | None = None
        self._logs = {service: directory / f"{service}.log" for service in SERVICES}
        self._processes = {
            service: ServiceProcess(
                service,
                [sys.executable, "-m", module, service],
                environment={
                    "PATH": os.environ.get("PATH", os.defpath),
                    "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                    _PREFIX + "AMQP_URI": amqp_uri,
                    _PREFIX + "DATABASE": str(self._databases[service]),
                    _PREFIX + "PORT": str(self._ports[service]),
                    _PREFIX + "READY": str(self._ready[service]),
                },
                log=self._logs[service],
            )
            for service in SERVICES
        }

    def start(self) -> None:
        """Start all processes. Raises RuntimeError with the end of a log if one is not ready in time."""
        deadline = time.monotonic() + READY_SECONDS
        # Consumers start before publishers: an exchange keeps no messages for queues that come later.
        for process in self._processes.values():
            process.spawn()
        for service in SERVICES:
            while not self._is_ready(service):
                if time.monotonic() > deadline or not self._processes[service].running():
                    log = self._logs[service].read_text(encoding="utf-8", errors="replace")[-2000:]
                    raise RuntimeError(f"{self.name}: {service} is not ready\n{log}")
                time.sleep(0.05)

    def stop(self) -> None:
        if self._audit is not None:
            self._audit.close()
        for process in self._processes.values():
            process.ask_to_stop()
        for process in self._processes.values():
            process.stop(5.0)

    def doors(self) -> Doors:
        return Doors(
            intake=Endpoint(host=LOOPBACK, port=self._ports["intake"]),
            delivery=Endpoint(host=LOOPBACK, port=self._ports["delivery"]),
        )

    def token(self, organization: str) -> str:
        return organization

    def custody_key(self) -> Mapping[str, str]:
        return self._key

    def pids(self) -> Mapping[str, int]:
        return {name: process.pid for name, process in self._processes.items() if process.pid}

    def databases(self) -> Mapping[str, Path]:
        return self._databases

    def audited(self, fact_type: str) -> int:
        return self._count("SELECT count(*) FROM entries WHERE type = ?", fact_type)

    def published(self) -> int:
        # Audit records each message once, and has received all of them at the end of a run.
        return self._count("SELECT count(*) FROM entries")

    def _count(self, query: str, *values: str) -> int:
        if self._audit is None:
            self._audit = sqlite3.connect(f"file:{self._databases['audit']}?mode=ro", uri=True)
        (count,) = self._audit.execute(query, values).fetchone()
        return int(count)

    def _is_ready(self, service: str) -> bool:
        if not self._ready[service].exists():
            return False
        if service not in _DOORS:
            return True
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, self._ports[service])) == 0


def stock_nameko(directory: Path, amqp_uri: str) -> Peer:
    return Peer("nameko", "benchmarks.peers.nameko_services", directory, amqp_uri)


def stock_faststream(directory: Path, amqp_uri: str) -> Peer:
    return Peer("faststream", "benchmarks.peers.faststream_services", directory, amqp_uri)
