"""The store of watch reports: in memory, on SQLite and on PostgreSQL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection

from services.directory.adapters.watch_store import SqlWatchStore
from services.directory.domain.watch_report import EmployerReply
from services.directory.ports import KeyedReport, WatchStore
from tests.port_contracts.memory_watch_store import MemoryWatchStore
from tests.support import migrated
from tests.unit.services.directory.watch_samples import NOON, employer, report

DAY = dt.timedelta(days=1)
A, B = "kg.a", "kg.b"


@pytest.fixture
def transaction(database_url: str) -> Iterator[Connection]:
    with migrated.transaction("services.directory", database_url) as connection:
        yield connection


@pytest.fixture(params=[MemoryWatchStore, SqlWatchStore])
def store(request: pytest.FixtureRequest) -> WatchStore:
    made: WatchStore = request.param()
    return made


def keyed(report_id: str, reporter: str = A, key: str | None = None, **changes: Any) -> KeyedReport:
    return KeyedReport(report=report(reporter, id=report_id, **changes), body_sha256="0" * 64, key=key)


def test_report_is_read_as_it_was_stored(store: WatchStore, transaction: Connection) -> None:
    kept = keyed("1", key="k", of=employer("ОсОО «Ёлка»", registration_number="7701234567"))
    store.add(transaction, kept)
    assert store.one(transaction, "1") == kept.report
    assert store.by_key(transaction, A, "k") == kept
    assert store.by_key(transaction, B, "k") is None
    assert store.one(transaction, "2") is None
    store.add(transaction, keyed("2", B, key="k"))
    # Reports without a key do not exclude each other.
    store.add(transaction, keyed("3"))
    store.add(transaction, keyed("4"))


def test_own_reports_are_paged_by_id(store: WatchStore, transaction: Connection) -> None:
    for report_id, reporter in (("3", A), ("1", A), ("2", B), ("4", A)):
        store.add(transaction, keyed(report_id, reporter))
    assert [one.id for one in store.of(transaction, A, "", 2)] == ["1", "3"]
    assert [one.id for one in store.of(transaction, A, "3", 2)] == ["4"]


def test_retracted_and_old_reports_do_not_count(store: WatchStore, transaction: Connection) -> None:
    abroad = employer(country="KZ", region=None)
    for kept in (keyed("1"), keyed("2"), keyed("3", reported_at=NOON - DAY), keyed("4", of=abroad)):
        store.add(transaction, kept)
    store.retract(transaction, "1", NOON)
    retracted = store.one(transaction, "1")
    assert retracted == replace(keyed("1").report, retracted_at=NOON)
    found = store.counting(transaction, since=NOON - DAY, country=None)
    assert [one.id for one in found] == ["2", "4"]
    assert [one.id for one in store.counting(transaction, since=NOON - DAY, country="KZ")] == ["4"]


def test_reports_of_one_reporter_are_counted_retracted_or_not(
    store: WatchStore, transaction: Connection
) -> None:
    for report_id, reporter, age in (("1", A, 3), ("2", A, 1), ("3", A, 1), ("4", B, 1)):
        store.add(transaction, keyed(report_id, reporter, reported_at=NOON - age * DAY))
    store.retract(transaction, "3", NOON)
    assert store.number_made(transaction, A, since=NOON - 3 * DAY) == 2
    assert store.number_made(transaction, A, since=NOON - 4 * DAY) == 3
    assert store.number_made(transaction, "kg.none", since=NOON - 4 * DAY) == 0


def test_employers_of_retracted_reports_are_yielded_too(store: WatchStore, transaction: Connection) -> None:
    abroad = employer(country="KZ", region=None)
    store.add(transaction, keyed("1"))
    store.add(transaction, keyed("2", of=abroad))
    store.retract(transaction, "1", NOON)
    assert sorted(one.country for one in store.reported(transaction)) == ["KZ", "RU"]


def test_choice_reports_whether_it_changes_anything(store: WatchStore, transaction: Connection) -> None:
    changes = [
        store.choose(transaction, A, receives=receives, at=NOON + n * DAY)
        for n, receives in enumerate((False, True, True, False, True))
    ]
    assert changes == [False, True, False, True, True]
    assert store.receiving(transaction) == {A: NOON + 4 * DAY}


def test_reply_replaces_the_earlier_one(store: WatchStore, transaction: Connection) -> None:
    first = EmployerReply(watched_id="1", employer=employer(), text="One", by="kg.desk", at=NOON)
    store.put_reply(transaction, first)
    second = replace(first, text="Two\0", at=NOON + DAY)
    store.put_reply(transaction, second)
    assert store.replies(transaction, None) == store.replies(transaction, "RU") == [second]
    assert store.replies(transaction, "KZ") == []
    store.forget_replies(transaction, ["1"])
    assert store.replies(transaction, None) == []


def test_oldest_reports_are_forgotten_first(store: WatchStore, transaction: Connection) -> None:
    for number, age in (("1", 1), ("2", 3), ("3", 2), ("4", 0)):
        store.add(transaction, keyed(number, reported_at=NOON - age * DAY))
    assert store.forget_reports(transaction, NOON - DAY, 2) == 2
    assert [one.id for one in store.of(transaction, A, "", 9)] == ["1", "4"]
    assert store.forget_reports(transaction, NOON - DAY, 2) == 1
    assert store.forget_reports(transaction, NOON - DAY, 2) == 0
