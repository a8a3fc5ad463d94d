"""Group commit: concurrent callers share a transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert

from contracts.errors import Defect, KopuroError, Refused, Unavailable
from runtime.storage.database import Database, DatabaseUnavailable, sqlite_url
from runtime.storage.group_commit import GroupCommit
from tests.storage.ledger import ENTRIES, count, opened, words_printed_by


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with opened(database_url) as database:
        yield database


def write(connection: Connection, commands: Sequence[int]) -> list[str | KopuroError]:
    """Enter each number; refuse those over 900; raise an unexpected error for 13."""
    results: list[str | KopuroError] = []
    for number in commands:
        if number > 900:
            results.append(Refused("conflict", f"{number} is too much."))
            continue
        connection.execute(insert(ENTRIES), {"number": number, "text": "x"})
        if number == 13:
            raise ValueError("thirteen")
        results.append(f"<{number}>")
    return results


class Commits:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def answers(submit: Callable[[int], str], numbers: Sequence[int], threads: int = 50) -> dict[int, str]:
    """Return the result of each number, or the name of the error that it raised."""
    ready = threading.Barrier(threads)

    def one(number: int) -> str:
        try:
            return submit(number)
        except Exception as error:
            return type(error).__name__

    def share(start: int) -> list[tuple[int, str]]:
        ready.wait(10)
        return [(number, one(number)) for number in numbers[start::threads]]

    with ThreadPoolExecutor(threads) as pool:
        return dict(pair for pairs in pool.map(share, range(threads)) for pair in pairs)


def test_single_caller_commits_at_once(database: Database) -> None:
    commits = Commits()
    group = GroupCommit[int, str](database, write, after_commit=commits)
    assert group.submit(1) == "<1>"
    assert (count(database), commits.count) == (1, 1)


def test_fifty_threads_share_commits_and_each_gets_its_own_result(database: Database) -> None:
    commits = Commits()
    group = GroupCommit[int, str](database, write, after_commit=commits)
    numbers = [n for n in range(500) if n != 13]
    assert answers(group.submit, numbers) == {n: f"<{n}>" for n in numbers}
    assert count(database) == len(numbers)
    assert commits.count < len(numbers) / 2


def test_failing_command_does_not_fail_others_of_its_group(database: Database) -> None:
    group = GroupCommit[int, str](database, write, after_commit=Commits())
    # 13 raises ValueError, 5 exists already, 901 is refused
    group.submit(5)
    numbers = [*range(50), 901]
    expected = {n: f"<{n}>" for n in range(50)} | {13: "ValueError", 5: "IntegrityError", 901: "Refused"}
    assert answers(group.submit, numbers, threads=len(numbers)) == expected
    assert count(database) == 49


def test_commit_group_is_no_larger_than_allowed(database: Database) -> None:
    sizes: list[int] = []

    def measured(connection: Connection, commands: Sequence[int]) -> list[str | KopuroError]:
        sizes.append(len(commands))
        return write(connection, commands)

    group = GroupCommit[int, str](database, measured, after_commit=Commits(), most=7)
    numbers = list(range(100, 400))
    assert answers(group.submit, numbers) == {n: f"<{n}>" for n in numbers}
    assert max(sizes) <= 7


def test_group_without_database_fails_for_all_and_the_next_passes(database: Database) -> None:
    away = threading.Event()
    away.set()

    def unsteady(connection: Connection, commands: Sequence[int]) -> list[str | KopuroError]:
        results = write(connection, commands)
        if away.is_set():
            raise DatabaseUnavailable("The disk is full.")
        return results

    commits = Commits()
    group = GroupCommit[int, str](database, unsteady, after_commit=commits)
    numbers = list(range(100, 200))
    assert answers(group.submit, numbers) == dict.fromkeys(numbers, "DatabaseUnavailable")
    assert (count(database), commits.count) == (0, 0)
    away.clear()
    assert answers(group.submit, numbers) == {n: f"<{n}>" for n in numbers}


def test_callers_above_the_limit_are_refused_and_none_is_lost(database: Database) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection, commands: Sequence[int]) -> list[str | KopuroError]:
        entered.set()
        assert go_on.wait(10)
        return write(connection, commands)

    group = GroupCommit[int, str](database, slow, after_commit=Commits(), bound=3)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(group.submit, 1)
        assert entered.wait(10)
        others = [pool.submit(group.submit, number) for number in (2, 3, 4)]
        while len(group._waiting) < 3:
            pass
        with pytest.raises(Unavailable):
            group.submit(5)
        go_on.set()
        assert [future.result(10) for future in (first, *others)] == ["<1>", "<2>", "<3>", "<4>"]


def test_none_is_a_valid_result(database: Database) -> None:
    group = GroupCommit[int, None](
        database, lambda _, commands: [None for _ in commands], after_commit=Commits()
    )
    group.submit(1)


def test_missing_result_of_group_is_a_defect_and_commits_nothing(database: Database) -> None:
    def forgetful(connection: Connection, commands: Sequence[int]) -> list[str | KopuroError]:
        return write(connection, commands)[:-1]

    group = GroupCommit[int, str](database, forgetful, after_commit=Commits())
    with pytest.raises(Defect):
        group.submit(1)
    assert count(database) == 0


def test_killed_group_leader_leaves_no_caller_waiting(database: Database) -> None:
    class Killed(BaseException):
        """Like GreenletExit, not an Exception."""

    entered, go_on = threading.Event(), threading.Event()
    kill = [True]

    def deadly(connection: Connection, commands: Sequence[int]) -> list[str | KopuroError]:
        entered.set()
        assert go_on.wait(10)
        if kill and 2 in commands:
            kill.clear()
            raise Killed
        return write(connection, commands)

    group = GroupCommit[int, str](database, deadly, after_commit=Commits())
    outcomes: dict[int, str] = {}

    def run(number: int) -> None:
        try:
            outcomes[number] = group.submit(number)
        except BaseException as error:
            outcomes[number] = type(error).__name__

    threads = [threading.Thread(target=run, args=(number,)) for number in (1, 2, 3)]
    threads[0].start()
    assert entered.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(group._waiting) < 2:
        pass
    go_on.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert outcomes[1] == "<1>"
    assert sorted([outcomes[2], outcomes[3]]) == ["Killed", "Unavailable"]
    assert group.submit(4) == "<4>"


def test_commands_that_arrive_during_another_transaction_share_a_commit(tmp_path: Path) -> None:
    with opened(sqlite_url(tmp_path / "x.db")) as database:
        commits = Commits()
        group = GroupCommit(database, write, after_commit=commits)
        with ThreadPoolExecutor(5) as pool, database.write():
            results = [pool.submit(group.submit, number) for number in range(5)]
            while len(group._waiting) < 5:
                pass
            assert commits.count == 0
        assert [one.result(10) for one in results] == [f"<{number}>" for number in range(5)]
        assert commits.count == 1


GREENLETS = """
import sys, warnings
warnings.simplefilter("ignore")
import eventlet
eventlet.monkey_patch()
from runtime.storage.group_commit import GroupCommit
from tests.storage.ledger import count, opened
from tests.storage.test_group_commit import Commits, write

with opened(sys.argv[1]) as database:
    commits = Commits()
    group = GroupCommit(database, write, after_commit=commits)
    numbers = [n for n in range(200) if n != 13]
    greenlets = [eventlet.spawn(group.submit, n) for n in numbers]
    right = [g.wait() for g in greenlets] == [f"<{n}>" for n in numbers]
    print(right, count(database), commits.count < 10, flush=True)
"""


def test_two_hundred_greenlets_share_commits(database_url: str, tmp_path: Path) -> None:
    assert words_printed_by(GREENLETS, database_url, tmp_path) == ["True", "199", "True"]
