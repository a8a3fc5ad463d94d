"""The story as its facts tell it: every message that a committed transaction caused, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from contracts.envelope import Envelope
from contracts.facts import CATALOGUE
from contracts.topology import DEAD_LETTER_SUFFIX
from tests.simulation.databases import MemoryDatabase


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A fact without its `kopuro.` and its version, and who said it."""

    service: str
    exchange: str
    fact: str
    message: Envelope

    @property
    def data(self) -> Mapping[str, Any]:
        return self.message.data


def everything_told(databases: Mapping[str, MemoryDatabase]) -> list[Told]:
    """Raises AssertionError for a message that was parked: nothing here deserves it."""
    told = []
    for service, database in databases.items():
        for said in database.said():
            assert not said.routing_key.endswith(DEAD_LETTER_SUFFIX), f"{service} parked {said.message.type}"
            fact = CATALOGUE[said.message.type].routing_key
            told.append(Told(service=service, exchange=said.exchange, fact=fact, message=said.message))
    ids = Counter(one.message.id for one in told)
    assert ids.total() == len(ids), "two messages have one id"
    return told


def rows_of(database: MemoryDatabase, table: Any, *, key: str = "id") -> dict[str, Any]:
    """A table's rows by one of their columns."""
    with database.read() as transaction:
        return {getattr(row, key): row for row in transaction.execute(select(table))}
