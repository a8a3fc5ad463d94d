"""The version of a database, and work that is skipped while the version stays."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from contracts.errors import Unavailable
from runtime.storage.change_poll import LONGEST_SECONDS, ChangePoll
from runtime.storage.database import Database, DatabaseDamaged
from tests.storage.ledger import count, enter, opened

# Another process, such as an operator's command.
DELETION = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("DELETE FROM entries")
connection.commit()
"""


@pytest.fixture
def database(sqlite_database: str) -> Iterator[Database]:
    with opened(sqlite_database) as database:
        yield database


class Work:
    """Counts its runs. awaits: what each returns; raises: what the next raises."""

    def __init__(self) -> None:
        self.runs = 0
        self.awaits: object = None
        self.raises: Exception | None = None

    def __call__(self) -> object:
        self.runs += 1
        if self.raises is not None:
            raised, self.raises = self.raises, None
            raise raised
        return self.awaits


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = 1_000.0

    def __call__(self) -> float:
        return self.time


def test_sqlite_version_stays_until_a_commit_of_whichever_connection_or_process(
    database: Database, sqlite_database: str
) -> None:
    first = database.version()
    assert count(database) == 0
    assert database.version() == first, "a read is not a change"
    enter(database, 1)
    second = database.version()
    assert second != first
    with pytest.raises(RuntimeError), database.write():
        raise RuntimeError
    with database.write():
        pass
    assert database.version() == second, "neither a rollback nor an empty transaction is a change"
    subprocess.run([sys.executable, "-c", DELETION, urlsplit(sqlite_database).path], check=True)
    assert database.version() != second
    assert count(database) == 0


def test_sqlite_version_keeps_no_reader_in_the_way_of_a_checkpoint(database: Database) -> None:
    database.version()
    enter(database, 1)
    database.version()
    assert database.checkpoint_wal()
    seen = database.version()
    assert database.version() == seen
    enter(database, 2)
    assert database.version() != seen


def test_postgresql_has_no_version_so_each_call_counts_as_a_change(postgres_database: str) -> None:
    with opened(postgres_database) as database:
        assert database.version() != database.version()
        work = Work()
        poll = ChangePoll(database, work)
        assert [poll(), poll(), poll()] == [True] * 3


def test_version_is_read_again_after_the_database_was_closed(database: Database, tmp_path: Path) -> None:
    before = database.version()
    database.close()
    assert database.version() != before, "another connection counts from another number"


def test_work_runs_at_the_first_call_and_after_each_commit_only(database: Database) -> None:
    work = Work()
    poll = ChangePoll(database, work)
    assert [poll(), poll(), poll()] == [True, False, False]
    enter(database, 1)
    assert [poll(), poll()] == [True, False]
    assert work.runs == 2


def test_work_runs_at_the_longest_interval_without_a_commit(database: Database) -> None:
    now = Hand()
    poll = ChangePoll(database, Work(), now=now)
    assert poll()
    now.time += LONGEST_SECONDS - 0.1
    assert not poll()
    now.time += 0.1
    assert poll()


def test_work_that_awaits_something_runs_at_every_call(database: Database) -> None:
    work = Work()
    work.awaits = True
    poll = ChangePoll(database, work)
    assert [poll(), poll(), poll()] == [True] * 3
    work.awaits = False
    assert [poll(), poll()] == [True, False]


def test_work_that_was_woken_runs_once_more(database: Database) -> None:
    poll = ChangePoll(database, Work())
    assert poll()
    poll.wake()
    assert [poll(), poll()] == [True, False]


def test_wake_up_during_the_work_counts_for_the_next_call(database: Database) -> None:
    runs = 0

    def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            poll.wake()

    poll = ChangePoll(database, work)
    assert [poll(), poll(), poll()] == [True, True, False]


def test_commit_during_the_work_makes_the_next_call_run_it(database: Database) -> None:
    def work() -> None:
        if count(database) == 0:
            enter(database, 1)

    poll = ChangePoll(database, work)
    assert [poll(), poll(), poll()] == [True, True, False]


def test_work_that_failed_runs_again(database: Database) -> None:
    work = Work()
    poll = ChangePoll(database, work)
    assert poll()
    enter(database, 1)
    work.raises = Unavailable("The database does not answer.")
    with pytest.raises(Unavailable):
        poll()
    assert [poll(), poll()] == [True, False]


def test_work_runs_at_every_call_on_a_damaged_database_and_says_so_itself(
    database: Database, sqlite_database: str
) -> None:
    work = Work()
    poll = ChangePoll(database, work)
    poll()
    database.close()
    Path(urlsplit(sqlite_database).path).write_bytes(b"no database" * 100)
    with pytest.raises(DatabaseDamaged):
        database.version()
    poll()
    poll()
    assert work.runs == 3
