"""Transactions on SQLite and PostgreSQL."""

from __future__ import annotations

import datetime as dt
import enum
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, StatementError

from runtime.storage.database import (
    Database,
    DatabaseDamaged,
    DatabaseUnavailable,
    after_commit,
    translated,
)
from tests.storage.ledger import ENTRIES, count, enter, opened, words_printed_by

SECRET = "Aigerim-Toktogulova"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with opened(database_url) as database:
        yield database


def pragma(database: Database, name: str) -> object:
    with database.read() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()


def test_every_sqlite_connection_writes_ahead_and_waits_for_the_disk(sqlite_database: str) -> None:
    # while this one is open, the others are not the connection that created the file
    with opened(sqlite_database) as database, database.read():
        assert pragma(database, "journal_mode") == "wal"
        assert pragma(database, "synchronous") == 2  # FULL: a commit survives the loss of power
        assert pragma(database, "busy_timeout") == 5_000
        assert pragma(database, "foreign_keys") == 1
        assert pragma(database, "secure_delete") == 1  # deleted content is overwritten


def test_deleted_data_is_in_no_file_after_wal_checkpoint(sqlite_database: str) -> None:
    def files() -> bytes:
        path = Path(urlsplit(sqlite_database).path)
        return b"".join(file.read_bytes() for file in path.parent.glob(path.name + "*"))

    with opened(sqlite_database) as database:
        with database.write() as connection:
            # Long enough for pages of its own, and short enough for a page with others.
            connection.execute(insert(ENTRIES), {"number": 1, "text": SECRET * 1_000})
            connection.execute(insert(ENTRIES), {"number": 2, "text": SECRET})
            connection.execute(insert(ENTRIES), {"number": 3, "text": SECRET})
        assert database.checkpoint_wal()
        with database.write() as connection:
            connection.execute(ENTRIES.delete().where(ENTRIES.c.number < 3))
            connection.execute(ENTRIES.update().values(text="nobody"))
        assert SECRET.encode() in files(), "of the pages as they were"
        assert database.checkpoint_wal()
        assert SECRET.encode() not in files()


def test_wal_checkpoint_waits_for_readers(sqlite_database: str) -> None:
    with opened(sqlite_database) as database:
        enter(database, 1)
        with database.read() as connection:
            connection.execute(select(ENTRIES)).all()
            enter(database, 2)
            began = time.monotonic()
            assert not database.checkpoint_wal()
            assert time.monotonic() - began < 2, "the call does not wait"
        assert database.checkpoint_wal()
        assert pragma(database, "busy_timeout") == 5_000


def test_wal_checkpoint_on_postgresql_does_nothing(postgres_database: str) -> None:
    with opened(postgres_database) as database:
        assert database.checkpoint_wal()


def test_commit_waits_for_disk_by_default(database: Database) -> None:
    is_sqlite = database.engine.dialect.name == "sqlite"
    question = "PRAGMA synchronous" if is_sqlite else "SHOW synchronous_commit"
    waits, waits_not = (2, 1) if is_sqlite else ("on", "off")  # SQLite: FULL, NORMAL
    for durable, expected in ((True, waits), (False, waits_not), (True, waits)):
        with database.write(durable=durable) as connection:
            assert connection.exec_driver_sql(question).scalar_one() == expected
    with database.write(durable=False) as connection:
        connection.execute(insert(ENTRIES), {"number": 9, "text": "x"})
    assert count(database) == 1


def enter_and_raise(database: Database, number: int) -> None:
    with database.write() as connection:
        connection.execute(insert(ENTRIES), {"number": number, "text": "x"})
        raise ZeroDivisionError


def test_transaction_block_that_raises_is_not_committed(database: Database) -> None:
    enter(database, 1)
    with pytest.raises(ZeroDivisionError):
        enter_and_raise(database, 2)
    assert count(database) == 1
    enter(database, 3)
    assert count(database) == 2


def test_sqlite_connection_serves_one_transaction_after_another(sqlite_database: str) -> None:
    with opened(sqlite_database) as database:
        enter(database, 1)
        with database.write() as transaction:
            used = {transaction}
        for _ in range(3):
            with database.read() as transaction:
                used.add(transaction)
        assert len(used) == 1


def test_read_after_a_write_on_the_same_connection_takes_no_lock(sqlite_database: str) -> None:
    with opened(sqlite_database) as database:
        enter(database, 1)
        with database.read(), opened(sqlite_database) as other:
            enter(other, 2)
        assert count(database) == 2


def test_read_after_a_write_on_the_same_connection_has_nothing_of_the_write(sqlite_database: str) -> None:
    with opened(sqlite_database) as database:
        done: list[str] = []
        with database.write() as transaction:
            after_commit(transaction, lambda: done.append("write"))
        with database.read() as transaction, pytest.raises(AttributeError):
            after_commit(transaction, lambda: done.append("read"))
        enter(database, 1)
        assert done == ["write"]


