"""Tasks in child processes, so that memory is measured separately: `python -m MODULE TASK JSON`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

Task = Callable[[Mapping[str, Any]], Mapping[str, float]]

_MARK: Final = "FOUND "


def run(module: str, task: str, options: Mapping[str, Any]) -> dict[str, float]:
    """Return the task's figures and `mib`, its peak resident memory. Raises CalledProcessError."""
    done = subprocess.run(
        [sys.executable, "-m", module, task, json.dumps(options)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return figures_in(done.stdout)


def figures_in(output: str) -> dict[str, float]:
    """Return the figures that a task has written to its output."""
    found: dict[str, float] = json.loads(output.rpartition(_MARK)[2])
    return found


def serve(tasks: Mapping[str, Task], arguments: Sequence[str]) -> None:
    """Run the task in the arguments, in the child process of `run`."""
    task, options = arguments
    found = {**tasks[task](json.loads(options)), "mib": peak_mebibytes()}
    sys.stdout.write(_MARK + json.dumps(found) + "\n")


def peak_mebibytes() -> float:
    """Return the peak resident memory of this process, including shared pages."""
    # Not getrusage: its figure survives exec and would include the parent process.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
