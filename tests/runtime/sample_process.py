"""A real process that runs the sample service on ports of its own."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from joserfc.jwk import OKPKey

from runtime.web.signer import TokenSigner
from runtime.web.tokens import Principal, issuer_of
from sandbox.ports import LOOPBACK, free_ports
from sandbox.process import ServiceProcess

ROOT = Path(__file__).resolve().parents[2]
HUB = "kg"


def new_signer(hub: str = HUB) -> TokenSigner:
    key = OKPKey.generate_key("Ed25519", private=True)
    return TokenSigner(key.as_dict(private=True), issuer_of(hub))


class SampleProcess:
    """`python -m runtime tests.runtime.sample_service`, its files in `directory`."""

    def __init__(self, directory: Path, port: int | None = None) -> None:
        http_port, operations_port = free_ports(2)
        self.port = port or http_port
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.operations_url = f"http://{LOOPBACK}:{operations_port}"
        self.signer = new_signer()
        self.marker = directory / "ready"
        self.log = directory / "log"
        (directory / "discovery.json").write_text(json.dumps({"hub": HUB, "version": "1"}))
        (directory / "jwks.json").write_text(json.dumps({"keys": [self.signer.public_jwk()]}))
        self.process = ServiceProcess(
            "sample",
            [sys.executable, "-m", "runtime", "tests.runtime.sample_service"],
            environment={
                **os.environ,
                "KOPURO_AMQP_URI": "amqp://nobody:nothing@127.0.0.1:1//",  # never connected to
                "KOPURO_DATABASE_URL": "sqlite:////nowhere",
                "KOPURO_HTTP_ADDRESS": f"{LOOPBACK}:{self.port}",
                "KOPURO_OPERATIONS_ADDRESS": f"{LOOPBACK}:{operations_port}",
                "KOPURO_HUB": HUB,
                "KOPURO_DISCOVERY": str(directory / "discovery.json"),
            },
            log=self.log,
            directory=ROOT,
        )

    def __enter__(self) -> Self:
        self.process.spawn()
        deadline = time.monotonic() + 20
        while not self._answers():
            if not self.process.running() or time.monotonic() > deadline:
                self.process.kill()
                raise RuntimeError(f"the sample service did not start:\n{self.log.read_text()}")
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.process.kill()

    def token(
        self, *roles: str, age: timedelta = timedelta(), signer: TokenSigner | None = None
    ) -> dict[str, str]:
        """The headers of a caller called kg.sample."""
        principal = Principal(id="kg.sample", roles=frozenset(roles))
        token = (signer or self.signer).issue(principal, now=datetime.now(UTC) - age)
        return {"Authorization": f"Bearer {token}"}

    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def resident_megabytes(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def _answers(self) -> bool:
        try:
            httpx.get(self.url + "/v1/ping", timeout=2)
            httpx.get(self.operations_url + "/healthz", timeout=2)
        except httpx.TransportError:
            return False
        return True
