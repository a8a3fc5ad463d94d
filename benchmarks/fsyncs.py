"""fsync counts of processes, by strace in a separate short run because tracing is slow."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

CALLS = ("fsync", "fdatasync", "sync_file_range", "msync")
# "  12.3  0.000123  10  42  fdatasync": the fourth column counts; a fifth, of errors, may follow it.
_LINE = re.compile(rf"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(?:{'|'.join(CALLS)})\s*$", re.MULTILINE)


def is_possible() -> bool:
    """Return whether strace is installed."""
    return shutil.which("strace") is not None


class Tracing:
    """Traces the processes inside its block (a context manager); `counts` is available afterwards."""

    def __init__(self, pids: Mapping[str, int], directory: Path) -> None:
        self._pids = pids
        self._files = {name: directory / f"{name}.strace" for name in pids}
        self._tracers: list[subprocess.Popen[bytes]] = []
        # None for a process that could not be traced.
        self.counts: dict[str, int | None] = {}

    def __enter__(self) -> Self:
        for name, pid in self._pids.items():
            self._tracers.append(
                subprocess.Popen(
                    [
                        "strace",
                        "-f",
                        "-c",
                        "-e",
                        f"trace={','.join(CALLS)}",
                        "-o",
                        self._files[name],
                        "-p",
                        str(pid),
                    ],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        for pid in self._pids.values():
            _wait_until_traced(pid)
        return self

    def __exit__(self, *_: object) -> None:
        for tracer in self._tracers:
            tracer.send_signal(signal.SIGINT)
        for tracer in self._tracers:
            tracer.wait(10)
        for name, file in self._files.items():
            self.counts[name] = counted(file.read_text(encoding="utf-8")) if file.exists() else None


def counted(summary: str) -> int:
    """Return the number of calls in strace's table, which has no line for zero calls."""
    return sum(int(count) for count in _LINE.findall(summary))


def _wait_until_traced(pid: int, seconds: float = 3.0) -> None:
    deadline = time.monotonic() + seconds
    status = Path(f"/proc/{pid}/status")
    while time.monotonic() < deadline:
        if "TracerPid:\t0\n" not in status.read_text(encoding="utf-8"):
            return
        time.sleep(0.02)