def test_connection_whose_block_raised_is_not_kept(sqlite_database: str) -> None:
    with opened(sqlite_database) as database:
        with pytest.raises(ZeroDivisionError), database.write() as failed:
            failed.execute(insert(ENTRIES), {"number": 1, "text": ""})
            raise ZeroDivisionError
        with database.write() as transaction:
            assert transaction is not failed
        assert failed.closed
        assert count(database) == 0


def test_close_closes_connections_that_wait_for_a_transaction(sqlite_database: str) -> None:
    with opened(sqlite_database) as database:
        with database.read() as first, database.read() as second:
            pass
        assert not first.closed
        database.close()
        assert first.closed
        assert second.closed


def test_commit_is_visible_to_connection_of_another_process(database: Database, database_url: str) -> None:
    enter(database, 1)
    with opened(database_url) as other:
        assert count(other) == 1


def test_writers_do_not_lose_each_other_s_updates(database: Database) -> None:
    enter(database, 1, "0")

    def increment(_: int) -> None:
        with database.write() as connection:
            row = select(ENTRIES.c.text).where(ENTRIES.c.number == 1).with_for_update()
            value = int(connection.execute(row).scalar_one())
            connection.execute(ENTRIES.update().where(ENTRIES.c.number == 1).values(text=str(value + 1)))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(increment, range(200)))
    with database.read() as connection:
        assert connection.execute(select(ENTRIES.c.text)).scalar_one() == "200"


def test_readers_continue_during_a_write(database: Database) -> None:
    with database.write() as connection:
        connection.execute(insert(ENTRIES), {"number": 1, "text": "x"})
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(count, database).result(timeout=5) == 0


def test_reader_sees_its_snapshot_and_writer_the_newest_state(database_url: str) -> None:
    with opened(database_url, pool_size=1) as database, opened(database_url) as other:
        enter(database, 1)
        counted = select(func.count()).select_from(ENTRIES)
        with database.read() as connection:
            assert connection.execute(counted).scalar_one() == 1
            enter(other, 2)
            assert connection.execute(counted).scalar_one() == 1
        # On PostgreSQL this is the same connection, and it must not keep the reader's level.
        with database.write() as connection:
            assert connection.execute(counted).scalar_one() == 2
            if connection.dialect.name == "postgresql":
                assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "read committed"


def test_error_raised_in_block_is_passed_through(database: Database) -> None:
    enter(database, 1)
    with pytest.raises(IntegrityError):
        enter(database, 1)
    enter(database, 2)


def test_database_error_never_repeats_values(database: Database) -> None:
    enter(database, 1, SECRET)
    with pytest.raises(IntegrityError) as caught:
        enter(database, 1, SECRET)
    assert SECRET not in str(caught.value)
    with pytest.raises(StatementError) as refused, database.write() as connection:
        connection.execute(insert(ENTRIES), {"number": 2, "text": SECRET, "at": dt.datetime(2026, 1, 1)})  # noqa: DTZ001
    assert SECRET not in str(refused.value)


def test_missing_table_is_unavailability(database: Database) -> None:
    # the migration has not run yet: the written data is not at fault
    with pytest.raises(DatabaseUnavailable), database.write() as connection:
        connection.execute(text("SELECT * FROM not_migrated_yet"))


def test_value_too_large_to_index_is_an_error_of_the_block(postgres_database: str) -> None:
    with opened(postgres_database) as database:
        with database.write() as connection:
            connection.execute(text("CREATE TABLE keys (k text PRIMARY KEY)"))
        not_compressible = "".join(chr(0x4E00 + n * 7919 % 20000) for n in range(20_000))
        with pytest.raises(DBAPIError, match="index row"), database.write() as connection:
            connection.execute(text("INSERT INTO keys VALUES (:k)"), {"k": not_compressible})


def test_database_on_full_disk_is_unavailable(sqlite_database: str) -> None:
    with opened(sqlite_database, pool_size=1) as database:
        enter(database, 1)
        with database.read() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        rows = [{"number": n, "text": "x" * 50} for n in range(2, 1000)]
        with pytest.raises(DatabaseUnavailable), database.write() as connection:
            connection.execute(insert(ENTRIES), rows)
        assert count(database) == 1
        with database.read() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=1000000")
        enter(database, 2)


