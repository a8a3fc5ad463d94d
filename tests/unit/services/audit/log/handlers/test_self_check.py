"""The self-check finds a log that contradicts its checkpoint before the service serves."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Sequence

import pytest
from sqlalchemy import Connection, update

from runtime.clock import SystemClock
from services.audit.adapters.tables import CHECKS, ENTRIES, HEAD
from services.audit.log.adapters.sql_checks import SqlCheckRecord
from services.audit.log.adapters.sql_log import SqlLog
from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.head import Head
from services.audit.log.domain.merkle import Frontier, leaf_hash
from services.audit.log.domain.prefix import Prefix
from services.audit.log.handlers import self_check
from services.audit.log.handlers.self_check import LogDamaged, SelfCheck
from services.audit.log.ports import VerifiedPrefix
from tests.unit.services.audit.damages import (
    FAR,
    CountingLog,
    Damage,
    changed_leaf,
    entry,
    past_the_calendar,
    removed,
)
from tests.unit.services.audit.logs import NOON, LogOnDatabase, event, events, new_key

REFERRAL = "01938a6e-5f4c-7d31-9b0a-3f2a7c1e8d55"


@pytest.fixture
def filled(audit: LogOnDatabase, monkeypatch: pytest.MonkeyPatch) -> LogOnDatabase:
    # Several steps, and a last one that is not full.
    monkeypatch.setattr(self_check, "STEP", 4)
    audit.append([*events(9), event(partition_key=REFERRAL)])
    return audit


def swapped(transaction: Connection) -> None:
    for index, place in ((2, 100), (3, 2), (100, 3)):
        entry(index, leaf_index=place)(transaction)


class GrowingLog(SqlLog):
    """Another process appends whenever the head has been read."""

    def __init__(self, audit: LogOnDatabase) -> None:
        self._audit = audit
        self._reads = 0

    def head(self, transaction: Connection) -> Head | None:
        found = super().head(transaction)
        self._reads += 1
        if self._reads > 1:  # the first one is in the transaction that founds the log
            self._audit.append(events(2))
        return found


def smuggled(transaction: Connection) -> None:
    row = transaction.execute(ENTRIES.select().where(ENTRIES.c.leaf_index == 0)).one()._asdict()
    transaction.execute(ENTRIES.insert(), [row | {"leaf_index": 10, "message_id": "another"}])


def test_intact_log_passes_the_self_check(filled: LogOnDatabase) -> None:
    assert filled.check() == filled.proofs.head()
    assert filled.check().size == 10


def test_log_that_grows_during_the_self_check_passes(filled: LogOnDatabase) -> None:
    head = SelfCheck(filled.database, GrowingLog(filled), filled.key, SystemClock()).run()
    assert head.size == 10
    assert len(filled.message_ids()) == 14


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (changed_leaf(5), "do not match the signed checkpoint"),
        (entry(4, leaf=b"{}"), "columns of entry 4 contradict"),
        (entry(4, leaf=b"no JSON"), "columns of entry 4 contradict"),
        (entry(0, type="kopuro.other.v1"), "columns of entry 0 contradict"),
        (entry(3, time=NOON.replace(hour=1)), "columns of entry 3 contradict"),
        (entry(6, message_id="other"), "columns of entry 6 contradict"),
        (entry(9, referral_id=None), "columns of entry 9 contradict"),
        (entry(7, latest=NOON.replace(hour=1)), "columns of entry 7 contradict"),
        (lambda t: t.execute(update(HEAD).values(lateness=1)), "contradicts the times"),
        (swapped, "do not match the signed checkpoint"),
        (past_the_calendar(5), "Entries 4 to 7 cannot be read"),
        (removed(0), "Entry 0 is missing"),
        (removed(5), "Entry 5 is missing"),
        (removed(9), "Entry 9 is missing"),
        (smuggled, "beyond the 10"),
    ],
)
def test_tampered_entry_stops_the_start(filled: LogOnDatabase, damage: Damage, complaint: str) -> None:
    with filled.database.write() as transaction:
        damage(transaction)
    with pytest.raises(LogDamaged, match=complaint):
        filled.check()


def test_rolled_back_head_stops_the_start(filled: LogOnDatabase) -> None:
    before = filled.proofs.head()
    filled.append(events(1))
    with filled.database.write() as transaction:
        filled.log.advance(transaction, before, from_size=11)
    with pytest.raises(LogDamaged, match="beyond the 10"):
        filled.check()


def test_frontier_that_contradicts_the_checkpoint_stops_the_start(filled: LogOnDatabase) -> None:
    forged = Frontier().extend([bytes(32)] * 10)
    with filled.database.write() as transaction:
        transaction.execute(update(HEAD).values(frontier=forged.to_bytes()))
    with pytest.raises(LogDamaged, match="does not match the stored head"):
        filled.check()


def test_another_key_cannot_continue_the_log(filled: LogOnDatabase) -> None:
    with pytest.raises(LogDamaged, match="not signed with this log's key"):
        LogOnDatabase(database=filled.database, key=new_key()).check()
    with pytest.raises(LogDamaged, match="not signed with this log's key"):
        LogOnDatabase(database=filled.database, key=new_key("kz")).check()


def test_log_is_initialized_once(audit: LogOnDatabase) -> None:
    head = audit.check()
    with audit.database.write() as transaction:
        audit.log.initialize(transaction, audit.key.sign(Frontier().append(bytes(32)), Chronology(), NOON))
    assert audit.check() == head


@pytest.fixture
def large(filled: LogOnDatabase, monkeypatch: pytest.MonkeyPatch) -> LogOnDatabase:
    """A log too large to be read whole at each start, of which 10 entries have been read."""
    monkeypatch.setattr(self_check, "READ_WHOLE", 4)
    assert restarted(filled) == list(range(10))
    return filled


def restarted(audit: LogOnDatabase) -> Sequence[int]:
    """The indices of the entries that a start reads."""
    log = CountingLog()
    head = SelfCheck(audit.database, log, audit.key, SystemClock(), SqlCheckRecord()).run()
    assert head == audit.proofs.head()
    return log.rows


def remembered(audit: LogOnDatabase) -> VerifiedPrefix:
    with audit.database.read() as transaction:
        found = SqlCheckRecord().checked(transaction)
    assert found is not None
    return found


def remember(audit: LogOnDatabase, prefix: Prefix) -> None:
    with audit.database.write() as transaction:
        SqlCheckRecord().keep_checked(transaction, VerifiedPrefix(prefix=prefix, time=NOON))


def test_restart_reads_only_new_entries(large: LogOnDatabase) -> None:
    large.append(events(7))
    # It also reads the last old entry, which must exist and have the remembered time.
    assert restarted(large) == [9, *range(10, 17)]
    assert restarted(large) == [16]


def test_small_log_is_read_completely_at_each_start(
    large: LogOnDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_check, "READ_WHOLE", 10)
    assert restarted(large) == list(range(10))


def test_time_of_the_last_full_read_is_kept(large: LogOnDatabase) -> None:
    first = remembered(large)
    large.append(events(7))
    restarted(large)
    assert remembered(large).time == first.time
    assert remembered(large).prefix == Prefix.of(large.proofs.head())


@pytest.mark.parametrize("damage", [changed_leaf(12), removed(12), entry(12, type="kopuro.other.v1")])
def test_damage_to_new_entries_stops_the_start(large: LogOnDatabase, damage: Damage) -> None:
    large.append(events(7))
    with large.database.write() as transaction:
        damage(transaction)
    with pytest.raises(LogDamaged):
        restarted(large)


def test_outdated_check_record_costs_only_reading(large: LogOnDatabase) -> None:
    old = remembered(large).prefix
    large.append(events(7))
    restarted(large)
    remember(large, old)
    assert restarted(large) == [9, *range(10, 17)]


def forged_frontier(prefix: Prefix) -> Prefix:
    other = Frontier().extend([bytes(32)] * prefix.size)
    return Prefix(frontier=other, chronology=prefix.chronology)


def forged_time(prefix: Prefix) -> Prefix:
    return Prefix(frontier=prefix.frontier, chronology=Chronology(latest=NOON - dt.timedelta(days=1)))


def forged_lateness(prefix: Prefix) -> Prefix:
    chronology = Chronology(latest=prefix.chronology.latest, lateness=dt.timedelta(days=1))
    return Prefix(frontier=prefix.frontier, chronology=chronology)


def too_long(prefix: Prefix) -> Prefix:
    return Prefix(frontier=prefix.frontier.extend([bytes(32)] * 100), chronology=prefix.chronology)


@pytest.mark.parametrize("forged", [forged_frontier, forged_time, forged_lateness, too_long])
def test_forged_check_record_is_ignored_and_all_is_read(
    large: LogOnDatabase, caplog: pytest.LogCaptureFixture, forged: Callable[[Prefix], Prefix]
) -> None:
    large.append(events(7))
    remember(large, forged(remembered(large).prefix))
    with caplog.at_level(logging.WARNING):
        assert list(restarted(large))[-17:] == list(range(17))
    assert "is ignored" in caplog.text
    # The result is correct, so the stored prefix is trusted again.
    assert restarted(large) == [16]


def test_forged_check_record_hides_no_damage(large: LogOnDatabase) -> None:
    """The entry is changed, and what is remembered made to fit what is stored now."""
    with large.database.write() as transaction:
        changed_leaf(5)(transaction)
        stored = large.log.leaves(transaction, 0, 10)
    frontier = Frontier().extend(leaf_hash(leaf.leaf) for leaf in stored)
    remember(large, Prefix(frontier=frontier, chronology=large.proofs.head().chronology))
    with pytest.raises(LogDamaged, match="do not match the signed checkpoint"):
        restarted(large)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.execute(update(CHECKS).values(frontier=b"nothing")),
        lambda t: t.execute(update(CHECKS).values(latest=FAR)),
    ],
)
def test_unreadable_check_record_is_ignored(large: LogOnDatabase, change: Damage) -> None:
    with large.database.write() as transaction:
        change(transaction)
    assert restarted(large) == list(range(10))


def test_unreadable_last_entry_of_the_check_record_stops_the_start(large: LogOnDatabase) -> None:
    with large.database.write() as transaction:
        past_the_calendar(9)(transaction)
    with pytest.raises(LogDamaged, match="Entries 8 to 9 cannot be read"):
        restarted(large)


def test_missing_last_entry_of_the_check_record_stops_the_start(large: LogOnDatabase) -> None:
    with large.database.write() as transaction:
        removed(9)(transaction)
    with pytest.raises(LogDamaged, match="Entry 9 is missing"):
        restarted(large)
