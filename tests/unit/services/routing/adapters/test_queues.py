"""The cost of a page of a coordinators' queue beside many closed referrals."""

from __future__ import annotations

import datetime as dt
import functools
import json
import sqlite3
from typing import Any

import pytest
from sqlalchemy import create_engine, insert
from sqlalchemy.dialects import sqlite

from runtime.clock import SystemClock
from runtime.storage import migrate
from runtime.storage.database import Database
from services.routing.adapters import engagements
from services.routing.adapters.queues import queue_page
from services.routing.adapters.tables import METADATA, OFFERS, REFERRALS
from services.routing.domain.coordination_queue import QueueFilter, QueueKind, QueuePosition
from tests.support.query_plans import rows_read

NOW = SystemClock().now()
HOUR = dt.timedelta(hours=1)
OPEN = 60
STATUSES = ("unplaced", "offered", "accepted")
FILTERS = [QueueFilter(), QueueFilter(region="RU", need="legal", organization="kg.us")]


def fill(database: Database, count: int) -> None:
    """Write `OPEN` open referrals, evenly in each status, beside closed ones."""
    facts = {"region": "RU-MOW", "needs": ["legal.wage_claim"]}
    rows = []
    for number in range(count):
        is_open = number < OPEN
        status = STATUSES[number % 3] if is_open else "completed"
        rows.append(
            {
                "id": f"{number:036}",
                "sender": "kg.us",
                "status": status,
                "facts": facts,
                "correlation_id": "c",
                "submitted_at": NOW,
                "updated_at": NOW,
                "acceptor": "ru.one" if status == "accepted" else None,
                "overdue_since": NOW if status == "accepted" else None,
                "acceptor_suspended_since": NOW if status == "accepted" else None,
                "priority": number % 2 if is_open else None,
                "turn_at": NOW,
                "need_group": "legal",
                "country": "RU",
            }
        )
    with database.write() as transaction:
        METADATA.create_all(transaction)
        transaction.execute(insert(REFERRALS), rows)
        transaction.execute(
            insert(OFFERS),
            [
                {
                    "id": row["id"],
                    "referral_id": row["id"],
                    "organization": "ru.one",
                    "service": "s",
                    "rank": 1,
                    "state": "open" if row["status"] == "offered" else "declined",
                    "opened_at": NOW - HOUR,
                    "deadline": NOW,
                    "acts_at": NOW,
                }
                for row in rows
            ],
        )


AFTER = QueuePosition(priority=0, turn_at=NOW, referral_id=f"{6:036}")


def query(kind: QueueKind, wanted: QueueFilter) -> Any:
    return queue_page(kind, NOW, wanted, after=AFTER, limit=10)


@pytest.mark.parametrize("wanted", FILTERS)
@pytest.mark.parametrize("kind", QueueKind)
def test_sqlite_page_cost_is_independent_of_closed_referrals(kind: QueueKind, wanted: QueueFilter) -> None:
    few, many = (_steps(count, kind, wanted) for count in (100, 10_000))
    assert few > 0
    assert many < 1.5 * few


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (engagements.open_offers("ru.one"), "offers_open"),
        (engagements.accepted("ru.one"), "referrals_held"),
        (engagements.offered_needs("ru.one"), "offers_open"),
        (engagements.sent("ru.one"), "referrals_queue"),
    ],
)
def test_sqlite_counts_engagements_by_indexes_without_closed_rows(
    sqlite_database: str, statement: Any, index: str
) -> None:
    # The migrated schema: SQLite chooses between equal indexes by the order of their creation.
    database = Database.open(sqlite_database)
    migrate.upgrade("services.routing", database)
    text = statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    with database.read() as transaction:
        plan = [row.detail for row in transaction.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
    database.close()
    assert any(f"INDEX {index} (" in step for step in plan), plan


def _steps(count: int, kind: QueueKind, wanted: QueueFilter) -> int:
    """Count SQLite's virtual machine instructions for one page, in tens."""
    connection = _filled(count)
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    text = query(kind, wanted).compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    connection.set_progress_handler(step, 10)
    assert connection.execute(str(text)).fetchall()
    connection.set_progress_handler(None, 10)
    return steps


@functools.cache
def _filled(count: int) -> sqlite3.Connection:
    """A database of this number of referrals, which all queries of a page read."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    fill(Database(create_engine("sqlite://", creator=lambda: connection)), count)
    return connection


def test_postgresql_page_reads_no_closed_referral(postgres_database: str) -> None:
    database = Database.open(postgres_database)
    fill(database, 5_000)
    with database.write() as transaction:
        transaction.exec_driver_sql("ANALYZE")
        for kind in QueueKind:
            for wanted in FILTERS:
                text = query(kind, wanted).compile(database.engine, compile_kwargs={"literal_binds": True})
                statement = f"EXPLAIN (ANALYZE, FORMAT JSON) {text}".replace("%", "%%")
                (plan,) = transaction.exec_driver_sql(statement).scalar_one()
                assert plan["Plan"]["Actual Rows"] > 0
                assert rows_read(plan["Plan"]) < 6 * OPEN, json.dumps(plan, indent=1)
    database.close()
