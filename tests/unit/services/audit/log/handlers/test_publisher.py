"""The publication is always a complete and consistent prefix of the log."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, update

from contracts.envelope import Envelope
from contracts.errors import Defect, Unavailable
from kopuro_client.tlog.tiles import split_entries
from runtime.identifiers import new_id
from services.audit.adapters.tables import ENTRIES, NODES, PUBLICATION
from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.merkle import Frontier, leaf_hash
from services.audit.log.domain.tiles import tiles_between
from services.audit.log.handlers.published_log import (
    CHECKPOINT,
    COSIGNED,
    PublicationDamaged,
    PublishedLog,
)
from services.audit.log.ports import LogPublication
from tests.unit.services.audit.logs import NOON, LogOnDatabase, event, events, new_key
from tests.unit.services.audit.publications import FailingPublication, MemoryPublication

REFERRAL = "01938a6e-5f4c-7d31-9b0a-3f2a7c1e8d55"
OSH, MOSCOW = "kg.osh-legal-aid", "ru.moscow-union"


def accepted(referral_id: str = REFERRAL) -> Envelope:
    parties = {"referral_id": referral_id, "organization": MOSCOW, "sender": OSH}
    return event("kopuro.offer.accepted.v1", data=parties, partition_key=referral_id)


def assert_whole(publication: LogPublication, audit: LogOnDatabase) -> int:
    """Reads the publication as a stranger would; gives its size."""
    note = publication.read(CHECKPOINT)
    assert note is not None
    checkpoint = audit.key.read(note)
    leaves: list[bytes] = []
    for tile in tiles_between(0, checkpoint.size):
        content = publication.read(tile.path)
        assert content is not None, tile.path
        if tile.path.startswith("tile/entries/"):
            leaves += split_entries(content, "entries")
        else:
            assert len(content) == 32 * tile.width
    hashes = [leaf_hash(leaf) for leaf in leaves]
    assert (len(leaves), Frontier().extend(hashes).root()) == (checkpoint.size, checkpoint.root)
    zero = [t for t in tiles_between(0, checkpoint.size) if t.level == 0]
    assert b"".join(publication.read(tile.path) or b"" for tile in zero) == b"".join(hashes)
    return checkpoint.size


def other_process(audit: LogOnDatabase, publication: LogPublication | None = None) -> LogOnDatabase:
    made = LogOnDatabase(database=audit.database, key=audit.key, publication=publication or audit.publication)
    made.check()
    return made


def test_empty_log_gets_a_published_checkpoint(audit: LogOnDatabase) -> None:
    audit.publisher.turn()
    assert assert_whole(audit.publication, audit) == 0


def test_publication_in_steps_of_any_size_is_complete(audit: LogOnDatabase) -> None:
    total = 0
    for count in (1, 2, 252, 1, 1, 300, 3):
        total += count
        audit.publish(events(count))
        assert assert_whole(audit.publication, audit) == total
    # A full tile has taken the place of its narrower ones.
    assert isinstance(audit.publication, MemoryPublication)
    assert not [path for path in audit.publication.contents if path.startswith("tile/0/000.p/")]


def test_tiles_are_published_before_their_checkpoint(audit: LogOnDatabase) -> None:
    assert isinstance(audit.publication, MemoryPublication)
    audit.publish(events(300))
    assert audit.publication.steps.index(CHECKPOINT) == len(audit.publication.steps) - 1


def test_publisher_turn_without_new_entries_writes_nothing(audit: LogOnDatabase) -> None:
    assert isinstance(audit.publication, MemoryPublication)
    audit.publish(events(3))
    audit.publication.steps.clear()
    audit.publisher.turn()
    assert audit.publication.steps == []


@pytest.mark.parametrize("step", ["put", "swap", "drop"])
@pytest.mark.parametrize("persisted", [False, True])
def test_publisher_turn_after_a_failure_catches_up(audit: LogOnDatabase, step: str, persisted: bool) -> None:
    """Failed, and failed but persisted: both sides of each step."""
    failing = FailingPublication(MemoryPublication())
    process = other_process(audit, failing)
    process.publish(events(200))
    when = "after" if persisted else "before"
    setattr(failing, when, lambda at: at == step)
    with pytest.raises(Unavailable):
        process.publish([*events(99), accepted()])
    shown = assert_whole(failing, audit)
    assert shown == (300 if step == "drop" or (step == "swap" and persisted) else 200)
    setattr(failing, when, lambda at: False)
    if persisted:
        process = other_process(audit, failing)  # and from a process that knows nothing of it
    process.publisher.turn()
    assert assert_whole(failing, audit) == 300
    assert len(process.recorded_reads()) == 2  # the receipts are sent once


def test_process_without_lease_follows_the_publisher(audit: LogOnDatabase) -> None:
    follower = PublishedLog(audit.publication, audit.key)
    audit.publish(events(10))
    follower.refresh()
    assert follower.size == 10
    assert follower.node(3, 0) == audit.published.node(3, 0)
    # A tile that it holds grows under it.
    audit.publish(events(290))
    follower.refresh()
    assert follower.node(8, 0) == audit.published.node(8, 0)


def test_database_older_than_the_publication_is_refused(
    audit: LogOnDatabase,
) -> None:
    audit.publish(events(5))
    before = audit.proofs.head()
    audit.publish(events(2))
    with audit.database.write() as transaction:
        audit.log.advance(transaction, before, from_size=7)
        transaction.execute(delete(ENTRIES).where(ENTRIES.c.leaf_index >= 5))
        transaction.execute(delete(NODES).where(NODES.c.level == 0, NODES.c.first >= 5))
    with pytest.raises(PublicationDamaged, match="7 entries, but the database has only 5"):
        other_process(audit)


def test_publication_of_another_log_is_refused(
    audit: LogOnDatabase,
) -> None:
    audit.append(events(5))
    foreign = MemoryPublication()
    other_tree = audit.key.sign(Frontier().extend([bytes(32)] * 5), Chronology(), NOON)
    foreign.swap(CHECKPOINT, other_tree.checkpoint)
    with pytest.raises(PublicationDamaged, match="not a prefix of the log in the database"):
        other_process(audit, foreign)


@pytest.mark.parametrize("path", [CHECKPOINT, COSIGNED])
def test_published_checkpoint_of_another_key_is_refused(audit: LogOnDatabase, path: str) -> None:
    audit.publish(events(1))
    forged = new_key().sign(audit.proofs.head().frontier, Chronology(), NOON)
    audit.publication.swap(path, forged.checkpoint)
    with pytest.raises(PublicationDamaged, match="not signed with this log's key"):
        other_process(audit)


def test_published_checkpoint_that_shrinks_or_vanishes_is_refused(audit: LogOnDatabase) -> None:
    assert isinstance(audit.publication, MemoryPublication)
    audit.publish(events(2))
    old = audit.publication.contents[CHECKPOINT]
    audit.publish(events(2))
    audit.publication.swap(CHECKPOINT, old)
    with pytest.raises(PublicationDamaged, match="smaller than before"):
        audit.publisher.turn()
    del audit.publication.contents[CHECKPOINT]
    with pytest.raises(PublicationDamaged, match="disappeared"):
        audit.publisher.turn()


def test_lost_publication_directory_is_published_again(audit: LogOnDatabase) -> None:
    audit.publish(events(300))
    empty = MemoryPublication()
    again = other_process(audit, empty)
    again.publisher.turn()
    assert assert_whole(empty, audit) == 300


def test_changed_nodes_are_never_published(audit: LogOnDatabase) -> None:
    audit.publish(events(3))
    with audit.database.write() as transaction:
        transaction.execute(update(NODES).where(NODES.c.level == 0).values(hashes=bytes(96)))
    with pytest.raises(PublicationDamaged):
        other_process(audit)


def test_log_with_a_missing_leaf_is_not_published(audit: LogOnDatabase) -> None:
    audit.append(events(3))
    with audit.database.write() as transaction:
        transaction.execute(delete(ENTRIES).where(ENTRIES.c.leaf_index == 1))
    with pytest.raises(Defect, match="entry of the log is missing"):
        audit.publisher.turn()
    assert audit.publication.read(CHECKPOINT) is None


def test_receipts_go_once_to_each_party(audit: LogOnDatabase) -> None:
    referral = new_id()
    audit.publish([event(partition_key=referral), accepted(referral), *events(4)])
    sent = audit.recorded_reads()
    assert [(message.type, message.data["organization"]) for message in sent] == [
        ("kopuro.receipts.issued.v1", MOSCOW),
        ("kopuro.receipts.issued.v1", OSH),
    ]
    assert audit.woken == 1
    audit.publisher.turn()
    other_process(audit).publisher.turn()
    assert len(audit.recorded_reads()) == 2


def test_entries_before_the_first_publication_get_no_receipts(audit: LogOnDatabase) -> None:
    audit.append([accepted()])
    with audit.database.write() as transaction:
        transaction.execute(PUBLICATION.delete())
    upgraded = other_process(audit)
    upgraded.publisher.turn()
    assert upgraded.recorded_reads() == []
    upgraded.publish([accepted(new_id())])
    assert len(upgraded.recorded_reads()) == 2


def test_turn_needs_no_other_turn_without_a_commit(audit: LogOnDatabase) -> None:
    audit.append(events(3))
    assert audit.publisher.turn() is False
    assert audit.published.size == 3


def test_receipts_of_one_publication_are_not_looked_for_twice(audit: LogOnDatabase) -> None:
    audit.publish([accepted()])
    with audit.database.write() as transaction:
        transaction.execute(delete(PUBLICATION))
    # A read would fail: the row with the processed size is gone.
    audit.publisher.turn()
    audit.append(events(1))
    with pytest.raises(Defect, match="publication record"):
        audit.publisher.turn()
