"""The sealing of messages for the vault: nothing that the custody key opens stays in intake's database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from contracts.envelope import decode
from contracts.errors import Unavailable
from contracts.facts import SealedCaseSubmitted, TransitKeyClosed, TransitKeyPublished
from runtime.identifiers import new_id
from runtime.messaging.outbox.event_batch import decode_batch
from runtime.storage.database import Database
from services.intake.adapters.transit_keys import SqlTransitKeys
from services.intake.domain.admission import Claim
from services.intake.transit_key_changes import TransitKeyChanges
from tests.support.events import message_of
from tests.support.migrated import upgrade
from tests.support.transit_secrets import FIRST
from tests.unit.services.intake.intake_fixture import IntakeBench
from tests.unit.services.intake.samples import OSH, submission

LATER = FIRST + dt.timedelta(hours=1)


@pytest.fixture
def bench(database_url: str) -> Iterator[IntakeBench]:
    made = IntakeBench(database_url)
    yield made
    made.database.close()


def cases(bench: IntakeBench) -> list[SealedCaseSubmitted]:
    return [e.data for e in bench.sealed_in_transit() if isinstance(e.data, SealedCaseSubmitted)]


def test_key_of_a_case_is_nowhere_in_the_database_in_the_clear(bench: IntakeBench) -> None:
    bench.submit()
    whole = submission().case
    header, wrapped_key, *_ = whole.split(".")
    stored = bench.everything_but_the_outbox() + "".join(str(row["body"]) for row in bench.outbox())
    assert header not in stored
    assert wrapped_key not in stored
    assert [e.data.case for e in bench.sent() if isinstance(e.data, SealedCaseSubmitted)] == [whole]


def test_newest_key_is_used_and_the_replaced_one_closed_with_its_count(bench: IntakeBench) -> None:
    bench.submit()
    bench.submit()
    (first,) = {case.transit.kid for case in cases(bench) if case.transit}
    second = bench.transit.new(LATER)
    assert bench.publish_transit_key(second) == [(first, 2)]
    bench.submit()
    assert [case.transit.kid for case in cases(bench) if case.transit] == [first, first, second.kid]


def test_older_key_never_replaces_a_newer_one_and_is_closed_unused(bench: IntakeBench) -> None:
    newer, older = bench.transit.new(LATER), bench.transit.new(FIRST + dt.timedelta(minutes=1))
    bench.publish_transit_key(newer)
    assert bench.publish_transit_key(older) == [(older.kid, 0)]
    bench.submit()
    assert [case.transit.kid for case in cases(bench) if case.transit] == [newer.kid]


def test_repeated_key_closes_nothing(bench: IntakeBench) -> None:
    key = bench.transit.new(LATER)
    assert len(bench.publish_transit_key(key)) == 1
    bench.submit()
    assert bench.publish_transit_key(key) == []
    again = TransitKeyPublished(kid=key.kid, x=key.x, published_at=LATER + dt.timedelta(hours=1))
    assert bench.publish_transit_key(again) == []
    bench.submit()
    assert {case.transit.kid for case in cases(bench) if case.transit} == {key.kid}


def test_repeated_submission_is_not_counted_twice(bench: IntakeBench) -> None:
    claim = Claim(organization=OSH, key="once", fingerprint="f" * 64)
    assert bench.submit(claim) == bench.submit(claim)
    (first,) = {case.transit.kid for case in cases(bench) if case.transit}
    assert bench.publish_transit_key(bench.transit.new(LATER)) == [(first, 1)]


def test_submission_without_a_known_key_is_refused_for_now(database_url: str) -> None:
    database = Database.open(database_url)
    upgrade("services.intake", database)
    keys = SqlTransitKeys(database, process="one")
    assert keys.unready() is not None
    bench = IntakeBench(database_url)
    with bench.database.write() as transaction:
        transaction.exec_driver_sql("DELETE FROM transit_keys")
    with pytest.raises(Unavailable):
        bench.submit()
    assert bench.counts() == (0, 0, 0)
    assert keys.unready() is not None
    bench.publish_transit_key(bench.transit.new())
    assert keys.unready() is None
    bench.database.close()
    database.close()


def test_key_older_than_a_start_can_trust_is_not_used(bench: IntakeBench) -> None:
    """A restored database may name a key that the vault has destroyed."""
    bench.publish_transit_key(bench.transit.new(LATER))
    restored = SqlTransitKeys(bench.database, process="two", trusted_since=LATER + dt.timedelta(seconds=1))
    assert "may have destroyed" in str(restored.unready())
    with pytest.raises(Unavailable), bench.database.write() as transaction:
        restored._current(transaction)
    bench.publish_transit_key(bench.transit.new(LATER + dt.timedelta(hours=1)))
    assert restored.unready() is None
    with bench.database.write() as transaction:
        assert restored._current(transaction)


def test_closed_fact_names_key_and_count(bench: IntakeBench) -> None:
    bench.submit()
    (first,) = {case.transit.kid for case in cases(bench) if case.transit}
    changes = TransitKeyChanges(source="/kg/intake", keys=bench.transit_keys, new_id=new_id)
    key = bench.transit.new(LATER)
    message = message_of(key, key.kid, time=LATER)
    with bench.database.write() as transaction:
        (out,) = changes.receive(transaction, [message], LATER)
    (body,) = decode_batch(out.body)
    assert decode(body).data == TransitKeyClosed(kid=first, messages=1)


def test_count_of_a_closed_key_is_final_with_two_processes(postgres_database: str) -> None:
    """A process that is sealing holds up the closing; one that comes later uses the new key."""
    bench = IntakeBench(postgres_database)
    other = SqlTransitKeys(bench.database, process="two")
    admission = bench.prepared()
    second = bench.transit.new(LATER)
    with ThreadPoolExecutor(1) as pool:
        with bench.database.write() as transaction:
            other.seal(transaction, [admission])
            closing = pool.submit(bench.publish_transit_key, second)
            with pytest.raises(TimeoutError):
                closing.result(0.3)
        ((_, count),) = closing.result(20)
    assert count == 1
    with bench.database.write() as transaction:
        (sealed,) = other.seal(transaction, [admission])
    (fact,) = [e.data for e in sealed.events if isinstance(e.data, SealedCaseSubmitted)]
    assert fact.transit is not None
    assert fact.transit.kid == second.kid
    bench.database.close()


def test_sealing_that_waited_for_the_closing_uses_the_new_key(postgres_database: str) -> None:
    bench = IntakeBench(postgres_database)
    other = SqlTransitKeys(bench.database, process="two")
    admission = bench.prepared()
    second = bench.transit.new(LATER)

    def seal() -> str:
        with bench.database.write() as transaction:
            (sealed,) = other.seal(transaction, [admission])
        (fact,) = [e.data for e in sealed.events if isinstance(e.data, SealedCaseSubmitted)]
        assert fact.transit is not None
        return fact.transit.kid

    with ThreadPoolExecutor(1) as pool:
        with bench.database.write() as transaction:
            bench.transit_keys.adopt(transaction, [second])
            sealing = pool.submit(seal)
            with pytest.raises(TimeoutError):
                sealing.result(0.3)
        assert sealing.result(20) == second.kid
    bench.database.close()
