"""A table with a counter, for tests of transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, select

from runtime.storage.columns import Instant, Json
from runtime.storage.database import Database
from tests.servers import python_process

METADATA = MetaData()
ENTRIES = Table(
    "entries",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("text", String(50), nullable=False),
    Column("at", Instant, nullable=True),
    Column("data", Json, nullable=True),
)


@contextmanager
def opened(url: str, **options: Any) -> Iterator[Database]:
    """A database with the table."""
    database = Database.open(url, **options)
    try:
        with database.write() as connection:
            METADATA.create_all(connection)
        yield database
    finally:
        database.close()


def enter(database: Database, number: int, text: str = "x") -> None:
    with database.write() as connection:
        connection.execute(insert(ENTRIES), {"number": number, "text": text})


def count(database: Database) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(ENTRIES)).scalar_one()


def words_printed_by(program: str, database_url: str, directory: Path) -> list[str]:
    """Run the Python program on the database until it ends, and return what it printed. Fails after 30 s."""
    process = python_process("greenlets", program, database_url, directory=directory)
    process.spawn()
    try:
        assert process.wait(30), "frozen"
    finally:
        process.stop()
    return (directory / "greenlets.log").read_text().split()
