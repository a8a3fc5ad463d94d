"""A log that is not what was signed for is noticed before anything is served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, update

from services.audit.adapters.tables import ENTRIES, HEAD
from services.audit.domain.chronology import Chronology
from services.audit.domain.merkle import Frontier
from services.audit.handlers import self_check
from services.audit.handlers.self_check import LogDamaged
from tests.unit.services.audit.logs import NOON, LogOnDatabase, event, events, new_key

Damage = Callable[[Connection], Any]
REFERRAL = "01938a6e-5f4c-7d31-9b0a-3f2a7c1e8d55"


@pytest.fixture
def filled(audit: LogOnDatabase, monkeypatch: pytest.MonkeyPatch) -> LogOnDatabase:
    # Several steps, and a last one that is not full.
    monkeypatch.setattr(self_check, "STEP", 4)
    audit.append([*events(9), event(partition_key=REFERRAL)])
    return audit


def entry(index: int, **columns: Any) -> Damage:
    return lambda t: t.execute(update(ENTRIES).where(ENTRIES.c.leaf_index == index).values(columns))


def changed_leaf(transaction: Connection) -> None:
    leaf = transaction.execute(ENTRIES.select().where(ENTRIES.c.leaf_index == 5)).one().leaf
    # The commitment of another content: everything by which the entry is found stays the same.
    digit = leaf.index(b"sha256:") + 7
    other = b"1" if leaf[digit : digit + 1] != b"1" else b"2"
    entry(5, leaf=leaf[:digit] + other + leaf[digit + 1 :])(transaction)


def swapped(transaction: Connection) -> None:
    for index, place in ((2, 100), (3, 2), (100, 3)):
        entry(index, leaf_index=place)(transaction)


def removed(index: int) -> Damage:
    return lambda t: t.execute(ENTRIES.delete().where(ENTRIES.c.leaf_index == index))


def smuggled(transaction: Connection) -> None:
    row = transaction.execute(ENTRIES.select().where(ENTRIES.c.leaf_index == 0)).one()._asdict()
    transaction.execute(ENTRIES.insert(), [row | {"leaf_index": 10, "message_id": "another"}])


def test_a_whole_log_passes_and_gives_its_head(filled: LogOnDatabase) -> None:
    assert filled.check() == filled.proofs.head()
    assert filled.check().size == 10


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (changed_leaf, "not those that the checkpoint vouches for"),
        (entry(4, leaf=b"{}"), "Entry 4 is filed"),
        (entry(4, leaf=b"no JSON"), "Entry 4 is filed"),
        (entry(0, type="kopuro.other.v1"), "Entry 0 is filed"),
        (entry(3, time=NOON.replace(hour=1)), "Entry 3 is filed"),
        (entry(6, message_id="other"), "Entry 6 is filed"),
        (entry(9, referral_id=None), "Entry 9 is filed"),
        (entry(7, latest=NOON.replace(hour=1)), "Entry 7 is filed"),
        (lambda t: t.execute(update(HEAD).values(lateness=1)), "does not know the times"),
        (swapped, "not those that the checkpoint vouches for"),
        (removed(0), "Entry 0 is missing"),
        (removed(5), "Entry 5 is missing"),
        (removed(9), "Entry 9 is missing"),
        (smuggled, "beyond the 10"),
    ],
)
def test_an_entry_that_was_tampered_with_stops_the_start(
    filled: LogOnDatabase, damage: Damage, complaint: str
) -> None:
    with filled.database.write() as transaction:
        damage(transaction)
    with pytest.raises(LogDamaged, match=complaint):
        filled.check()


def test_a_head_that_was_rolled_back_stops_the_start(filled: LogOnDatabase) -> None:
    before = filled.proofs.head()
    filled.append(events(1))
    with filled.database.write() as transaction:
        filled.log.advance(transaction, before, from_size=11)
    with pytest.raises(LogDamaged, match="beyond the 10"):
        filled.check()


def test_a_frontier_that_does_not_belong_to_the_checkpoint_stops_the_start(filled: LogOnDatabase) -> None:
    forged = Frontier().extend([bytes(32)] * 10)
    with filled.database.write() as transaction:
        transaction.execute(update(HEAD).values(frontier=forged.to_bytes()))
    with pytest.raises(LogDamaged, match="not that of the stored head"):
        filled.check()


def test_another_key_cannot_go_on_with_the_log(filled: LogOnDatabase) -> None:
    with pytest.raises(LogDamaged, match="not signed with this log's key"):
        LogOnDatabase(database=filled.database, key=new_key()).check()
    with pytest.raises(LogDamaged, match="not signed with this log's key"):
        LogOnDatabase(database=filled.database, key=new_key("kz")).check()


def test_a_log_is_founded_once(audit: LogOnDatabase) -> None:
    head = audit.check()
    with audit.database.write() as transaction:
        audit.log.found(transaction, audit.key.sign(Frontier().append(bytes(32)), Chronology(), NOON))
    assert audit.check() == head
