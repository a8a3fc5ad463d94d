"""Prometheus' programs: those of the machine, or those of Debian's package, unpacked without being installed.

Unpacking needs neither root nor a running service. It takes the package from the machine's own sources, once
for each checkout, into build/.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from tests.support import machine_certificates

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "prometheus"
PROGRAMS = ("prometheus", "promtool")


@cache
def programs() -> Path:
    """Return the directory of `prometheus` and `promtool`. Raises RuntimeError where none can be had."""
    if (found := shutil.which(PROGRAMS[0])) and shutil.which(PROGRAMS[1]):
        return Path(found).parent
    return unpacked(FOLDER)


def unpacked(folder: Path) -> Path:
    """Return the directory of the programs of Debian's package in `folder`, unpacked there if necessary."""
    directory = folder / "usr" / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one worker unpacks, and the others wait for it
        if not all((directory / program).is_file() for program in PROGRAMS):
            _unpack(folder)
    return directory


def _unpack(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        done = _download(place)
        if done != "" and os.geteuid() == 0:  # a new machine has no package lists
            done = _run(["apt-get", "update"], place) or _download(place)
        if done != "":
            raise RuntimeError(
                "install Prometheus 2.42 or later (Debian's package `prometheus`): the tests of the alerts "
                f"and dashboards need it, and its package cannot be downloaded: {done}"
            )
        for package in Path(place).glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", str(package), str(folder)], check=True)


def _download(directory: str) -> str:
    """Download Debian's packages with the programs; return "" or why it failed."""
    done = _run(["apt-get", "download", "prometheus"], directory)
    # Since Debian 13, promtool has a package of its own.
    if done == "" and _run(["apt-cache", "show", "promtool"], directory) == "":
        done = _run(["apt-get", "download", "promtool"], directory)
    return done


def _run(command: list[str], directory: str) -> str:
    """Run a command; return "" or why it failed."""
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=machine_certificates.environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.strip() or f"exit status {done.returncode}"
