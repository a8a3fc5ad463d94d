"""Memory use of each service with the sample network, after all tests of this run."""

from __future__ import annotations

from pathlib import Path

from sandbox.hub_files import SERVICES
from tests.journey.running_hub import RunningHub

LARGEST_MEGABYTES = 150


def test_every_service_stays_within_its_memory_limit(hub: RunningHub) -> None:
    taken = {service: _resident_megabytes(hub.pid(service)) for service in SERVICES}
    print("resident, MB:", taken)  # noqa: T201 - figures for readers of the output
    assert {service: size for service, size in taken.items() if size > LARGEST_MEGABYTES} == {}


def _resident_megabytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) // 1024
