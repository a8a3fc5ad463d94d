"""CPU, memory and transaction figures read from outside the processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.usage import (
    Usage,
    between,
    children,
    commits,
    cpu_seconds,
    open_files,
    resident_mebibytes,
    tree_cpu_seconds,
    tree_mebibytes,
)
from runtime.storage.database import Database


def test_every_transaction_that_wrote_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "some.sqlite"
    database = Database.open(f"sqlite:///{path}")
    with database.write() as transaction:
        transaction.exec_driver_sql("CREATE TABLE notes (text TEXT)")
    before = commits(path)

    for number in range(7):
        with database.write() as transaction:
            transaction.exec_driver_sql("INSERT INTO notes VALUES ('a')")
            transaction.exec_driver_sql("INSERT INTO notes VALUES ('b')")
        with database.read() as transaction:
            found = transaction.exec_driver_sql("SELECT count(*) FROM notes").scalar_one()
            assert found == 2 * (number + 1)

    assert commits(path) - before == 7
    database.close()


def test_work_costs_time_and_memory() -> None:
    before = cpu_seconds(os.getpid())
    while cpu_seconds(os.getpid()) == before:
        sum(range(100_000))

    assert cpu_seconds(os.getpid()) > before
    assert 1 < resident_mebibytes(os.getpid()) < 100_000


def test_usage_is_reported_per_loop() -> None:
    before = Usage(cpu={"intake": 10.0}, resident={"intake": 50.0}, commits={"intake": 2**32 - 50})
    after = Usage(cpu={"intake": 11.0}, resident={"intake": 60.0}, commits={"intake": 50})

    used = between(before, after, 200)

    assert used == {
        "cpu_ms_a_loop": {"intake": 5.0},
        "resident_mib": {"intake": 60.0},
        "commits_a_loop": {"intake": 0.5},
    }


def test_forking_server_is_counted_with_its_children() -> None:
    busy = "import os,sys\nfor _ in range(3_000_000): pass\nprint(flush=True); sys.stdin.read()"
    script = f"import os,subprocess,sys\nsubprocess.run([sys.executable, '-c', {busy!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()  # the child has worked, and lives

        assert len(children(parent.pid)) == 1
        assert tree_cpu_seconds(parent.pid) > cpu_seconds(parent.pid)
        assert tree_mebibytes(parent.pid) > 0
        assert open_files(parent.pid) >= 2
        parent.communicate()
