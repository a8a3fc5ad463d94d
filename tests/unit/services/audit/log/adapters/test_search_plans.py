"""Search plans use indices in order, without full scans and sorts."""

from __future__ import annotations

import datetime as dt
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy import event as listening

from runtime.identifiers import new_id
from services.audit.log.domain.search import Search
from services.audit.log.ports import StoredLeaf
from tests.servers import PostgresServer
from tests.unit.services.audit.logs import NOON, LogOnDatabase, event

MINUTE = dt.timedelta(minutes=1)
REFERRAL = new_id()
ACTOR, NEED, REGION = ("actor", "/kg/intake"), ("need", "legal"), ("region", "RU-MOW")
FACTS = {"needs": ["legal.wage_claim"], "region": "RU-MOW", "origin_country": "KG"}

ALONE = {
    "everything": Search(),
    "referral": Search(referral_id=REFERRAL),
    "organization": Search(organization="kg.osh-legal-aid"),
    "type": Search(type="kopuro.referral.submitted.v1"),
    "from": Search(since=NOON + MINUTE),
    "to": Search(until=NOON + 300 * MINUTE),
    "span": Search(since=NOON + MINUTE, until=NOON + 300 * MINUTE),
    "actor": Search(facets=(ACTOR,)),
    "need": Search(facets=(NEED,)),
    "region": Search(facets=(REGION,)),
    "origin": Search(facets=(("origin", "KG"),)),
    "corridor": Search(facets=(("corridor", "KG-RU"),)),
    "outcome": Search(facets=(("outcome", "resolved"),)),
}
TOGETHER = {
    "referral and type": Search(referral_id=REFERRAL, type="kopuro.referral.submitted.v1"),
    "organization and type": Search(organization="kg.osh-legal-aid", type="kopuro.referral.submitted.v1"),
    "type and span": Search(type="kopuro.referral.submitted.v1", until=NOON + 20 * MINUTE),
    "actor and span": Search(facets=(ACTOR,), since=NOON + MINUTE, until=NOON + 20 * MINUTE),
    "three facets": Search(facets=(ACTOR, NEED, REGION)),
    "all": Search(
        referral_id=REFERRAL,
        organization="kg.osh-legal-aid",
        type="kopuro.referral.submitted.v1",
        since=NOON,
        until=NOON + 20 * MINUTE,
        facets=(ACTOR, NEED, REGION),
    ),
}

# SQLite scans what a statement made itself: the few rows that `_count` counts.
_OWN = re.compile(r"^(SCAN|CO-ROUTINE|CORRELATED|SCALAR|MATERIALIZE)\b(?! (entries|facets|organizations))")
_READS = re.compile(r"\bFROM\b")
_WRONG = re.compile("Seq Scan|Bitmap|Sort|Hash|Merge")
_SOUGHT = re.compile(r"^SEARCH \S+ USING (COVERING INDEX|INDEX|INTEGER PRIMARY KEY|PRIMARY KEY)\b")


@pytest.fixture
def postgres_database(postgres: PostgresServer) -> str:
    """A new database: a lent one may have statistics of the tables that earlier tests filled."""
    return postgres.create_database(f"plans_{secrets.token_hex(6)}")


@pytest.fixture
def filled(audit: LogOnDatabase) -> LogOnDatabase:
    """A log without statistics, like one that has just been restored."""
    for start in range(0, 400, 200):
        audit.append(
            [
                event(
                    "kopuro.referral.submitted.v1" if n % 4 else "kopuro.offer.opened.v1",
                    partition_key=REFERRAL if n == 7 else new_id(),
                    time=NOON + n * MINUTE,
                    source="/kg/intake" if n % 3 else "/kg/routing",
                    data={
                        "sender": "kg.osh-legal-aid" if n % 5 == 2 else f"kg.{n % 10}",
                        "outcome": "resolved",
                        "facts": FACTS,
                    },
                )
                for n in range(start, start + 200)
            ]
        )
    return audit


