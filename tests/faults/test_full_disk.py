"""Intake on a full disk: it answers 503, damages nothing, and recovers when space is free again."""

from __future__ import annotations

import os
import re
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from contracts.facts import ReferralSubmitted
from tests.crash.crashing import Listener, until
from tests.faults.intake_harness import IntakeHarness, unavailable

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

LARGE = "x" * 200_000
FAILED = re.compile(r"writes have failed for \d+ s: .|a write failed \d+ s ago: .")
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


class SmallDisk:
    """A file system of a few MiB. fill: uses all its space; empty: frees it."""

    def __init__(self, directory: Path) -> None:
        self._filler = directory / "filler"

    def fill(self, harness: IntakeHarness) -> None:
        with self._filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 4096)
            except OSError:
                return

    def empty(self, harness: IntakeHarness) -> None:
        self._filler.unlink()


class Quota:
    """A process whose file size limit is the current size of the database (`EFBIG` instead of `ENOSPC`)."""

    def fill(self, harness: IntakeHarness) -> None:
        files = harness.database.parent.glob(harness.database.name + "*")
        size = max(file.stat().st_size for file in files)
        self._limit(harness, (size, resource.RLIM_INFINITY))

    def empty(self, harness: IntakeHarness) -> None:
        self._limit(harness, UNLIMITED)

    def _limit(self, harness: IntakeHarness, limits: tuple[int, int]) -> None:
        assert harness.intake.process.pid is not None
        resource.prlimit(harness.intake.process.pid, resource.RLIMIT_FSIZE, limits)


@contextmanager
def small_disk(directory: Path, size: str = "12m") -> Iterator[Path]:
    """Mount a small file system; skip the test if that is not permitted."""
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)],
        capture_output=True,
        check=False,
    )
    if os.geteuid() != 0 or mounted.returncode != 0:
        pytest.skip("only root may mount a file system")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def broken(harness: IntakeHarness) -> list[str]:
    """Return the faults that SQLite finds in the file."""
    with closing(sqlite3.connect(harness.database)) as connection:
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
    return [] if found == ["ok"] else found


def run_out_of_room(harness: IntakeHarness, listener: Listener, disk: SmallDisk | Quota) -> None:
    with harness.intake:
        harness.intake.until_ready()
        admitted = [harness.submit(LARGE).json()["id"]]
        disk.fill(harness)
        # The space of the existing write-ahead log is reused, so some referrals are still admitted.
        while not unavailable(answer := harness.submit(LARGE)):
            assert answer.status_code == 202, answer.text
            admitted.append(answer.json()["id"])
            assert len(admitted) < 200
        assert unavailable(harness.submit(LARGE)), "and again"
        # Small writes, such as marking an event as published, may still succeed.
        assert FAILED.match(database_warning(harness) or "")
        assert harness.sender.ask("GET", "intake", "/.well-known/kopuro").status_code == 200
        assert harness.intake.process.running()
        disk.empty(harness)
        assert broken(harness) == []
        until(lambda: harness.submit().status_code == 202, "it admits again")
        assert "writes have failed for" not in (database_warning(harness) or "")
        until(lambda: set(admitted) <= heard(listener), "all that was admitted leaves")
        harness.intake.process.stop(timeout=10)
        assert harness.intake.process.exit_code() == 0
    assert broken(harness) == []
    with closing(sqlite3.connect(harness.database)) as connection:
        kept = {row[0] for row in connection.execute("SELECT referral_id FROM submissions")}
    assert kept == heard(listener) >= set(admitted)


def database_warning(harness: IntakeHarness) -> str | None:
    """Return the warning of `/readyz` about intake's database."""
    document = httpx.get(harness.intake.operations_url + "/readyz").json()
    warning: str = document["warnings"]["database"]
    return None if warning == "ok" else warning


def heard(listener: Listener) -> set[str]:
    referrals = [fact.referral_id for fact in listener.effects(ReferralSubmitted)]
    assert len(set(referrals)) == len(referrals)
    return set(referrals)


@pytest.fixture
def listener(hub_vhost: str, tmp_path: Path) -> Iterator[Listener]:
    made = Listener(hub_vhost, tmp_path)
    yield made
    made.close()


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs")
def test_intake_on_full_file_system_answers_503_and_recovers(
    hub_vhost: str, listener: Listener, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk") as directory:
        harness = IntakeHarness(hub_vhost, tmp_path, altered_by=None, database=directory / "intake.sqlite")
        with harness.intake:
            harness.intake.until_ready()
            assert "MiB free beside intake.sqlite" in (database_warning(harness) or "")
        run_out_of_room(harness, listener, SmallDisk(directory))


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="the limits of another process")
def test_intake_at_its_file_size_limit_answers_503_and_recovers(
    hub_vhost: str, listener: Listener, tmp_path: Path
) -> None:
    run_out_of_room(IntakeHarness(hub_vhost, tmp_path, altered_by=None), listener, Quota())
