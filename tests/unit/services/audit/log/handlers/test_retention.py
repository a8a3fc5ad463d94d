"""Erased content is gone from storage, other content stays, and every proof remains valid."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, MetaData, select
from sqlalchemy import event as listening

from contracts.envelope import Envelope
from kopuro_client.tlog import verify_inclusion
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import Outbox
from runtime.storage.database import Database, DatabaseUnavailable
from services.audit.adapters.tables import CLOSURES, FACETS, MESSAGING, OPENINGS
from services.audit.log.adapters.sql_contents import SqlContents
from services.audit.log.adapters.sql_retention import SqlClosures
from services.audit.log.domain.merkle import leaf_hash
from services.audit.log.domain.retention import Closing
from services.audit.log.domain.search import Search
from services.audit.log.handlers import retention
from services.audit.log.handlers.retention import Retention
from tests.unit.services.audit.logs import NOON, LogOnDatabase, auditor, event
from tests.unit.services.audit.overlaps import while_another_has_written

DAY = dt.timedelta(days=1)
SECRET = "Nobody may read these words again"
FIRST, SECOND = new_id(), new_id()


class FixedClock:
    def __init__(self, now: dt.datetime) -> None:
        self._now = now

    def now(self) -> dt.datetime:
        return self._now


def turn(audit: LogOnDatabase, *, now: dt.datetime = NOON, kept: dt.timedelta | None = None) -> int:
    return retention_of(audit, SqlClosures(), now=now, kept=kept).turn()


def retention_of(
    audit: LogOnDatabase,
    closures: SqlClosures,
    *,
    now: dt.datetime = NOON,
    kept: dt.timedelta | None = None,
) -> Retention:
    return Retention(
        database=audit.database,
        closures=closures,
        record=audit.record,
        log=audit.log,
        contents=SqlContents(),
        outbox=Outbox(MESSAGING.outbox),
        noticed=audit.noticed,
        source="/kg/audit",
        after_commit=audit.wake,
        kept=kept,
        clock=FixedClock(now),
    )


def referral_event(fact: str, referral: str = FIRST, **data: Any) -> Envelope:
    return event(f"kopuro.{fact}.v1", partition_key=referral, data=data, time=NOON, source="/kg/routing")


def story(referral: str) -> list[Envelope]:
    facts = {"needs": ["shelter"], "region": "RU-MOW", "origin_country": "KG", "sex": "female"}
    return [
        referral_event("referral.submitted", referral, sender="kg.osh-legal-aid", facts=facts),
        referral_event(
            "offer.declined", referral, organization="ru.moscow-union", reason="other", note=SECRET
        ),
        event(
            "kopuro.history.read.v1",
            partition_key=referral,
            data={"reader": "ann", "filter": {}, "entries": 2},
            time=NOON,
            source="/kg/audit",
        ),
    ]


def opened(audit: LogOnDatabase) -> list[int]:
    with audit.database.read() as transaction:
        rows = transaction.execute(select(OPENINGS.c.leaf_index).order_by(OPENINGS.c.leaf_index))
        return list(rows.scalars())


def everything_stored(database: Database) -> bytes:
    """Every value of every table; on SQLite, every byte of its files."""
    metadata = MetaData()
    metadata.reflect(database.engine)
    with database.read() as transaction:
        rows = [
            tuple(row) for table in metadata.tables.values() for row in transaction.execute(table.select())
        ]
    found = repr(rows).encode()
    name = database.engine.url.database
    if database.engine.dialect.name == "sqlite" and name is not None:
        for file in Path(name).parent.glob(Path(name).name + "*"):
            found += file.read_bytes()
    return found


REVOKED = referral_event("referral.withdrawn", sender="kg.osh-legal-aid", reason="consent_revoked")


def test_withdrawn_consent_erases_content_and_keeps_proofs_valid(audit: LogOnDatabase) -> None:
    audit.publish([*story(FIRST), *story(SECOND)])
    assert SECRET.encode() in everything_stored(audit.database)
    salts = []
    with audit.database.read() as transaction:
        salts = list(transaction.execute(select(OPENINGS.c.salt).where(OPENINGS.c.leaf_index < 2)).scalars())
    before = [leaf.leaf for leaf in audit.history.page(auditor("ann"), Search(), None, 50).leaves]
    audit.publish([referral_event("offer.declined", SECOND, note="kept"), REVOKED])
    assert turn(audit) == 3

    assert opened(audit) == [2, 3, 4, 5, 6], "who looked stays known, and the other referral"
    with audit.database.write() as transaction:
        transaction.execute(OPENINGS.delete().where(OPENINGS.c.leaf_index == 4))
    assert audit.database.checkpoint_wal()
    stored = everything_stored(audit.database)
    assert SECRET.encode() not in stored
    assert not [salt for salt in salts if salt in stored]

    leaves = [leaf.leaf for leaf in audit.history.page(auditor("ann"), Search(), None, 50).leaves]
    assert leaves[:6] == before
    audit.check()
    size = audit.published.size
    root = audit.proofs.published().checkpoint.root
    for index, leaf in enumerate(leaves[:size]):
        proof = audit.proofs.inclusion(index, size)
        verify_inclusion(leaf_hash(leaf), index, size, proof.hashes, root)


def test_erased_referral_is_found_by_leaves_but_not_by_facets(
    audit: LogOnDatabase,
) -> None:
    audit.publish([*story(FIRST), REVOKED])
    turn(audit)
    assert audit.history.page(auditor("ann"), Search(facets=(("need", "shelter"),)), None, 9).leaves == ()
    assert len(audit.history.page(auditor("ann"), Search(referral_id=FIRST), None, 9).leaves) == 4
    assert (
        len(audit.history.page(auditor("ann"), Search(facets=(("actor", "/kg/routing"),)), None, 9).leaves)
        == 3
    )
    with audit.database.read() as transaction:
        assert {row.facet for row in transaction.execute(FACETS.select())} == {"actor"}


def test_closed_referral_is_erased_after_the_retention_time(audit: LogOnDatabase) -> None:
    audit.publish([*story(FIRST), referral_event("referral.completed", outcome="resolved")])
    assert turn(audit, now=NOON + 1000 * DAY) == 0, "without a policy nothing is erased"
    assert turn(audit, now=NOON + 29 * DAY, kept=30 * DAY) == 0
    assert turn(audit, now=NOON + 31 * DAY, kept=30 * DAY) == 3
    assert turn(audit, now=NOON + 31 * DAY, kept=30 * DAY) == 0


def test_entries_after_the_closing_are_erased_too(audit: LogOnDatabase) -> None:
    audit.publish([*story(FIRST), REVOKED])
    turn(audit)
    audit.publish(
        [referral_event("case.erased", reason="consent_revoked"), referral_event("offer.revoked", reason="x")]
    )
    assert turn(audit) == 2
    assert opened(audit) == [2]


def test_consent_withdrawn_after_another_closing_erases_at_once(audit: LogOnDatabase) -> None:
    audit.publish([*story(FIRST), referral_event("referral.withdrawn", reason="other")])
    assert turn(audit) == 0
    audit.publish([referral_event("case.erased", reason="consent_revoked")])
    assert turn(audit) == 4


def test_entry_without_its_receipt_is_not_erased(audit: LogOnDatabase) -> None:
    audit.append([*story(FIRST), REVOKED])
    assert turn(audit) == 0
    audit.publisher.turn()
    assert turn(audit) == 3


def test_withdrawal_submission_alone_erases_nothing(audit: LogOnDatabase) -> None:
    audit.publish([*story(FIRST), referral_event("revocation.submitted", organization="ru.moscow-union")])
    assert turn(audit, now=NOON + 1000 * DAY, kept=DAY) == 0


def test_retention_turn_erases_several_steps(audit: LogOnDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "STEP", 8)
    number = retention.STEP + 4
    audit.publish([referral_event("referral.failed", new_id(), reason="x") for _ in range(number)])
    assert turn(audit, now=NOON + 2 * DAY, kept=DAY) == number
    assert opened(audit) == []


def test_retention_spreads_large_erasures_over_turns(
    audit: LogOnDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "STEP", 1)
    monkeypatch.setattr(retention, "STEPS_A_TURN", 2)
    referrals = [new_id() for _ in range(3)]
    for referral in referrals:
        audit.publish([*story(referral), referral_event("referral.completed", referral, outcome="resolved")])

    first, second, third = (turn(audit, now=NOON + 2 * DAY, kept=DAY) for _ in range(3))

    assert first == 2 * second > 0
    assert third == 0


class BreakingClosures(SqlClosures):
    """When one referral has been erased, the database is away, once."""

    def __init__(self) -> None:
        self.erased = 0

    def due(self, transaction: Connection, closed_before: dt.datetime | None, limit: int) -> list[str]:
        if self.erased == 1:
            self.erased += 1
            raise DatabaseUnavailable("The database cannot be used just now.")
        return super().due(transaction, closed_before, limit)

    def erase(self, transaction: Connection, referral_ids: Sequence[str], *, stop: int) -> dict[str, int]:
        self.erased += 1
        return super().erase(transaction, referral_ids, stop=stop)


def test_content_of_an_interrupted_retention_turn_is_purged_by_the_next(
    audit: LogOnDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "STEP", 1)
    handler = retention_of(audit, BreakingClosures())
    handler.turn()  # the first turn, which always forgets
    audit.publish([*story(FIRST), REVOKED])
    with audit.database.write() as transaction:
        transaction.execute(MESSAGING.outbox.delete())
    with pytest.raises(DatabaseUnavailable):
        handler.turn()
    if audit.database.engine.dialect.name == "sqlite":
        assert SECRET.encode() in everything_stored(audit.database), "in the pages as they were"
    assert handler.turn() == 0
    assert SECRET.encode() not in everything_stored(audit.database)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_concurrent_closings_of_a_referral_both_succeed(audit: LogOnDatabase) -> None:
    closures = SqlClosures()
    ended = Closing(referral_id=FIRST, time=NOON, revoked=False)
    revoked = Closing(referral_id=FIRST, time=NOON + DAY, revoked=True)
    while_another_has_written(
        audit.database,
        lambda transaction: closures.note(transaction, [ended], [FIRST]),
        lambda transaction: closures.note(transaction, [revoked], ()),
    )
    with audit.database.read() as transaction:
        row = transaction.execute(select(CLOSURES)).one()
    assert (row.closed_at, row.revoked, row.pending) == (NOON, True, True)


def test_due_closures_are_found_by_index(audit: LogOnDatabase) -> None:
    statements: list[tuple[str, Any]] = []

    def note(_: Any, cursor: Any, statement: str, parameters: Any, *more: Any) -> None:
        if statement.startswith("SELECT closures.referral_id"):
            statements.append((statement, parameters))

    listening.listen(audit.database.engine, "before_cursor_execute", note)
    turn(audit, now=NOON + 2 * DAY, kept=DAY)

    assert len(statements) == 2
    if audit.database.engine.dialect.name == "sqlite":
        with audit.database.read() as transaction:
            for statement, parameters in statements:
                plan = transaction.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
                assert ["SEARCH" in step.detail and "revoked=?" in step.detail for step in plan] == [True]


def test_flood_of_reads_before_the_closing_prevents_no_erasure(
    audit: LogOnDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MOST_ENTRIES", 2)
    reads = [
        event(
            "kopuro.history.read.v1",
            partition_key=FIRST,
            data={"reader": "ann", "filter": {}, "entries": 1},
            time=NOON,
            source="/kg/audit",
        )
        for _ in range(4)
    ]
    audit.publish([*story(FIRST), *reads, REVOKED])
    assert turn(audit) > 0
    assert SECRET.encode() not in everything_stored(audit.database)
