"""Resource usage of processes: CPU and memory from /proc, commits from SQLite's shared memory.

The processes need not cooperate, so every contender is measured in the same way.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MEBIBYTE = 1024 * 1024
# Processes that do their work in forked children.
FORKING = frozenset({"postgresql"})
# https://www.sqlite.org/walformat.html §2.1: iChange, "incremented with each transaction".
_CHANGE_AT = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """A snapshot: CPU seconds (user and system) and resident MiB by process, commits by database."""

    cpu: Mapping[str, float]
    resident: Mapping[str, float]
    commits: Mapping[str, int]


def read_usage(pids: Mapping[str, int], databases: Mapping[str, Path]) -> Usage:
    """Return the usage now. pids: by process name; databases: SQLite files by name. Raises OSError."""
    return Usage(
        cpu={
            name: tree_cpu_seconds(pid) if name in FORKING else cpu_seconds(pid) for name, pid in pids.items()
        },
        resident={
            name: tree_mebibytes(pid) if name in FORKING else resident_mebibytes(pid)
            for name, pid in pids.items()
        },
        commits={name: commits(path) for name, path in databases.items()},
    )


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process, in steps of a clock tick (10 ms)."""
    return sum(_times(pid)[:2]) / _TICKS


def tree_cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and its children, including ended ones."""
    ticks = sum(_times(pid))
    for child in children(pid):
        # A child that has just ended is counted next time.
        with suppress(OSError):
            ticks += sum(_times(child)[:2])
    return ticks / _TICKS


def _times(pid: int) -> tuple[int, ...]:
    """utime, stime, cutime, cstime. Source: proc(5)."""
    # The command is in parentheses and may contain anything.
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return tuple(int(field) for field in stat.rpartition(")")[2].split()[11:15])


def children(pid: int) -> list[int]:
    """Return the pids of a process's children."""
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text(encoding="ascii").split()
    ]


def open_files(pid: int) -> int:
    """Return the number of open file descriptors of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def resident_mebibytes(pid: int) -> float:
    """Return the resident memory, including shared pages."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE / _MEBIBYTE


def tree_mebibytes(pid: int) -> float:
    """Return the memory of a process and its children, counting shared pages once (PSS)."""
    total = 0
    for one in (pid, *children(pid)):
        with suppress(OSError):
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text(encoding="ascii")
            total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total / 1024


def commits(database: Path) -> int:
    """Return the write transactions of an SQLite database in WAL mode since it was opened, modulo 2**32.

    With synchronous=FULL each is one fsync; those done with NORMAL are counted too.
    """
    with Path(f"{database}-shm").open("rb") as shared:
        header = shared.read(_CHANGE_AT + 4)
    return int(struct.unpack_from("=I", header, _CHANGE_AT)[0])


def between(before: Usage, after: Usage, loops: int) -> dict[str, dict[str, float]]:
    """Return CPU milliseconds and commits per closed loop by name, and resident MiB at the end."""
    return {
        "cpu_ms_a_loop": {n: 1000 * (after.cpu[n] - before.cpu[n]) / loops for n in after.cpu},
        "resident_mib": dict(after.resident),
        "commits_a_loop": {
            n: ((after.commits[n] - before.commits[n]) % 2**32) / loops for n in after.commits
        },
    }
