"""A real Prometheus on loopback, with a configuration of the test's own."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from admin.embedded_broker import LOOPBACK
from sandbox.ports import free_ports
from tests.journey.waiting import until
from tests.support.prometheus_programs import programs

# Prometheus reads JSON, which is YAML.
_SECONDS = "500ms"


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One process of a service: the address of its metrics."""

    service: str
    address: str
    path: str = "/metrics"


class PrometheusServer:
    """The HTTP API of a running Prometheus."""

    def __init__(self, address: str) -> None:
        self._client = httpx.Client(base_url=address, timeout=30)

    def query(self, expression: str) -> dict[str, float]:
        """Return the values of an instant query by the series' labels, without those that are not numbers."""
        found = self.results(expression)
        values = {json.dumps(one["metric"], sort_keys=True): float(one["value"][1]) for one in found}
        return {labels: value for labels, value in values.items() if not math.isnan(value)}

    def results(self, expression: str) -> list[dict[str, Any]]:
        """Return the result of an instant query as the API has it: `metric` and `value`."""
        found: list[dict[str, Any]] = self._get("query", query=expression)["result"]
        return found

    def range(self, expression: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """Return the result of a range query as the API has it: `metric` and `values`."""
        times = {"start": str(start), "end": str(end), "step": str(step)}
        found: list[dict[str, Any]] = self._get("query_range", query=expression, **times)["result"]
        return found

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        alerts = self._get("alerts")["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}

    def rules(self) -> list[dict[str, Any]]:
        """Return every rule with its `health` and `lastError`."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def targets(self) -> dict[str, str]:
        """Return the health of each target by service."""
        return {one["labels"]["service"]: one["health"] for one in self._get("targets")["activeTargets"]}

    def _get(self, resource: str, **parameters: str) -> dict[str, Any]:
        answer = self._client.get(f"/api/v1/{resource}", params=parameters)
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    def close(self) -> None:
        self._client.close()

    def is_ready(self) -> bool:
        try:
            return self._client.get("/-/ready").status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def prometheus(
    directory: Path, targets: Sequence[Target], rules: Mapping[str, str]
) -> Iterator[PrometheusServer]:
    """Run Prometheus, which scrapes twice a second. rules: the texts of the rule files by name."""
    for name, text in rules.items():
        (directory / name).write_text(text, encoding="utf-8")
    configuration = {
        "global": {"scrape_interval": _SECONDS, "evaluation_interval": _SECONDS},
        "rule_files": sorted(rules),
        "scrape_configs": [
            {
                "job_name": "kopuro",
                "static_configs": [
                    {
                        "targets": [target.address],
                        "labels": {"service": target.service, "__metrics_path__": target.path},
                    }
                    for target in targets
                ],
            }
        ],
    }
    file = directory / "prometheus.json"
    file.write_text(json.dumps(configuration), encoding="utf-8")
    (port,) = free_ports(1)
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(
            [
                str(programs() / "prometheus"),
                f"--config.file={file}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address={LOOPBACK}:{port}",
                "--log.level=warn",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=directory,
        )
    server = PrometheusServer(f"http://{LOOPBACK}:{port}")
    try:
        until(server.is_ready, "Prometheus", within=60)
        yield server
    finally:
        server.close()
        process.terminate()
        process.wait(timeout=30)
