"""Cover entries fill the log up to a rate, and their leaves look like any other."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest

from runtime.storage.database import Database
from services.audit.log.domain.entry import COVER
from services.audit.log.domain.leaf import FORMAT
from services.audit.log.handlers.cover import Cover
from services.audit.log.ports import Search
from tests.support.migrated import upgrade
from tests.unit.services.audit.logs import NOON, LogOnDatabase, auditor, event, new_key


class Hand:
    """A clock that a test sets."""

    time = NOON

    def now(self) -> dt.datetime:
        return self.time

    def pass_(self, seconds: float) -> None:
        self.time += dt.timedelta(seconds=seconds)


@pytest.fixture
def audit(database_url: str) -> Iterator[LogOnDatabase]:
    database = Database.open(database_url)
    upgrade("services.audit", database)
    made = LogOnDatabase(database=database, key=new_key())
    made.check()
    yield made
    database.close()


def cover(audit: LogOnDatabase, clock: Hand, per_minute: int, *, works: bool = True) -> Cover:
    return Cover(
        database=audit.database,
        log=audit.log,
        sequencer=audit.sequencer,
        works=lambda: works,
        per_minute=per_minute,
        source="/kg/audit",
        clock=clock,
    )


def test_quiet_log_grows_at_the_cover_rate(audit: LogOnDatabase) -> None:
    clock = Hand()
    covering = cover(audit, clock, 30)
    assert covering.turn() == 0
    added = []
    for _ in range(60):
        clock.pass_(1)
        added.append(covering.turn())
    assert sum(added) == 30
    assert set(added) == {0, 1}


def test_real_entries_take_the_place_of_cover(audit: LogOnDatabase) -> None:
    clock = Hand()
    covering = cover(audit, clock, 60)
    covering.turn()
    clock.pass_(5)
    audit.append([event() for _ in range(3)])
    assert covering.turn() == 2
    clock.pass_(5)
    audit.append([event() for _ in range(50)])
    assert covering.turn() == 0
    clock.pass_(5)
    assert covering.turn() == 5


def test_long_pause_is_covered_for_a_minute_at_most(audit: LogOnDatabase) -> None:
    clock = Hand()
    covering = cover(audit, clock, 10)
    covering.turn()
    clock.pass_(3_600)
    assert covering.turn() == 10


def test_without_rate_or_lease_nothing_is_appended(audit: LogOnDatabase) -> None:
    clock = Hand()
    for covering in (cover(audit, clock, 0), cover(audit, clock, 60, works=False)):
        covering.turn()
        clock.pass_(60)
        assert covering.turn() == 0
    assert audit.message_ids() == []


def test_cover_leaf_differs_from_others_in_its_hidden_head_alone(audit: LogOnDatabase) -> None:
    clock = Hand()
    covering = cover(audit, clock, 60)
    covering.turn()
    audit.append([event()])
    clock.pass_(2)
    assert covering.turn() == 1
    real, covered = audit.history.page(auditor("ann"), Search(), None, 50).leaves
    assert len(real.leaf) == len(covered.leaf)
    assert all(f'"format":{FORMAT},'.encode() in leaf.leaf for leaf in (real, covered))
    assert b"cover" not in covered.leaf
    assert covered.fields["type"] == COVER
    assert (covered.fields["referral_id"], covered.fields["organization"]) == (None, None)
