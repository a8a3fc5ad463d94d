"""The store of applications: in memory, on SQLite and on PostgreSQL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Connection

from contracts.codes import ApplicationRefusal, ApplicationState
from services.directory.adapters.application_store import SqlApplicationStore
from services.directory.ports import ApplicationStore
from tests.port_contracts.memory_application_store import MemoryApplicationStore
from tests.support import migrated
from tests.unit.services.directory.application_samples import NOON, content, kept

DAY = dt.timedelta(days=1)


@pytest.fixture
def transaction(database_url: str) -> Iterator[Connection]:
    with migrated.transaction("services.directory", database_url) as connection:
        yield connection


@pytest.fixture(params=[MemoryApplicationStore, SqlApplicationStore])
def store(request: pytest.FixtureRequest) -> ApplicationStore:
    made: ApplicationStore = request.param()
    return made


def test_application_is_read_as_it_was_stored(store: ApplicationStore, transaction: Connection) -> None:
    smallest = kept("2", content=content(contact={"name": "А", "telephone": "+996312000000"}, website=None))
    for one in (kept("1"), smallest):
        store.add(transaction, one)
    assert store.one(transaction, "1") == kept("1")
    assert store.one(transaction, "2") == smallest
    assert store.one(transaction, "3") is None
    assert store.by_reference(transaction, kept("1").reference_sha256) == kept("1")
    assert store.by_reference(transaction, "0" * 64) is None


def test_step_replaces_all_members_and_erases_those_that_are_none(
    store: ApplicationStore, transaction: Connection
) -> None:
    store.add(transaction, kept("1"))
    ended = replace(
        kept("1"),
        state=ApplicationState.refused,
        content=None,
        salt=None,
        approval_id="9",
        organization="kg.a",
        decided_by="kg.desk",
        decided_at=NOON,
        expires_at=NOON + DAY,
        reason=ApplicationRefusal.not_reachable,
        note="A\nnote",
    )
    store.settle(transaction, ended)
    assert store.one(transaction, "1") == ended
    assert store.by_approval(transaction, "9") == ended
    assert store.by_approval(transaction, "8") is None


def test_applications_are_paged_by_id_and_state(store: ApplicationStore, transaction: Connection) -> None:
    refused = replace(kept("3"), state=ApplicationState.refused)
    for one in (kept("4"), kept("1"), refused, kept("2", state=ApplicationState.in_approval)):
        store.add(transaction, one)
    assert [one.id for one in store.page(transaction, None, "", 3)] == ["1", "2", "3"]
    assert [one.id for one in store.page(transaction, None, "3", 3)] == ["4"]
    assert [one.id for one in store.page(transaction, ApplicationState.waiting, "", 9)] == ["1", "4"]
    assert store.count_open(transaction) == 3


def test_applications_that_were_sent_lately_and_withdrawn_are_counted(
    store: ApplicationStore, transaction: Connection
) -> None:
    withdrawn = ApplicationState.withdrawn
    for one in (
        kept("1", submitted_at=NOON, state=withdrawn),
        kept("2", submitted_at=NOON - DAY, state=withdrawn),
        kept("3", submitted_at=NOON, state=ApplicationState.refused),
        kept("4", submitted_at=NOON),
        kept("5", submitted_at=NOON + DAY, state=withdrawn),
    ):
        store.add(transaction, one)
    assert store.count_withdrawn(transaction, NOON - DAY, 9) == 2
    assert store.count_withdrawn(transaction, NOON - 2 * DAY, 9) == 3
    assert store.count_withdrawn(transaction, NOON - 2 * DAY, 1) == 1
    assert store.count_withdrawn(transaction, NOON + DAY, 9) == 0


def test_waiting_applications_are_overdue_and_ended_ones_forgotten(
    store: ApplicationStore, transaction: Connection
) -> None:
    for one in (
        kept("1", expires_at=NOON),
        kept("2", expires_at=NOON - DAY),
        kept("3", expires_at=NOON + DAY),
        kept("4", expires_at=NOON - DAY, state=ApplicationState.in_approval),
        kept("5", expires_at=NOON, state=ApplicationState.withdrawn),
        kept("6", expires_at=NOON - DAY, state=ApplicationState.vetted),
        kept("7", expires_at=NOON + DAY, state=ApplicationState.refused),
    ):
        store.add(transaction, one)
    assert store.overdue(transaction, NOON, 9) == ["2", "1"]
    assert store.overdue(transaction, NOON, 1) == ["2"]
    assert store.forget(transaction, NOON, 1) == 1
    assert store.one(transaction, "6") is None
    assert store.forget(transaction, NOON, 9) == 1
    assert [one.id for one in store.page(transaction, None, "", 9)] == ["1", "2", "3", "4", "7"]
