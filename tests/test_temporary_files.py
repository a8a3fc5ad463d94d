"""A run of the tests leaves no temporary files but pytest's, nor those of earlier runs that were killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.servers import PostgresServer

ROOT = Path(__file__).resolve().parent.parent
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - only compared

# The hook calls what tests/conftest.py calls, so that a child run behaves like the suite.
_CONFTEST = """
from tests.support import temporary_files

def pytest_configure(config):
    temporary_files.of_run(config)
"""
# Leaves directories, because a killed program leaves them too. Kills the run on request.
_TEST = """
import os, signal, subprocess, tempfile

def test_leaves_files():
    subprocess.run(["mktemp", "-d"], check=True)
    tempfile.mkdtemp()
    if "KILLED" in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def run(directory: Path, tests: Path, **environment: str) -> int:
    """Run the tests and return the exit status. directory: of temporary files."""
    mine = {"TESTS_TEMPORARY_FILES", "PYTEST_DEBUG_TEMPROOT", "PYTEST_ADDOPTS"}
    outside = {name: value for name, value in os.environ.items() if name not in mine}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tests,
        env={
            **outside,
            "TMPDIR": str(directory),
            "PYTHONPATH": str(ROOT),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # the environment's take a second to import
            **environment,
        },
        capture_output=True,
        check=False,
    ).returncode


def test_run_leaves_nothing_and_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    place, tests = tmp_path / "temporary", tmp_path / "tests"
    place.mkdir()
    tests.mkdir()
    (tests / "conftest.py").write_text(_CONFTEST)
    (tests / "test_one.py").write_text(_TEST)
    assert run(place, tests, KILLED="yes") == -signal.SIGKILL
    (left,) = place.iterdir()
    assert len(list(left.glob("tmp*"))) == 2
    assert run(place, tests) == 0
    assert [path.name for path in place.iterdir() if not path.name.startswith("pytest-of-")] == []


def test_processes_of_a_run_use_its_directory_of_temporary_files() -> None:
    assert tempfile.gettempdir() == os.environ["TMPDIR"]
    assert Path(tempfile.gettempdir()).name.startswith("kopuro-tests-")


def mapped_files(pid: int) -> set[Path]:
    """Return the files that the process has mapped into its memory."""
    lines = (line.split(maxsplit=5) for line in Path(f"/proc/{pid}/maps").read_text().splitlines())
    return {Path(words[5]) for words in lines if len(words) == 6}


def test_shared_memory_of_killed_database_server_is_in_its_directory() -> None:
    """Servers and `initdb` of other tests use /dev/shm meanwhile: only this server's own files count."""
    with PostgresServer() as server:
        assert server.pid is not None
        mapped = mapped_files(server.pid)
    assert [path for path in mapped if path.parent == server.directory / "data" / "pg_dynshmem"] != []
    assert [path for path in mapped if path.is_relative_to(_SHARED_MEMORY)] == []