def test_failed_write_is_reported_for_a_minute_although_others_succeed(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    with opened(sqlite_database) as database:
        monkeypatch.setattr("runtime.storage.database.time.monotonic", lambda: now[0])
        monkeypatch.setattr("runtime.storage.database.low_space", lambda _: None)
        assert database.alarm() is None
        with pytest.raises(DatabaseUnavailable), database.write():
            raise DatabaseUnavailable("database or disk is full")
        now[0] += 5
        assert database.alarm() == "writes have failed for 5 s: database or disk is full"
        enter(database, 1)
        assert database.alarm() == "a write failed 5 s ago: database or disk is full"
        now[0] += 55
        assert database.alarm() is None


def test_damaged_sqlite_page_is_database_damage(sqlite_database: str) -> None:
    with opened(sqlite_database) as database:
        enter(database, 1, SECRET)
    file = Path(urlsplit(sqlite_database).path)
    content = bytearray(file.read_bytes())
    page = content.index(SECRET.encode()) // 4096 * 4096
    content[page : page + 4096] = b"\xff" * 4096
    file.write_bytes(content)
    database = Database.open(sqlite_database)
    with pytest.raises(DatabaseDamaged) as caught:
        count(database)
    assert "malformed" in str(caught.value.__cause__)
    database.close()


def test_file_that_is_not_a_database_is_damage(sqlite_database: str) -> None:
    Path(urlsplit(sqlite_database).path).write_bytes(b"something else" * 1_000)
    database = Database.open(sqlite_database)
    with pytest.raises(DatabaseDamaged):
        count(database)
    database.close()


def test_invalid_utf_8_text_is_damage(sqlite_database: str) -> None:
    with opened(sqlite_database) as database:
        enter(database, 1)
        with database.write() as connection:
            connection.exec_driver_sql("UPDATE entries SET text = CAST(x'ff' AS TEXT)")
        with pytest.raises(DatabaseDamaged), database.read() as connection:
            connection.execute(select(ENTRIES)).all()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_CORRUPT_INDEX, DatabaseDamaged),
        (sqlite3.SQLITE_IOERR_READ, DatabaseDamaged),
        (sqlite3.SQLITE_IOERR_CORRUPTFS, DatabaseDamaged),
        (sqlite3.SQLITE_IOERR_WRITE, DatabaseUnavailable),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, DatabaseUnavailable),
    ],
)
def test_read_error_of_disk_is_damage_and_write_error_is_not(
    code: int, expected: type[DatabaseUnavailable]
) -> None:
    # A test cannot make a disk fail in this way.
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    with pytest.raises(DatabaseUnavailable) as caught, translated():
        raise OperationalError("SELECT", {}, error)
    assert type(caught.value) is expected


@pytest.mark.parametrize("condition", ["data_corrupted", "index_corrupted", "io_error"])
def test_corruption_reported_by_postgresql_is_damage(postgres_database: str, condition: str) -> None:
    with opened(postgres_database) as database:
        with pytest.raises(DatabaseDamaged), database.read() as connection:
            connection.exec_driver_sql(f"DO $$ BEGIN RAISE {condition}; END $$")
        assert count(database) == 0


def test_read_only_database_is_unavailable(database_url: str) -> None:
    with opened(database_url) as database:
        enter(database, 1)
        is_sqlite = database_url.startswith("sqlite")
        switch = "PRAGMA query_only=1" if is_sqlite else "SET default_transaction_read_only = on"
        with database.read() as connection:
            connection.exec_driver_sql(switch)
        with pytest.raises(DatabaseUnavailable):
            enter(database, 2)
        assert count(database) == 1


def test_database_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'missing' / 'x.sqlite'}")
    with pytest.raises(DatabaseUnavailable), database.write():
        pytest.fail("the block must not run")
    database = Database.open("postgresql+psycopg2://u:p@127.0.0.1:1/x")
    with pytest.raises(DatabaseUnavailable), database.read():
        pytest.fail("the block must not run")


def test_connection_ended_by_server_is_unavailable_once(postgres_database: str) -> None:
    with opened(postgres_database) as database, opened(postgres_database) as other:
        enter(database, 1)
        name = urlsplit(postgres_database).path[1:]
        end_all = text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = :name AND pid <> pg_backend_pid() AND application_name <> 'emptying'"
        )

        def write_across_the_end() -> None:
            with database.write() as connection:
                connection.execute(insert(ENTRIES), {"number": 2, "text": "x"})
                with other.write() as killer:
                    killer.execute(end_all, {"name": name})
                connection.execute(insert(ENTRIES), {"number": 3, "text": "x"})

        with pytest.raises(DatabaseUnavailable):
            write_across_the_end()
        assert count(database) == 1
        # an idle one is replaced before it is used
        with other.write() as killer:
            killer.execute(end_all, {"name": name})
        enter(database, 2)


def test_waiting_too_long_for_a_connection_is_unavailability(database_url: str) -> None:
    with opened(database_url, pool_size=1) as database:
        database.engine.pool._timeout = 0.2  # type: ignore[attr-defined]
        with ExitStack() as held:
            for _ in range(21):
                held.enter_context(database.read())
            with pytest.raises(DatabaseUnavailable), database.read():
                pytest.fail("the block must not run")
        assert count(database) == 0


