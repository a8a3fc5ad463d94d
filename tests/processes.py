"""A real service process with its own ports and directory that ends with the test run."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from admin.embedded_broker import LOOPBACK
from sandbox.ports import KeptPorts, free_ports
from sandbox.process import ServiceProcess
from tests.support.hub_keys import service_environment

ROOT = Path(__file__).resolve().parent.parent
HUB = "kg"


class RunningService:
    """`python -m runtime <package>`, its files in `directory`; entered, it answers on both ports.

    environment: variables beyond those that every service has. altered_by: a module that replaces some of
    the service's parts (see `tests.support.altered_service`).
    service: the service that it is in the hub, if the package has another name.
    """

    def __init__(
        self,
        package: str,
        directory: Path,
        *,
        amqp_uri: str,
        database_url: str,
        port: int | None = None,
        environment: Mapping[str, str] | None = None,
        altered_by: str | None = None,
        service: str | None = None,
    ) -> None:
        program = ["tests.support.altered_service", altered_by] if altered_by else ["runtime"]
        http_port, operations_port = free_ports(2)
        self._kept_ports = KeptPorts()
        for chosen in (http_port, operations_port):
            self._kept_ports.keep(chosen)
        self.name = package.rpartition(".")[2]
        self.port = port or http_port
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.operations_url = f"http://{LOOPBACK}:{operations_port}"
        self.log = directory / "log"
        (directory / "discovery.json").write_text(json.dumps({"hub": HUB, "version": "1"}))
        self.process = ServiceProcess(
            self.name,
            [sys.executable, "-m", *program, package],
            environment={
                **os.environ,
                "KOPURO_AMQP_URI": amqp_uri,
                "KOPURO_DATABASE_URL": database_url,
                "KOPURO_HTTP_ADDRESS": f"{LOOPBACK}:{self.port}",
                "KOPURO_OPERATIONS_ADDRESS": f"{LOOPBACK}:{operations_port}",
                "KOPURO_HUB": HUB,
                "KOPURO_DISCOVERY": str(directory / "discovery.json"),
                "KOPURO_APPROVALS": "one-person",
                "KOPURO_VAULT_KEYS": str(directory / "vault-keys.sqlite"),  # for the vault alone
                **service_environment(
                    directory,
                    service or self.name,
                    amqp_uri=amqp_uri,
                    hub=(environment or {}).get("KOPURO_HUB", HUB),
                ),
                **(environment or {}),
            },
            log=self.log,
            directory=ROOT,
        )

    def __enter__(self) -> Self:
        self.process.spawn()
        self._await(self._answers, "start")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()

    def until_ready(self) -> None:
        """Return when /readyz says yes."""
        self._await(lambda: httpx.get(self.operations_url + "/readyz").status_code == 200, "become ready")

    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def resident_megabytes(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def _await(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            if not self.process.running() or time.monotonic() > deadline:
                self.process.kill()
                raise RuntimeError(f"the service {self.name} did not {what}:\n{self.log.read_text()}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            httpx.get(self.url + "/.well-known/kopuro", timeout=2)
            httpx.get(self.operations_url + "/healthz", timeout=2)
        except httpx.TransportError:
            return False
        return True
