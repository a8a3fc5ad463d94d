"""An inspection round finds damage to any entry and reports it; the next start refuses."""

from __future__ import annotations

import datetime as dt
import logging
import math
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, update

from runtime.storage.database import DatabaseUnavailable
from services.audit.adapters.tables import CHECKS, HEAD, NODES
from services.audit.log.adapters.figures import show_inspection
from services.audit.log.adapters.sql_checks import SqlCheckRecord
from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.merkle import Frontier, leaf_hash
from services.audit.log.domain.prefix import Prefix
from services.audit.log.handlers import inspector, self_check
from services.audit.log.handlers.inspector import SHORTEST_ROUND, Inspector
from services.audit.log.handlers.self_check import LogDamaged, SelfCheck
from services.audit.log.ports import VerifiedPrefix
from tests.unit.services.audit.damages import (
    FAR,
    CountingLog,
    Damage,
    changed_leaf,
    entry,
    on_disk,
    past_the_calendar,
    removed,
)
from tests.unit.services.audit.logs import NOON, LogOnDatabase, events
from tests.unit.services.audit.overlaps import while_another_has_written

SIZE = 22
PIECE = 4
TURNS = 6  # the turns of one round


class SetClock:
    def __init__(self, now: dt.datetime) -> None:
        self.time = now

    def now(self) -> dt.datetime:
        return self.time


class Process:
    """The checks of one process, whose log is too large to be read whole at the start."""

    def __init__(self, audit: LogOnDatabase, clock: SetClock, *, works: bool = True) -> None:
        self.log = CountingLog()
        self.record = SqlCheckRecord()
        head = SelfCheck(audit.database, self.log, audit.key, clock, self.record).run()
        self.read_at_start = len(self.log.rows)
        self.log.rows.clear()
        self.works = works
        self.inspector = Inspector(
            database=audit.database,
            log=self.log,
            key=audit.key,
            record=self.record,
            works=lambda: self.works,
            clock=clock,
        )
        self.inspector.begin(head)

    def turns(self, count: int) -> list[int]:
        """The entries that this number of turns read."""
        self.log.rows.clear()
        for _ in range(count):
            self.inspector.turn()
        return self.log.rows


@pytest.fixture
def clock() -> SetClock:
    return SetClock(NOON)


@pytest.fixture
def large(audit: LogOnDatabase, monkeypatch: pytest.MonkeyPatch) -> LogOnDatabase:
    monkeypatch.setattr(self_check, "READ_WHOLE", 2)
    monkeypatch.setattr(inspector, "PIECE", PIECE)
    monkeypatch.setattr(inspector, "PROGRESS_KEPT_EVERY", 2 * PIECE)
    monkeypatch.setattr(inspector, "CHECKED_KEPT_EVERY", 5)
    audit.append(events(SIZE - 7))
    audit.append(events(7))
    return audit


@pytest.fixture
def process(large: LogOnDatabase, clock: SetClock) -> Process:
    """The second start of a process, when a round is due."""
    Process(large, clock)
    clock.time += SHORTEST_ROUND
    started = Process(large, clock)
    assert started.read_at_start == 1
    return started


def do(audit: LogOnDatabase, damage: Damage) -> None:
    with audit.database.write() as transaction:
        damage(transaction)


def test_inspection_round_reads_everything_in_pieces(process: Process, clock: SetClock) -> None:
    for turn in range(TURNS):
        assert process.turns(1) == list(range(turn * PIECE, min(SIZE, (turn + 1) * PIECE)))
    assert process.inspector.alarm() is None
    assert process.inspector.since_whole == dt.timedelta()


def test_inspector_reads_nothing_between_rounds(process: Process, clock: SetClock) -> None:
    process.turns(TURNS)
    assert process.turns(10) == []
    clock.time += SHORTEST_ROUND
    assert process.turns(TURNS) == list(range(SIZE))


def test_inspector_starts_no_round_right_after_a_full_start_check(
    large: LogOnDatabase, clock: SetClock
) -> None:
    process = Process(large, clock)
    assert process.read_at_start == SIZE
    assert process.turns(10) == []


