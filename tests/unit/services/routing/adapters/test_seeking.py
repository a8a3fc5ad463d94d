"""The cost of a look-up of the referrals that a change concerns, beside many that it does not."""

from __future__ import annotations

import json

from sqlalchemy import insert
from sqlalchemy.dialects import sqlite

from runtime.storage.database import Database
from services.routing.adapters.seeking import concerned_page
from services.routing.adapters.tables import FURTHER_NEEDS, SEEKING
from services.routing.domain.directory import Reach
from tests.support.migrated import upgrade
from tests.support.query_plans import rows_read

# Several needs, in a region and the whole country.
REACH = Reach(
    needs=frozenset({"legal", "legal.wage_claim", "legal.document_loss"}), areas=frozenset({"RU-MOW", "RU"})
)
CONCERNED, EVERY = 20, 6_000
INDEXES = {
    *("seeking_receiver", "seeking_sender", "seeking_region", "seeking_country"),
    *("further_needs_region", "further_needs_country"),
}


def fill(database: Database) -> None:
    """Write referrals; the reach covers the first need of some, and two further needs of others."""
    first, further = [], []
    for number in range(EVERY):
        is_concerned = number % (EVERY // CONCERNED) == 0
        needs = ["work", "legal.wage_claim", "legal.document_loss"] if number % 600 else ["legal", "work"]
        area = {"region": "RU-MOW" if is_concerned else "KZ-75", "country": "RU" if is_concerned else "KZ"}
        row = {"referral_id": f"{number:036}", **area}
        first.append({**row, "need": needs[0], "sender": f"kg.{number % 50}", "receiver": None})
        further += [{**row, "need": need} for need in needs[1:]]
    with database.write() as transaction:
        transaction.execute(insert(SEEKING), first)
        transaction.execute(insert(FURTHER_NEEDS), further)


def test_sqlite_reads_concerned_referrals_through_an_index_for_each_reason(sqlite_database: str) -> None:
    # The migrated schema: SQLite chooses between equal indexes by the order of their creation.
    database = Database.open(sqlite_database)
    upgrade("services.routing", database)
    query = concerned_page("ru.one", REACH, f"{1:036}", 10)
    text = query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    with database.read() as transaction:
        plan = [row.detail for row in transaction.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
    database.close()
    read = [step for step in plan if " seeking " in step or " further_needs " in step]
    assert {step.split("INDEX ")[1].split(" ")[0] for step in read} == INDEXES, plan
    assert all(step.startswith("SEARCH") for step in read), plan


def test_postgresql_reads_no_referral_that_is_not_concerned(postgres_database: str) -> None:
    database = Database.open(postgres_database)
    upgrade("services.routing", database)
    fill(database)
    with database.write() as transaction:
        transaction.exec_driver_sql("ANALYZE seeking, further_needs")
        for after in (None, f"{EVERY // 4:036}"):
            query = concerned_page("ru.one", REACH, after, 10)
            text = query.compile(database.engine, compile_kwargs={"literal_binds": True})
            statement = f"EXPLAIN (ANALYZE, FORMAT JSON) {text}".replace("%", "%%")
            (plan,) = transaction.exec_driver_sql(statement).scalar_one()
            assert plan["Plan"]["Actual Rows"] == 10
            assert rows_read(plan["Plan"]) < 20 * CONCERNED, json.dumps(plan, indent=1)
    database.close()
