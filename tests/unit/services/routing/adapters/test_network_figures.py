"""The cost of the network's figures beside many closed referrals."""

from __future__ import annotations

import json
import sqlite3

import pytest
from sqlalchemy import create_engine

from runtime.storage import migrate
from runtime.storage.database import Database
from runtime.storage.sql_statement import SqlStatement
from services.routing.adapters.network_figures import (
    ACCEPTOR_SUSPENDED,
    OLDEST_OFFERS,
    OPEN,
    OVERDUE,
    network_figures,
)
from tests.support.query_plans import rows_read
from tests.unit.services.routing.adapters.test_queues import OPEN as OPEN_REFERRALS
from tests.unit.services.routing.adapters.test_queues import fill


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (OPEN, "SCAN referrals USING COVERING INDEX referrals_figures"),
        (OVERDUE, "SCAN referrals USING INDEX referrals_overdue"),
        (ACCEPTOR_SUSPENDED, "SCAN referrals USING INDEX referrals_acceptor_suspended"),
        (OLDEST_OFFERS, "SCAN offers USING INDEX offers_due"),
    ],
)
def test_sqlite_reads_figures_by_indexes_without_closed_rows(
    sqlite_database: str, statement: SqlStatement, index: str
) -> None:
    # The migrated schema: SQLite chooses between equal indexes by the order of their creation.
    database = Database.open(sqlite_database)
    migrate.upgrade("services.routing", database)
    with database.read() as transaction:
        steps = [row[3] for row in SqlStatement(f"EXPLAIN QUERY PLAN {statement.text}").run(transaction)]
    database.close()
    assert steps[0] == index, steps
    assert [step for step in steps if step.startswith(("SCAN", "SEARCH")) and "INDEX" not in step] == []


def test_sqlite_figures_cost_is_independent_of_closed_referrals() -> None:
    few, many = (_steps(count) for count in (100, 10_000))
    assert few > 0
    assert many < 1.5 * few


def _steps(count: int) -> int:
    """Count SQLite's virtual machine instructions for all figures, in tens."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    database = Database(create_engine("sqlite://", creator=lambda: connection))
    fill(database, count)
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection.set_progress_handler(step, 10)
    with database.read() as transaction:
        figures = network_figures(transaction)
    connection.set_progress_handler(None, 0)
    assert sum(one.referrals for one in figures.open) == OPEN_REFERRALS
    connection.close()
    return steps


def test_postgresql_figures_read_no_closed_referral(postgres_database: str) -> None:
    database = Database.open(postgres_database)
    fill(database, 5_000)
    with database.write() as transaction:
        transaction.exec_driver_sql("ANALYZE")
        for statement in (OPEN, OVERDUE, ACCEPTOR_SUSPENDED, OLDEST_OFFERS):
            explained = SqlStatement(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.text}")
            (plan,) = explained.run(transaction).scalar_one()
            assert rows_read(plan["Plan"]) < 6 * OPEN_REFERRALS, json.dumps(plan, indent=1)
    database.close()
