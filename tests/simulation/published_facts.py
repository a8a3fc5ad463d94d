"""The facts that a simulation published: every message of a committed transaction, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from contracts.envelope import Envelope
from contracts.facts import CATALOGUE
from contracts.topology import DEAD_LETTER_SUFFIX, owners_of
from tests.simulation.databases import MemoryDatabase


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedFact:
    """A published fact. fact: its type without `kopuro.` and the version. service: its publisher."""

    service: str
    exchange: str
    fact: str
    message: Envelope

    @property
    def data(self) -> Mapping[str, Any]:
        return self.message.data


def all_published_facts(databases: Mapping[str, MemoryDatabase]) -> list[PublishedFact]:
    """Return all published facts. Raises AssertionError for a dead letter or a duplicate id."""
    history = []
    for service, database in databases.items():
        for said in database.said():
            assert not said.routing_key.endswith(DEAD_LETTER_SUFFIX), (
                f"{service} dead-lettered {said.message.type}"
            )
            fact = CATALOGUE[said.message.type].routing_key
            assert service in owners_of(fact), f"{service} published {fact}, which it does not own"
            history.append(
                PublishedFact(service=service, exchange=said.exchange, fact=fact, message=said.message)
            )
    ids = Counter(one.message.id for one in history)
    assert ids.total() == len(ids), "two messages have one id"
    return history


def rows_of(database: MemoryDatabase, table: Any, *, key: str = "id") -> dict[str, Any]:
    """Return a table's rows by the value of one column."""
    with database.read() as transaction:
        return {getattr(row, key): row for row in transaction.execute(select(table))}
