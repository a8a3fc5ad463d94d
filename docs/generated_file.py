"""The command line of generators that write whole files: write them, or report those that differ."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def run(
    program: str, files: Mapping[Path, Callable[[], bytes]], arguments: Sequence[str] | None = None
) -> int:
    """Write each file that differs. With --check write nothing, name the files, and return 1."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a file differs")
    options = parser.parse_args(arguments)
    wanted = {path: make() for path, make in files.items()}
    stale = [path for path, content in wanted.items() if not path.exists() or path.read_bytes() != content]
    for path in stale:
        if options.check:
            sys.stderr.write(f"{path.name} differs from the code: run `python -m {program}`.\n")
        else:
            path.write_bytes(wanted[path])
    return 1 if options.check and stale else 0
