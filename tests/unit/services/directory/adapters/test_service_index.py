"""Searches for services that few organisations offer."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import create_engine, event, insert

from runtime.storage.database import Database
from services.directory.adapters.service_index import SqlServiceIndex
from services.directory.adapters.tables import METADATA, SERVICE_AREAS, SERVICE_NEEDS, SERVICES
from services.directory.handlers.listings import Listings
from tests.unit.services.directory.samples import Directory, organization, service_record

SERVICES_IN_ALL = 6_000
Keys = list[tuple[str, str]]


def test_search_in_windows_finds_what_a_search_of_all_finds(directory: Directory) -> None:
    organizations = [
        organization(
            f"kg.o{number:02}",
            services=[
                service_record(id="rare" if number % 5 == 0 else "usual", areas=["KG-GO", "KG-O"]),
                service_record(id="other", needs=["basic_needs"], areas=["KG-O"]),
            ],
        )
        for number in range(23)
    ]
    with directory.database.write() as transaction:
        SqlServiceIndex().replace(transaction, organizations)
    for window in (1, 2, 7, 46, 47, 1_000):
        index = SqlServiceIndex(window)

        def found(after: tuple[str, str], limit: int, index: SqlServiceIndex = index) -> Keys:
            with directory.database.read() as transaction:
                rows = index.find(
                    transaction, frozenset({"legal", "legal.wage_claim"}), frozenset({"KG-GO"}), after, limit
                )
                return [(one.organization, one.service.id) for one in rows]

        every = [(one.id, one.services[0].id) for one in organizations]
        assert found(("", ""), 100) == every
        assert found(("", ""), 5) == every[:5]
        assert found(every[4], 100) == every[5:]
        assert found(every[-1], 100) == []


def test_search_for_a_need_that_nobody_offers_holds_the_process_for_one_window_at_a_time() -> None:
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    engine = create_engine("sqlite://", creator=lambda: connection)
    database = Database(engine)
    keys = [{"organization": f"kg.o{number:06}", "service": "s"} for number in range(SERVICES_IN_ALL)]
    with database.write() as transaction:
        METADATA.create_all(transaction)
        transaction.execute(insert(SERVICES), [{**key, "record": {}} for key in keys])
        transaction.execute(insert(SERVICE_NEEDS), [{**key, "need": "legal.wage_claim"} for key in keys])
        transaction.execute(insert(SERVICE_AREAS), [{**key, "area": "RU-MOW"} for key in keys])
    steps: list[int] = []  # SQLite's virtual machine instructions of each statement, in hundreds

    def begins(*_: Any) -> None:
        steps.append(0)

    def step() -> int:
        steps[-1] += 1
        return 0

    event.listen(engine, "before_cursor_execute", begins)
    connection.set_progress_handler(step, 100)
    listings = Listings(database=database, register=None, index=SqlServiceIndex())  # type: ignore[arg-type]
    assert listings.services("legal.wage_claim", "KZ-75", ("", ""), 200) == []
    connection.set_progress_handler(None, 0)
    assert sum(steps) > 0
    assert max(steps) < sum(steps) / 4
