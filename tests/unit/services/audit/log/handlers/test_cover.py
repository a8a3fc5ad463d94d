"""With a cover rate, publications below it have one size, one interval and one minute."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator

import pytest

from contracts.errors import Unavailable
from runtime.storage.database import Database
from services.audit.log.domain.cover_rate import CoverRate
from services.audit.log.domain.entry import COVER
from services.audit.log.handlers.cover import Cover
from services.audit.log.ports import Search
from tests.support.migrated import upgrade
from tests.unit.services.audit.logs import NOON, LogOnDatabase, auditor, event, new_key
from tests.unit.services.audit.publications import FailingPublication, MemoryPublication

RATE = CoverRate(per_minute=60)


class Hand:
    """A clock that a test sets."""

    time = NOON

    def now(self) -> dt.datetime:
        return self.time

    def pass_(self, seconds: float) -> None:
        self.time += dt.timedelta(seconds=seconds)


class CoveredLog:
    """A log with a cover rate, and what an outsider sees who asks for the checkpoint every half second."""

    def __init__(self, audit: LogOnDatabase, clock: Hand) -> None:
        self.audit = audit
        self.clock = clock
        self.seen: list[tuple[float, int]] = []

    def append(self, count: int) -> None:
        self.audit.append([event() for _ in range(count)], now=self.clock.now())

    def run(self, seconds: float) -> None:
        for _ in range(int(seconds * 2)):
            self.clock.pass_(0.5)
            self.turn()

    def turn(self) -> None:
        before = self.audit.published.size
        self.audit.publisher.turn()
        if grown := self.audit.published.size - before:
            self.seen.append(((self.clock.time - NOON).total_seconds(), grown))


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def audit(database_url: str, clock: Hand) -> Iterator[LogOnDatabase]:
    database = Database.open(database_url)
    upgrade("services.audit", database)
    made = LogOnDatabase(database=database, key=new_key(), rate=RATE, clock=clock)
    made.check()
    made.publisher.turn()
    yield made
    database.close()


@pytest.fixture
def covered(audit: LogOnDatabase, clock: Hand) -> CoveredLog:
    made = CoveredLog(audit, clock)
    made.turn()  # learns the period of the start
    return made


def test_quiet_log_grows_at_the_cover_rate(covered: CoveredLog) -> None:
    covered.run(60)
    assert covered.seen == [(10.0 * n, 10) for n in range(1, 7)]


def test_steps_below_the_rate_change_neither_size_nor_time(covered: CoveredLog) -> None:
    """The steps of the attack: 3 entries at a submission, 2 and 5 at a decline, 4 at a withdrawal."""
    for wait, count in ((3.0, 3), (9.0, 2), (0.5, 5), (21.0, 4)):
        covered.run(wait)
        covered.append(count)
    covered.run(26.5)
    assert covered.seen == [(10.0 * n, 10) for n in range(1, 7)]


def test_entries_beyond_the_rate_are_published_with_the_others_as_a_multiple(covered: CoveredLog) -> None:
    covered.run(1)
    covered.append(23)
    covered.run(19)
    assert covered.seen == [(10.0, 30), (20.0, 10)]


def test_leaves_of_a_publication_name_one_minute_whatever_it_contains(
    covered: CoveredLog, audit: LogOnDatabase
) -> None:
    """Around a full minute: entries before it, after it, on both sides, and none."""
    minutes = []
    for offsets in ((), (4.5,), (9.5, 10.0), (10.0,)):
        covered.run(50 - (covered.clock.time - NOON).total_seconds() % 60)
        for before, at in zip((0.0, *offsets), offsets, strict=False):
            covered.clock.pass_(at - before)
            covered.append(1)
        passed = offsets[-1] if offsets else 0.0
        covered.clock.pass_(10.4 - passed)  # the publisher's turn comes a little late
        size = audit.published.size
        covered.turn()
        assert audit.published.size == size + 10
        with audit.database.read() as transaction:
            leaves = audit.log.leaf_bytes(transaction, size, size + 10)
        minutes.append({json.loads(leaf)["time"][14:16] for leaf in leaves})
        covered.clock.pass_(9.6)
    assert minutes == [{"00"}, {"01"}, {"02"}, {"03"}]


def test_late_publication_names_the_present_minute(covered: CoveredLog, audit: LogOnDatabase) -> None:
    covered.run(10)
    covered.clock.pass_(3_600)
    covered.append(1)
    with audit.database.read() as transaction:
        (leaf,) = audit.log.leaf_bytes(transaction, 10, 11)
    assert json.loads(leaf)["time"] == "2026-03-01T13:00:00Z"


def test_restart_does_not_publish_before_the_next_period(covered: CoveredLog, clock: Hand) -> None:
    covered.run(12)
    covered.append(2)
    clock.pass_(1)
    audit = covered.audit
    again = LogOnDatabase(
        database=audit.database, key=audit.key, publication=audit.publication, rate=RATE, clock=clock
    )
    again.check()
    restarted = CoveredLog(again, clock)
    restarted.turn()
    restarted.run(17)
    assert restarted.seen == [(20.0, 10), (30.0, 10)]


def test_failed_publication_is_repeated_without_later_entries(audit: LogOnDatabase, clock: Hand) -> None:
    failing = FailingPublication(MemoryPublication())
    again = LogOnDatabase(database=audit.database, key=audit.key, publication=failing, rate=RATE, clock=clock)
    again.check()
    covered = CoveredLog(again, clock)
    covered.turn()
    covered.turn()
    covered.run(9)
    covered.append(3)
    clock.pass_(1)
    failing.before = lambda step: step == "put"
    with pytest.raises(Unavailable):
        covered.turn()
    failing.before = lambda step: False
    covered.append(4)
    covered.run(10)
    assert covered.seen == [(10.5, 10), (20.0, 10)]


def test_publication_whose_end_was_not_noted_is_followed_in_the_next_period(
    audit: LogOnDatabase, clock: Hand
) -> None:
    """The publisher may fail after the checkpoint is public."""
    cover = Cover(
        database=audit.database,
        log=audit.log,
        sequencer=audit.sequencer,
        rate=RATE,
        source="/kg/audit",
        clock=clock,
    )
    assert cover.next_head(0) is None
    clock.pass_(10)
    head = cover.next_head(0)
    assert head is not None
    clock.pass_(0.5)
    assert cover.next_head(head.size) is None
    clock.pass_(10)
    assert cover.next_head(head.size) is not None


def test_receipts_come_with_the_publication(covered: CoveredLog, audit: LogOnDatabase) -> None:
    parties = {"referral_id": event().id, "organization": "ru.moscow-union", "sender": "kg.osh-legal-aid"}
    audit.append([event("kopuro.offer.accepted.v1", data=parties, partition_key=parties["referral_id"])])
    covered.run(9.5)
    assert audit.recorded_reads() == []
    covered.run(0.5)
    assert len(audit.recorded_reads()) == 2


def test_cover_leaf_differs_from_others_in_its_hidden_head_alone(
    covered: CoveredLog, audit: LogOnDatabase
) -> None:
    covered.append(1)
    covered.run(10)
    real, cover, *_ = audit.history.page(auditor("ann"), Search(), None, 50).leaves
    assert len(real.leaf) == len(cover.leaf)
    assert all(b'"format":3,' in leaf.leaf for leaf in (real, cover))
    assert b"cover" not in cover.leaf
    assert cover.fields["type"] == COVER
    assert (cover.fields["referral_id"], cover.fields["organization"]) == (None, None)


def test_covered_log_is_published_at_its_times_whatever_is_committed(covered: CoveredLog) -> None:
    assert covered.audit.publisher.turn() is True
