"""What is read of processes and databases from outside."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.usage import Usage, between, commits, cpu_seconds, resident_mebibytes
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


def test_usage_is_told_by_the_loop() -> None:
    before = Usage(cpu={"intake": 10.0}, resident={"intake": 50.0}, commits={"intake": 2**32 - 50})
    after = Usage(cpu={"intake": 11.0}, resident={"intake": 60.0}, commits={"intake": 50})

    used = between(before, after, 200)

    assert used == {
        "cpu_ms_a_loop": {"intake": 5.0},
        "resident_mib": {"intake": 60.0},
        "commits_a_loop": {"intake": 0.5},
    }
