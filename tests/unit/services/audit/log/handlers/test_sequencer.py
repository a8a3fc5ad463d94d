"""The sequencer appends each event once, in order, and signs in the same transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import Connection

from contracts.canonical import canonical_json
from contracts.envelope import Envelope
from contracts.errors import Unavailable
from runtime.storage.database import Database
from services.audit.adapters.tables import ENTRIES, NODES, OPENINGS, ORGANIZATIONS
from services.audit.log.adapters.sql_due_receipts import SqlDueReceipts
from services.audit.log.adapters.sql_log import SqlLog
from services.audit.log.adapters.sql_retention import SqlClosures
from services.audit.log.domain.entry import EntryError
from services.audit.log.domain.head import Head
from services.audit.log.domain.leaf import data_commitment
from services.audit.log.domain.merkle import Frontier, leaf_hash
from services.audit.log.handlers.sequencer import Sequencer
from tests.unit.services.audit.logs import NOON, LogOnDatabase, event, events


def assert_whole(audit: LogOnDatabase, expected: Sequence[Envelope]) -> None:
    """The log holds these events in this order, and its checkpoint is the root over their leaves."""
    assert audit.message_ids() == [message.id for message in expected]
    with audit.database.read() as transaction:
        leaves = [stored.leaf for stored in audit.log.leaves(transaction, 0, len(expected))]
    checkpoint = audit.key.read(audit.proofs.head().checkpoint)
    assert checkpoint.origin == "kopuro/kg"
    computed = Frontier().extend(map(leaf_hash, leaves)).root()
    assert (checkpoint.size, checkpoint.root) == (len(expected), computed)
    audit.check()


def test_empty_log_has_a_signed_checkpoint(audit: LogOnDatabase) -> None:
    assert_whole(audit, [])


def test_log_appended_in_batches_equals_one_by_one(audit: LogOnDatabase) -> None:
    sent = events(70)
    at = 0
    for size in (1, 1, 2, 3, 1, 8, 13, 41):
        audit.append(sent[at : at + size])
        at += size
        assert_whole(audit, sent[:at])


def test_head_has_the_time_of_its_signature(audit: LogOnDatabase) -> None:
    later = NOON + dt.timedelta(hours=1)
    audit.append(events(1), now=later)
    assert audit.proofs.head().signed_at == later


def test_repeated_event_is_appended_once(
    audit: LogOnDatabase,
) -> None:
    first, second, third = events(3)
    audit.append([first, second, first])
    audit.append([second])
    audit.append([third, first, third, second])
    assert_whole(audit, [first, second, third])


def test_event_with_the_id_of_another_source_is_appended(audit: LogOnDatabase) -> None:
    ours = event(source="/kg/routing")
    theirs = replace(ours, source="/kg/intake")
    audit.append([theirs])
    audit.append([ours, theirs])
    audit.append([theirs, ours])
    assert_whole(audit, [theirs, ours])


def test_event_of_unknown_type_is_appended(audit: LogOnDatabase) -> None:
    unknown = event("kopuro.future.thing.v7", data={"anything": [1, {"at": "all"}]})
    audit.append([unknown])
    assert_whole(audit, [unknown])


def test_event_that_cannot_be_logged_rolls_back_its_batch(audit: LogOnDatabase) -> None:
    good = event()
    with pytest.raises(EntryError):
        audit.append([good, event(source="nowhere")])
    assert_whole(audit, [])
    audit.append([good])
    assert_whole(audit, [good])


def test_opening_is_stored_beside_the_leaf_and_can_be_erased(audit: LogOnDatabase) -> None:
    audit.append([event(data={"organization": "ru.moscow-union", "reason": "no_capacity"})])
    with audit.database.write() as transaction:
        opening = transaction.execute(OPENINGS.select()).one()
        committed = data_commitment(canonical_json(opening.data), opening.salt).encode()
        assert committed in audit.log.leaves(transaction, 0, 1)[0].leaf
        transaction.execute(OPENINGS.delete())
    audit.check()
    audit.append([event()])
    assert audit.proofs.head().size == 2


def test_every_event_has_its_own_salt(audit: LogOnDatabase) -> None:
    audit.append(events(20))
    audit.append(events(20))
    with audit.database.read() as transaction:
        salts = {row.salt for row in transaction.execute(OPENINGS.select())}
    assert len(salts) == 40
    assert {len(salt) for salt in salts} == {32}


class LateLog(SqlLog):
    """Another process gets its batch in after this one has read the head."""

    def __init__(self, between: LogOnDatabase, batch: Sequence[Envelope]) -> None:
        self._between = between
        self._batch = batch

    def head(self, transaction: Connection) -> Head | None:
        head = super().head(transaction)
        if self._batch:
            batch, self._batch = self._batch, ()
            if transaction.dialect.name == "sqlite":
                # SQLite allows one writing transaction, so the other append happens inside this one.
                self._between.sequencer.append(transaction, batch, NOON)
            else:
                self._between.append(batch)
        return head


def test_second_process_on_the_same_head_is_refused(audit: LogOnDatabase) -> None:
    """Crash point 2 of the second: it ends without having written an entry."""
    theirs, ours = events(3), events(2)
    late = Sequencer(LateLog(audit, theirs), audit.key, bytes, SqlClosures(), SqlDueReceipts())
    with audit.database.write() as transaction, pytest.raises(Unavailable):
        late.append(transaction, ours, NOON)
        # Its transaction contains only the entries of the other process.
    assert_whole(audit, theirs)
    with audit.database.write() as transaction:
        late.append(transaction, ours, NOON)
    assert_whole(audit, [*theirs, *ours])


def test_two_processes_in_turn_append_to_one_log(audit: LogOnDatabase, database_url: str) -> None:
    other = LogOnDatabase(database=Database.open(database_url), key=audit.key)
    sent = events(12)
    for at in range(0, 12, 4):
        audit.append(sent[at : at + 2])
        other.append(sent[at + 2 : at + 4])
    assert_whole(audit, sent)
    other.database.close()


def test_crash_before_commit_leaves_the_log_unchanged(audit: LogOnDatabase) -> None:
    """Crash point 2: everything is staged, nothing is committed."""
    kept, lost = event(), event()
    audit.append([kept])

    class PowerCut(Exception):
        pass

    def append_and_die() -> None:
        with audit.database.write() as transaction:
            audit.sequencer.append(transaction, [lost], NOON)
            raise PowerCut

    with pytest.raises(PowerCut):
        append_and_die()
    assert_whole(audit, [kept])
    for table in (OPENINGS, NODES):
        with audit.database.read() as transaction:
            assert len(transaction.execute(table.select()).all()) == 1
    audit.append([lost])
    assert_whole(audit, [kept, lost])


def test_entry_is_found_by_every_party(audit: LogOnDatabase) -> None:
    audit.append([event(data={"sender": "kg.osh", "facts": {"to": "ru.moscow"}}), event()])
    with audit.database.read() as transaction:
        rows = transaction.execute(ORGANIZATIONS.select()).all()
        assert sorted(tuple(row) for row in rows) == [("kg.osh", 0), ("ru.moscow", 0)]
        assert transaction.execute(ENTRIES.select()).first() is not None