def missing_node(transaction: Connection) -> None:
    transaction.execute(NODES.delete().where(NODES.c.level == 2, NODES.c.first == 0))


def changed_node(transaction: Connection) -> None:
    hashes = transaction.execute(NODES.select().where(NODES.c.level == 2, NODES.c.first == 0)).one().hashes
    changed = hashes[:32] + bytes(32) + hashes[64:]
    where = (NODES.c.level == 2, NODES.c.first == 0)
    transaction.execute(update(NODES).where(*where).values(hashes=changed))


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (changed_leaf(0), "Entry 0 differs from the logged entry"),
        (changed_leaf(9), "Entry 9 differs from the logged entry"),
        (entry(13, type="kopuro.other.v1"), "columns of entry 13 contradict"),
        (entry(13, latest=NOON + dt.timedelta(days=1)), "columns of entry 13 contradict"),
        (removed(6), "Entry 6 is missing"),
        (past_the_calendar(13), "Entries 12 to 15 cannot be read (OverflowError)"),
        (changed_node, "from 4 on"),
        (missing_node, "missing"),
    ],
)
def test_damage_unseen_at_start_is_found_and_refused_at_the_next_start(
    process: Process,
    large: LogOnDatabase,
    clock: SetClock,
    caplog: pytest.LogCaptureFixture,
    damage: Damage,
    complaint: str,
) -> None:
    do(large, damage)
    restarted = Process(large, clock)
    with caplog.at_level(logging.ERROR):
        restarted.turns(TURNS)
    assert complaint in (restarted.inspector.alarm() or "")
    assert restarted.inspector.is_damaged
    assert "the log is damaged" in caplog.text
    # The next start reads everything. (Nodes can be computed again, and are not a reason to refuse.)
    if damage in (changed_node, missing_node):
        assert Process(large, clock).read_at_start == SIZE
    else:
        with pytest.raises(LogDamaged):
            Process(large, clock)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("UPDATE entries SET leaf = 'text' WHERE leaf_index = 9", "8 to 11 cannot be read"),
        ("UPDATE entries SET leaf = CAST(leaf AS TEXT) WHERE leaf_index = 9", "8 to 11 cannot be read"),
        ("UPDATE entries SET time = 'noon' WHERE leaf_index = 9", "8 to 11 cannot be read"),
        ("UPDATE entries SET type = CAST(x'ff' AS TEXT) WHERE leaf_index = 9", "8 to 11 cannot be read"),
        ("UPDATE nodes SET hashes = 'text' WHERE level = 2 AND first = 0", "0 to 3 cannot be read"),
        ("UPDATE head SET latest = 'noon'", "The head and the nodes cannot be read"),
    ],
)
def test_malformed_column_values_are_reported_as_damage(
    process: Process, large: LogOnDatabase, change: str, complaint: str
) -> None:
    do(large, lambda t: t.exec_driver_sql(change))
    process.turns(TURNS)
    assert complaint in (process.inspector.alarm() or "")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_lost_disk_page_is_reported_and_the_service_continues(
    process: Process, large: LogOnDatabase, clock: SetClock
) -> None:
    with large.database.read() as transaction:
        leaf = large.log.leaves(transaction, 9, 10)[0].leaf
    on_disk(large.database, leaf)
    process.turns(TURNS)
    assert "cannot be read (DatabaseDamaged)" in (process.inspector.alarm() or "")
    large.append(events(3))
    assert process.turns(3) == []
    with pytest.raises(LogDamaged, match="cannot be read"):
        Process(large, clock)


