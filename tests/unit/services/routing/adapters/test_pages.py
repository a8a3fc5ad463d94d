"""Pages of referral lists: their contents, and their cost on large tables."""

from __future__ import annotations

import functools
import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import create_engine, insert
from sqlalchemy.dialects import sqlite

from runtime.clock import SystemClock
from runtime.storage.database import Database
from services.routing.adapters.pages import UNDER_WAY, page_of
from services.routing.adapters.tables import METADATA, OFFERS, REFERRALS

US, OTHERS = "kg.us", ("ru.one", "ru.two")
NOW = SystemClock().now()
STATUSES = ("completed", "completed", "failed", "in_progress", "unplaced")


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """One referral of a sample. asked: the organisations with an offer, possibly repeated.

    The first of them has accepted, and the others have declined.
    """

    id: str
    sender: str
    status: str
    asked: tuple[str, ...]

    def is_listed(self, party: str | None, status: str | None) -> bool:
        if status not in (None, self.status):
            return False
        concerned = self.asked if status is None else self.asked[:1]
        return party is None or self.sender == party or party in concerned


def sample(count: int, under_way: int | None = None) -> list[Known]:
    """under_way: the most open referrals."""
    chance = random.Random(count)
    found: list[Known] = []
    for number in range(count):
        status = chance.choice(STATUSES)
        if under_way is not None and status in UNDER_WAY and number >= under_way:
            status = "completed"
        asked = tuple(chance.choices((US, *OTHERS), k=chance.randrange(4)))
        found.append(
            Known(id=f"{number:08}", sender=chance.choice((US, *OTHERS)), status=status, asked=asked)
        )
    return found


def fill(database: Database, known: list[Known]) -> None:
    with database.write() as transaction:
        METADATA.create_all(transaction)
        transaction.execute(
            insert(REFERRALS),
            [
                {
                    "id": one.id,
                    "sender": one.sender,
                    "status": one.status,
                    "facts": {},
                    "correlation_id": one.id,
                    "submitted_at": NOW,
                    "updated_at": NOW,
                }
                for one in known
            ],
        )
        transaction.execute(
            insert(OFFERS),
            [
                {
                    "id": f"{one.id}-{number}",
                    "referral_id": one.id,
                    "organization": organization,
                    "service": "s",
                    "rank": number,
                    "state": "declined" if number else "accepted",
                    "opened_at": NOW,
                    "deadline": NOW,
                    "acts_at": NOW,
                }
                for one in known
                for number, organization in enumerate(one.asked)
            ],
        )


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database.open(database_url)
    yield opened
    opened.close()


@pytest.mark.parametrize("party", [US, None, "kg.nobody"])
def test_pages_together_hold_the_whole_list(database: Database, party: str | None) -> None:
    known = sample(120)
    fill(database, known)
    for status in (None, "completed", "failed", "in_progress", "rejected"):
        expected = [one.id for one in known if one.is_listed(party, status)]
        found: list[str] = []
        with database.read() as transaction:
            while page := list(
                transaction.execute(
                    page_of(party=party, status=status, after=found[-1] if found else None, limit=7)
                ).scalars()
            ):
                assert len(page) <= 7
                found += page
        assert found == expected


@pytest.mark.parametrize("party", [US, None])
@pytest.mark.parametrize("status", [None, "completed", "in_progress"])
def test_page_cost_is_independent_of_the_number_of_referrals(party: str | None, status: str | None) -> None:
    few, many = (_steps(count, party, status) for count in (100, 10_000))

    assert many < 1.5 * few


def _steps(count: int, party: str | None, status: str | None) -> int:
    """Count SQLite's virtual machine instructions for one page, in tens."""
    connection = _filled(count)
    query = page_of(party=party, status=status, after=None, limit=20)
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    text = query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    connection.set_progress_handler(step, 10)
    connection.execute(str(text)).fetchall()
    connection.set_progress_handler(None, 10)
    return steps


@functools.cache
def _filled(count: int) -> sqlite3.Connection:
    """A database of this number of referrals, forty of them under way, which all queries of a page read."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    fill(Database(create_engine("sqlite://", creator=lambda: connection)), sample(count, under_way=40))
    return connection


@pytest.mark.parametrize("status", [None, "completed", "in_progress"])
def test_postgresql_page_skips_few_rows_after_analyze(postgres_database: str, status: str | None) -> None:
    database = Database.open(postgres_database)
    known = sample(5_000, under_way=40)
    fill(database, known)
    with database.write() as transaction:
        transaction.exec_driver_sql("ANALYZE")
        query = page_of(party=US, status=status, after=None, limit=20)
        text = query.compile(database.engine, compile_kwargs={"literal_binds": True})
        (plan,) = transaction.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}").scalar_one()
    database.close()
    assert _passed_over(plan["Plan"]) < 500


def _passed_over(node: dict[str, Any]) -> float:
    """Return the rows that the nodes of a plan produced or filtered out."""
    rows: float = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    loops: float = node["Actual Loops"]
    return loops * rows + sum(_passed_over(part) for part in node.get("Plans", ()))
