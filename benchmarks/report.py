"""Output of measurements as text, JSON and charts."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import Spread

_OCTAL: Final = re.compile(r"\\([0-7]{3})")  # how fstab(5) writes a space, tab, newline or backslash


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a text table with the first column left-aligned and figures right-aligned."""
    widths = [max(len(row[n]) for row in (head, *rows)) for n in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first, *others = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        return "  ".join([cells[0].ljust(len(first)), *others]).rstrip()

    return "\n".join([line(head), "  ".join("-" * width for width in widths), *map(line, rows)])


def written(figure: Spread, digits: int = 1) -> str:
    """Return `12.3 (11.0 to 14.2)`; for a single round only the median."""
    median = f"{figure.median:,.{digits}f}"
    if figure.lowest == figure.highest:
        return median
    return f"{median} ({figure.lowest:,.{digits}f} to {figure.highest:,.{digits}f})"


def listed(figures: Mapping[str, float]) -> str:
    """Return `audit 0.10, broker 1.20, 1.30 in all`."""
    each = ", ".join(f"{name} {figure:.2f}" for name, figure in figures.items())
    return f"{each}, {sum(figures.values()):.2f} in all"


def machine(directory: Path) -> Mapping[str, Any]:
    """Return the hardware and software that figures depend on, without host names."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "file_system": file_system(directory),
        "load_at_start": round(os.getloadavg()[0], 2),
    }


def to_json(document: Mapping[str, Any]) -> str:
    """Return indented JSON; dataclasses become objects."""
    return json.dumps(document, indent=1, default=_plain, allow_nan=True) + "\n"


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(type(value))


def file_system(directory: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """Return the type of the file system that holds `directory`, such as "ext4", or "unknown".

    mounts: a table of mounts in the format of fstab(5). It is the precise source, but in a chroot or a
    container it may lack the mount that holds the directory; statfs(2), by way of `stat`, knows it there.
    """
    place = directory.resolve()
    best, kind = "", ""
    for point, found in _mounted(mounts):
        if Path(point) in (place, *place.parents) and len(point) >= len(best):
            best, kind = point, found
    return kind or _of_statfs(place) or "unknown"


def _mounted(mounts: Path) -> Iterator[tuple[str, str]]:
    """Return mount points and types, in the order of mounting."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        _, point, kind, *_ = line.split(" ")
        yield _OCTAL.sub(lambda octal: chr(int(octal[1], 8)), point), kind


def _of_statfs(place: Path) -> str:
    try:
        completed = subprocess.run(
            ["stat", "--file-system", "--format=%T", str(place)], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return completed.stdout.strip()