def test_damage_that_cannot_be_recorded_is_found_again(
    process: Process, large: LogOnDatabase, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(transaction: Connection) -> None:
        raise DatabaseUnavailable("The database cannot be used just now.")

    do(large, changed_leaf(0))
    with monkeypatch.context() as patched:
        patched.setattr(process.record, "forget_checked", away)
        with pytest.raises(DatabaseUnavailable):
            process.turns(1)
    assert process.inspector.is_damaged
    process.turns(1)
    with pytest.raises(LogDamaged):
        Process(large, clock)


def test_damaged_log_still_appends_and_proves_new_entries(process: Process, large: LogOnDatabase) -> None:
    do(large, changed_leaf(9))
    process.turns(TURNS)
    large.append(events(3))
    process.turns(2)
    assert large.proofs.inclusion(SIZE, SIZE + 3).index == SIZE


def test_repaired_damage_is_cleared_by_a_complete_round(
    process: Process, large: LogOnDatabase, clock: SetClock
) -> None:
    with large.database.read() as transaction:
        before = large.log.leaves(transaction, 9, 10)[0].leaf
    do(large, changed_leaf(9))
    process.turns(TURNS)
    do(large, entry(9, leaf=before))
    large.append(events(30))
    assert process.turns(5) == []
    assert process.inspector.is_damaged
    clock.time += SHORTEST_ROUND
    process.turns(TURNS)
    assert process.inspector.alarm() is None
    # The entries appended since are remembered too.
    assert Process(large, clock).read_at_start == 1


def test_log_changed_together_with_its_nodes_contradicts_the_head(
    process: Process, large: LogOnDatabase
) -> None:
    """A forger who writes the entry and every hash above it again is stopped by the signature."""
    do(large, changed_leaf(9))
    with large.database.write() as transaction:
        leaves = large.log.leaves(transaction, 0, SIZE)
        _, rows = Frontier().grow([leaf_hash(leaf.leaf) for leaf in leaves])
        transaction.execute(NODES.delete())
        transaction.execute(
            NODES.insert(),
            [{"level": row.level, "first": row.first, "hashes": b"".join(row.hashes)} for row in rows],
        )
    process.turns(TURNS)
    assert "do not match the signed checkpoint" in (process.inspector.alarm() or "")


def test_inspection_round_continues_after_a_restart(
    process: Process, large: LogOnDatabase, clock: SetClock
) -> None:
    process.turns(3)
    restarted = Process(large, clock)
    # Entries read since the last stored position are read again.
    assert restarted.turns(TURNS - 2) == list(range(2 * PIECE, SIZE))
    assert restarted.turns(1) == []


def test_damage_before_a_continued_round_is_found_by_the_next(
    process: Process, large: LogOnDatabase, clock: SetClock
) -> None:
    process.turns(3)
    do(large, changed_leaf(1))
    restarted = Process(large, clock)
    restarted.turns(TURNS)
    clock.time += SHORTEST_ROUND
    restarted.turns(1)
    assert "Entry 1 differs" in (restarted.inspector.alarm() or "")


@pytest.mark.parametrize(
    "columns",
    [
        {"frontier": Frontier().extend([bytes(32)] * 8).to_bytes()},
        {"frontier": Frontier().extend([bytes(32)] * 100).to_bytes()},
        {"frontier": b"nothing"},
        {"latest": FAR},
    ],
)
def test_stored_round_of_another_log_is_restarted(
    process: Process, large: LogOnDatabase, clock: SetClock, columns: dict[str, Any]
) -> None:
    process.turns(3)
    do(large, lambda t: t.execute(update(CHECKS).where(CHECKS.c.name == "round").values(columns)))
    restarted = Process(large, clock)
    assert restarted.turns(TURNS) == list(range(SIZE))
    assert restarted.inspector.alarm() is None


def test_round_time_in_the_future_does_not_postpone_rounds(
    process: Process, large: LogOnDatabase, clock: SetClock
) -> None:
    never = clock.time + dt.timedelta(days=36_500)
    do(large, lambda t: t.execute(update(CHECKS).values(time=never)))
    assert Process(large, clock).turns(TURNS) == list(range(SIZE))


def test_restart_after_many_appends_reads_few_entries(
    process: Process, large: LogOnDatabase, clock: SetClock
) -> None:
    for _ in range(5):
        large.append(events(10))
        process.turns(1)
    large.append(events(3))
    process.turns(1)
    # At most four entries are not remembered. The start reads the last remembered one too.
    assert Process(large, clock).read_at_start == 3 + 1


def test_inspection_round_ends_while_the_log_grows_faster(process: Process, large: LogOnDatabase) -> None:
    for _ in range(TURNS):
        process.turns(1)
        large.append(events(2 * PIECE))
    assert process.inspector.position == 0
    assert process.turns(3) == []


@pytest.mark.parametrize("with_its_nodes", [False, True])
def test_head_inconsistent_with_the_log_is_reported(
    process: Process, large: LogOnDatabase, with_its_nodes: bool
) -> None:
    """The head is of another log; the nodes are of this log or of the other one."""
    large.append(events(8))
    other, rows = Frontier().grow([bytes(32)] * 30)
    with large.database.write() as transaction:
        forged = large.key.sign(other, Chronology(latest=NOON), NOON)
        large.log.advance(transaction, forged, from_size=30)
        if with_its_nodes:
            transaction.execute(NODES.delete())
            large.log.add(transaction, [], rows)
    process.turns(1)
    assert process.inspector.alarm() == "The log is not an extension of its earlier state."


def test_unsigned_head_is_reported(process: Process, large: LogOnDatabase) -> None:
    large.append(events(10))
    do(large, lambda t: t.execute(update(HEAD).values(checkpoint=b"nothing")))
    process.turns(1)
    assert "not signed" in (process.inspector.alarm() or "")


def test_only_one_process_inspects(process: Process, large: LogOnDatabase, clock: SetClock) -> None:
    assert Process(large, clock, works=False).turns(TURNS) == []


def test_inspection_is_continued_by_another_process(
    process: Process, large: LogOnDatabase, clock: SetClock
) -> None:
    other = Process(large, clock, works=False)
    large.append(events(2))
    process.turns(3)
    process.works, other.works = False, True
    assert other.turns(TURNS) == list(range(2 * PIECE, SIZE + 2))
    assert process.turns(TURNS) == []
    assert other.inspector.since_whole == dt.timedelta()


def test_deleted_check_record_is_not_restored_by_another_process(
    process: Process, large: LogOnDatabase, clock: SetClock
) -> None:
    other = Process(large, clock, works=False)
    do(large, changed_leaf(9))
    process.turns(TURNS)
    large.append(events(10))
    process.works, other.works = False, True
    other.turns(1)
    with pytest.raises(LogDamaged):
        Process(large, clock)
    other.turns(TURNS)
    assert "Entry 9" in (other.inspector.alarm() or "")


def test_inspection_age_is_shown_only_by_the_inspecting_process(
    process: Process, large: LogOnDatabase, clock: SetClock
) -> None:
    def age(inspector: Inspector) -> float | None:
        registry = CollectorRegistry()
        show_inspection(registry, inspector)
        return registry.get_sample_value("kopuro_log_inspection_age_seconds")

    other = Process(large, clock, works=False)
    other.turns(1)
    process.turns(TURNS)
    clock.time += dt.timedelta(minutes=3)
    assert age(process.inspector) == 180
    assert math.isnan(age(other.inspector) or 0)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_concurrent_writes_of_a_check_record_both_succeed(large: LogOnDatabase) -> None:
    record = SqlCheckRecord()
    first = VerifiedPrefix(prefix=Prefix(), time=NOON)
    second = VerifiedPrefix(prefix=Prefix.of(large.proofs.head()), time=NOON)
    do(large, lambda t: record.forget_checked(t))
    while_another_has_written(
        large.database,
        lambda transaction: record.keep_checked(transaction, first),
        lambda transaction: record.keep_checked(transaction, second),
    )
    with large.database.read() as transaction:
        assert record.checked(transaction) == second


def test_check_record_is_replaced_and_deleted(large: LogOnDatabase) -> None:
    record = SqlCheckRecord()
    first = VerifiedPrefix(prefix=Prefix(), time=NOON)
    second = VerifiedPrefix(prefix=Prefix.of(large.proofs.head()), time=NOON + SHORTEST_ROUND)
    with large.database.write() as transaction:
        record.keep_checked(transaction, first)
        record.keep_round(transaction, first)
        record.keep_checked(transaction, second)
    with large.database.read() as transaction:
        assert (record.checked(transaction), record.round(transaction)) == (second, first)
    with large.database.write() as transaction:
        record.forget_checked(transaction)
        record.forget_round(transaction)
        assert (record.checked(transaction), record.round(transaction)) == (None, None)