@contextmanager
def explained(audit: LogOnDatabase) -> Iterator[list[str]]:
    """The lines of the plan of every statement, as it is planned in the midst of its transaction."""
    engine, lines = audit.database.engine, list[str]()
    word = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN (COSTS OFF)"

    def explain(
        connection: Connection, cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
    ) -> None:
        if statement.startswith("SELECT") and _READS.search(statement):
            cursor.execute(f"{word} {statement}", parameters)
            lines.extend(str(row[-1]).strip() for row in cursor.fetchall())

    listening.listen(engine, "before_cursor_execute", explain)
    try:
        yield lines
    finally:
        listening.remove(engine, "before_cursor_execute", explain)


def plan(audit: LogOnDatabase, search: Search, start: int) -> list[str]:
    with explained(audit) as lines, audit.database.read() as transaction:
        audit.log.search_some(transaction, search, start=start, stop=400, limit=21, max_scanned=50)
    assert lines
    return lines


def test_search_page_uses_an_index_without_sorting(filled: LogOnDatabase) -> None:
    for name, search in (ALONE | TOGETHER).items():
        for start in (0, 200):
            lines = plan(filled, search, start)
            if filled.database.engine.dialect.name == "sqlite":
                wrong = [line for line in lines if not _SOUGHT.match(line) and not _OWN.match(line)]
            else:
                wrong = [line for line in lines if _WRONG.search(line)]
            assert wrong == [], f"{name}, from {start}"


def test_search_page_starts_at_its_index_position(filled: LogOnDatabase) -> None:
    """A page that began at the first matching entry would read all entries before it."""
    for name, search in ALONE.items():
        text = " ".join(plan(filled, search, 200))
        if filled.database.engine.dialect.name == "sqlite":
            assert re.search(r"(leaf_index|rowid)>\? AND (leaf_index|rowid)<\?", text), name
        else:
            assert re.search(r"Index Cond: .*leaf_index\)? >= .*leaf_index\)? < ", text), name


def test_wrong_database_statistics_do_not_change_the_search_plan(filled: LogOnDatabase) -> None:
    """In a small log other indexes are nearly as good, and PostgreSQL knows its size."""
    with filled.database.write() as transaction:
        transaction.exec_driver_sql("ANALYZE")
    keys = {"referral": "entries_referral_id", "type": "entries_type", "organization": "organizations"}
    for name, search in ALONE.items():
        key = keys.get(name, "facets" if search.facets else "entries")
        of_sqlite = f"USING (COVERING )?INDEX {key}|{key} USING (INTEGER )?PRIMARY KEY"
        of_postgresql = f"using ({key}|{key}_pkey) on"
        found = of_sqlite if filled.database.engine.dialect.name == "sqlite" else of_postgresql
        others = r"facets_leaf_index" if name in keys or search.facets else "entries_type"
        text = " ".join(plan(filled, search, 200))
        assert re.search(found, text), f"{name}: {text}"
        assert not re.search(others, text), f"{name}: {text}"


def test_bounded_scans_together_find_all_matches(filled: LogOnDatabase) -> None:
    for name, search in (ALONE | TOGETHER).items():
        with filled.database.read() as transaction:
            at_once = filled.log.search(transaction, search, start=0, stop=400, limit=400)
            piece_by_piece: list[StoredLeaf] = []
            start = 0
            while start < 400:
                some, start = filled.log.search_some(
                    transaction, search, start=start, stop=400, limit=400, max_scanned=10
                )
                piece_by_piece += some
        assert piece_by_piece == at_once, name
        assert at_once, name


def test_query_after_a_search_has_the_default_plan(filled: LogOnDatabase) -> None:
    if filled.database.engine.dialect.name != "postgresql":
        pytest.skip("SQLite has no such settings")
    with filled.database.read() as transaction:
        settings = [f"enable_{way}" for way in ("bitmapscan", "seqscan", "sort", "incremental_sort")]
        for search in (Search(since=NOON + 10_000 * MINUTE), TOGETHER["all"]):
            filled.log.search_some(transaction, search, start=0, stop=400, limit=21, max_scanned=50)
            shown = [transaction.exec_driver_sql(f"SHOW {name}").scalar_one() for name in settings]
            assert shown == ["on"] * 4
