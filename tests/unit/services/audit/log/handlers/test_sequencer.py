"""One place in the log for each event, in order, signed for in the same transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import pytest
from sqlalchemy import Connection

from contracts.envelope import Envelope
from contracts.errors import Unavailable
from runtime.storage.database import Database
from services.audit.adapters.tables import ENTRIES, NODES, OPENINGS, ORGANIZATIONS
from services.audit.log.adapters.sql_log import SqlLog
from services.audit.log.adapters.sql_retention import SqlClosures
from services.audit.log.domain.entry import EntryError, commitment
from services.audit.log.domain.head import Head
from services.audit.log.domain.merkle import leaf_hash, root
from services.audit.log.handlers.sequencer import Sequencer
from tests.unit.services.audit.logs import NOON, LogOnDatabase, event, events


def assert_whole(audit: LogOnDatabase, expected: Sequence[Envelope]) -> None:
    """The log holds these events in this order, and its checkpoint is the root over their leaves."""
    assert audit.message_ids() == [message.id for message in expected]
    with audit.database.read() as transaction:
        leaves = [stored.leaf for stored in audit.log.leaves(transaction, 0, len(expected))]
    checkpoint = audit.key.read(audit.proofs.head().checkpoint)
    assert checkpoint.origin == "kopuro/kg"
    assert (checkpoint.size, checkpoint.root) == (len(expected), root(map(leaf_hash, leaves)))
    audit.check()


def test_an_empty_log_has_a_signed_checkpoint(audit: LogOnDatabase) -> None:
    assert_whole(audit, [])


def test_batches_of_any_size_make_the_log_that_single_events_make(audit: LogOnDatabase) -> None:
    sent = events(70)
    at = 0
    for size in (1, 1, 2, 3, 1, 8, 13, 41):
        audit.append(sent[at : at + size])
        at += size
        assert_whole(audit, sent[:at])


def test_the_checkpoint_says_when_it_was_signed(audit: LogOnDatabase) -> None:
    later = NOON + dt.timedelta(hours=1)
    audit.append(events(1), now=later)
    assert audit.proofs.head().signed_at == later


def test_an_event_is_appended_once_whether_it_comes_again_in_its_batch_or_later(
    audit: LogOnDatabase,
) -> None:
    first, second, third = events(3)
    audit.append([first, second, first])
    audit.append([second])
    audit.append([third, first, third, second])
    assert_whole(audit, [first, second, third])


def test_a_type_that_is_in_no_catalogue_is_appended_too(audit: LogOnDatabase) -> None:
    unknown = event("kopuro.future.thing.v7", data={"anything": [1, {"at": "all"}]})
    audit.append([unknown])
    assert_whole(audit, [unknown])


def test_an_event_without_a_place_leaves_nothing_of_its_batch(audit: LogOnDatabase) -> None:
    good = event()
    with pytest.raises(EntryError):
        audit.append([good, event(source="nowhere")])
    assert_whole(audit, [])
    audit.append([good])
    assert_whole(audit, [good])


def test_what_opens_the_commitment_is_kept_beside_and_can_be_erased(audit: LogOnDatabase) -> None:
    audit.append([event(data={"organization": "ru.moscow-union", "reason": "no_capacity"})])
    with audit.database.write() as transaction:
        opening = transaction.execute(OPENINGS.select()).one()
        assert commitment(opening.data, opening.salt).encode() in audit.log.leaves(transaction, 0, 1)[0].leaf
        transaction.execute(OPENINGS.delete())
    audit.check()
    audit.append([event()])
    assert audit.proofs.head().size == 2


def test_no_two_events_share_a_salt(audit: LogOnDatabase) -> None:
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
                # SQLite lets only one transaction write: the other one's effect, in ours.
                self._between.sequencer.append(transaction, batch, NOON)
            else:
                self._between.append(batch)
        return head


def test_of_two_processes_on_one_head_the_second_is_put_off(audit: LogOnDatabase) -> None:
    """Crash point 2 of the second: it ends without having written an entry."""
    theirs, ours = events(3), events(2)
    late = Sequencer(LateLog(audit, theirs), audit.key, bytes, SqlClosures())
    with audit.database.write() as transaction, pytest.raises(Unavailable):
        late.append(transaction, ours, NOON)
        # What it left in its transaction is the other one's alone.
    assert_whole(audit, theirs)
    with audit.database.write() as transaction:
        late.append(transaction, ours, NOON)
    assert_whole(audit, [*theirs, *ours])


def test_two_processes_taking_turns_make_one_log(audit: LogOnDatabase, database_url: str) -> None:
    other = LogOnDatabase(database=Database.open(database_url), key=audit.key)
    sent = events(12)
    for at in range(0, 12, 4):
        audit.append(sent[at : at + 2])
        other.append(sent[at + 2 : at + 4])
    assert_whole(audit, sent)
    other.database.close()


def test_a_crash_before_the_commit_leaves_the_log_as_it_was(audit: LogOnDatabase) -> None:
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


def test_an_entry_is_found_by_every_party(audit: LogOnDatabase) -> None:
    audit.append([event(data={"sender": "kg.osh", "facts": {"to": "ru.moscow"}}), event()])
    with audit.database.read() as transaction:
        rows = transaction.execute(ORGANIZATIONS.select()).all()
        assert sorted(tuple(row) for row in rows) == [("kg.osh", 0), ("ru.moscow", 0)]
        assert transaction.execute(ENTRIES.select()).first() is not None