def test_writer_waits_for_sqlite_lock_of_another_process(sqlite_database: str) -> None:
    with opened(sqlite_database) as database, opened(sqlite_database) as other:
        entered = threading.Event()

        def hold() -> None:
            with other.write():
                entered.set()
                time.sleep(0.3)

        thread = threading.Thread(target=hold)
        thread.start()
        assert entered.wait(5)
        enter(database, 1)
        thread.join()
        assert count(database) == 1


class Colour(enum.StrEnum):
    RED = "red"


def test_moments_and_json_are_kept_exactly(database: Database) -> None:
    moment = dt.datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=dt.timezone(dt.timedelta(hours=6)))
    before_the_epoch = dt.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC)
    data = {
        "colour": Colour.RED,
        "at": dt.datetime(2026, 3, 1, tzinfo=dt.UTC),
        "text": "Айгерим \0",
        "n": [1, None],
    }
    with database.write() as connection:
        connection.execute(
            insert(ENTRIES),
            [
                {"number": 1, "text": "x", "at": moment, "data": data},
                {"number": 2, "text": "x", "at": before_the_epoch, "data": None},
                {"number": 3, "text": "x", "at": None, "data": []},
            ],
        )
    with database.read() as connection:
        rows = connection.execute(select(ENTRIES).order_by(ENTRIES.c.number)).all()
        ordered = connection.execute(select(ENTRIES.c.number).where(ENTRIES.c.at < moment)).scalars().all()
    assert [row.at for row in rows] == [moment, before_the_epoch, None]
    assert rows[0].data == {**data, "at": "2026-03-01T00:00:00Z"}
    assert [row.data for row in rows[1:]] == [None, []]
    assert ordered == [2]


GREENLETS = """
import sys, time, warnings
warnings.simplefilter("ignore")
import eventlet
eventlet.monkey_patch()
from sqlalchemy import insert
from tests.storage.ledger import ENTRIES, count, opened

with opened(sys.argv[1]) as database:
    beats = []

    def beat():
        while True:
            beats.append(time.monotonic())
            eventlet.sleep(0.001)

    def write(number):
        with database.write() as connection:
            connection.execute(insert(ENTRIES), {"number": number, "text": "x"})
            eventlet.sleep(0.001)  # a wrong yield inside the transaction must not block others
            connection.execute(insert(ENTRIES), {"number": 1000 + number, "text": "x"})

    beating = eventlet.spawn(beat)
    for greenlet in [eventlet.spawn(write, number) for number in range(100)]:
        greenlet.wait()
    beating.kill()
    longest = max(later - earlier for earlier, later in zip(beats, beats[1:]))
    print(count(database), longest < 1, flush=True)
"""


def test_greenlets_that_yield_inside_a_transaction_do_not_freeze(database_url: str, tmp_path: Path) -> None:
    assert words_printed_by(GREENLETS, database_url, tmp_path) == ["200", "True"]


LONG_TRANSACTION = """
import sys, warnings
warnings.simplefilter("ignore")
import eventlet
eventlet.monkey_patch()
from runtime.storage.sql_statement import SqlStatement
from tests.storage.ledger import count, opened

ADD = SqlStatement("INSERT INTO entries (number, text) VALUES (?, ?)")
MOVED = SqlStatement("UPDATE entries SET text = ? WHERE number = ?")

# A statement takes several times as long on PostgreSQL.
many = 30_000 if sys.argv[1].startswith("sqlite") else 10_000

with opened(sys.argv[1]) as database:
    beats = [0]

    def beat():
        while True:
            beats[0] += 1
            eventlet.sleep(0)

    eventlet.spawn(beat)
    eventlet.sleep(0)
    with database.write() as transaction:
        before = beats[0]
        ADD.run_for_each(transaction, [(number, "x") for number in range(many)])
        between = beats[0]
        for number in range(many // 3):
            MOVED.run(transaction, "y", number)
        after = beats[0]
    print(count(database) == many, between - before >= 5, after - between >= 5, flush=True)
"""


def test_other_greenlets_run_during_a_transaction_of_many_statements(
    database_url: str, tmp_path: Path
) -> None:
    printed = words_printed_by(LONG_TRANSACTION, database_url, tmp_path)
    assert printed == ["True", "True", "True"]


def test_work_after_commit_runs_once_and_never_after_a_rollback(database: Database) -> None:
    done: list[str] = []
    with pytest.raises(KeyError), database.write() as connection:
        after_commit(connection, lambda: done.append("rolled back"))
        raise KeyError
    with database.write() as connection:
        connection.execute(insert(ENTRIES), {"number": 1, "text": "kept"})
        after_commit(connection, lambda: done.append("committed"))
        assert done == []
    with database.write():
        pass
    assert done == ["committed"]
