"""The replica of another service's records."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from sqlalchemy import delete, select

from contracts.envelope import Envelope
from contracts.facts import Fact, ReplicaCompleted, ReplicaRequested, TokenKeyChanged
from contracts.topology import Topology
from runtime.messaging.authors import authors_in
from runtime.messaging.batches import BatchProcessor
from runtime.messaging.memory import MemoryBroker
from runtime.messaging.messenger import Messenger
from runtime.messaging.outbox.outbox import Outbox
from runtime.messaging.ports import Delivery
from runtime.messaging.replica import Replica, ReplicaHistory, ReplicaRecord, ReplicaView, entry_digest
from runtime.messaging.signatures.reloaded_identity import ReloadedIdentity
from runtime.storage.database import Database
from tests.messaging.consumer_harness import CHANGES, METADATA, REPLICA, START, TABLES, HandClock, opened
from tests.support.events import message_of
from tests.support.hub_keys import identity, signed_body

QUEUE = "test.directory"


def envelope(fact: Fact, key: str) -> Envelope:
    event = message_of(fact, key, time=START, id_=f"{key}-{fact}"[:64], correlation_id="c")
    return Envelope.decode(event.encode())


def changed(key: str, revision: int) -> Envelope:
    return envelope(TokenKeyChanged(revision=revision, key={"kid": f"{key} {revision}"}), key)


def completed(queue: str = QUEUE) -> Envelope:
    return envelope(ReplicaCompleted(queue=queue, records=1), queue)


def apply(database: Database, replica: Replica, messages: Sequence[Envelope]) -> None:
    with database.write() as transaction:
        assert replica.apply(transaction, messages, START) == ()


def copy(database: Database, replica: Replica) -> dict[str, int]:
    with database.read() as transaction:
        return {r.key: r.data["revision"] for r in replica.newer_than(transaction, 0)}


def replica_of(queue: str = QUEUE, kinds: Sequence[str] = ("token_key.changed",)) -> Replica:
    return Replica(REPLICA, queue=queue, source="/kg/test", kinds=kinds)


def test_older_revision_never_overwrites_a_newer_one(database: Database) -> None:
    replica = replica_of()
    apply(database, replica, [changed("a", 2), changed("b", 1)])
    apply(database, replica, [changed("a", 1), changed("b", 2), changed("b", 1)])
    assert copy(database, replica) == {"a": 2, "b": 2}
    apply(database, replica, [changed("a", 10), changed("a", 9)])
    assert copy(database, replica) == {"a": 10, "b": 2}


def test_history_has_each_newer_revision_under_its_change_number(database: Database) -> None:
    history = ReplicaHistory(table=CHANGES, entry_of=lambda fact: getattr(fact, "key", None))
    replica = Replica(REPLICA, queue=QUEUE, source="/kg/test", history=history)
    apply(database, replica, [changed("a", 2), changed("b", 1), changed("a", 1), changed("a", 2)])
    apply(database, replica, [completed(), changed("a", 3), changed("b", 1)])
    with database.read() as transaction:
        rows = transaction.execute(select(CHANGES).order_by(CHANGES.c.change)).all()
        current = {record.key: record.change for record in replica.newer_than(transaction, 0)}
    assert [(row.key, row.revision) for row in rows] == [("a", 2), ("b", 1), ("a", 3)]
    assert [row.digest for row in rows] == [entry_digest({"kid": f"{r.key} {r.revision}"}) for r in rows]
    assert current == {"a": rows[2].change, "b": rows[1].change}


HISTORY = [changed(key, revision) for key in "abc" for revision in (1, 2, 3)] + [completed()]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(HISTORY), again=st.lists(st.sampled_from(HISTORY)), size=st.integers(1, 6))
def test_snapshot_and_changes_may_come_in_any_order_and_any_number_of_times(
    database: Database, order: list[Envelope], again: list[Envelope], size: int
) -> None:
    with database.write() as transaction:
        transaction.execute(delete(REPLICA))
    replica = replica_of()
    seen: dict[str, int] = {}

    def absorb(records: Sequence[ReplicaRecord]) -> None:
        seen.update({record.key: record.data["revision"] for record in records})

    view = ReplicaView(database, replica, absorb)
    messages = order + again
    for start in range(0, len(messages), size):
        apply(database, replica, messages[start : start + size])
        view.refresh()
        assert seen == copy(database, replica), "memory follows the table after every batch"
    assert seen == {"a": 3, "b": 3, "c": 3}
    assert replica.unready(database) is None


def test_replica_stays_ready_once_its_snapshot_is_complete(database: Database) -> None:
    replica = replica_of()
    assert replica.unready(database) is not None
    apply(database, replica, [changed("a", 1)])
    assert replica.unready(database) is not None
    apply(database, replica, [completed()])
    assert replica.unready(database) is None
    assert replica_of().unready(database) is None, "after a restart too"
    assert copy(database, replica) == {"a": 1}, "the mark is no record"


def test_replica_bound_to_another_kind_needs_a_new_snapshot(database: Database) -> None:
    apply(database, replica_of(), [changed("a", 1), completed()])
    wider = replica_of(kinds=("token_key.changed", "organization.changed"))
    assert wider.unready(database) is not None
    apply(database, wider, [completed()])
    assert wider.unready(database) is None
    assert replica_of(kinds=("organization.changed", "token_key.changed")).unready(database) is None


def test_snapshot_is_requested_until_complete(database: Database) -> None:
    outbox = Outbox(TABLES.outbox)

    def requests() -> list[Fact]:
        with database.read() as transaction:
            return [Envelope.decode(m.body).event().data for _, m in outbox.oldest(transaction, 10)]

    replica = replica_of()
    for count in (1, 2):
        replica.ensure_requested(database, outbox, START)
        assert requests() == [ReplicaRequested(queue=QUEUE)] * count
    apply(database, replica, [completed()])
    replica.ensure_requested(database, outbox, START)
    assert len(requests()) == 2


def test_view_loads_only_changed_records(database: Database) -> None:
    replica = replica_of()
    batches: list[list[str]] = []
    view = ReplicaView(database, replica, lambda records: batches.append([r.key for r in records]))
    view.refresh()
    apply(database, replica, [changed("a", 1), changed("b", 1)])
    view.refresh()
    view.refresh()
    apply(database, replica, [changed("b", 1), changed("a", 2)])
    view.refresh()
    assert batches == [["a", "b"], ["a"]]


def test_slow_refresh_does_not_restore_replaced_records(database: Database) -> None:
    replica = replica_of()
    seen: dict[str, int] = {}
    slow, go_on = threading.Event(), threading.Event()

    def absorb(records: Sequence[ReplicaRecord]) -> None:
        if not slow.is_set():
            slow.set()
            assert go_on.wait(10)
        seen.update({record.key: record.data["revision"] for record in records})

    view = ReplicaView(database, replica, absorb)
    apply(database, replica, [changed("a", 1)])
    first = threading.Thread(target=view.refresh)
    first.start()
    assert slow.wait(10)
    apply(database, replica, [changed("a", 2)])
    second = threading.Thread(target=view.refresh)
    second.start()
    second.join(0.2)
    go_on.set()
    for thread in (first, second):
        thread.join(10)
    assert seen == {"a": 2}


def test_changes_of_two_writers_on_postgresql_are_all_seen(postgres_database: str) -> None:
    with opened(postgres_database) as database:
        with database.write() as connection:
            METADATA.create_all(connection)
        replica = replica_of()
        seen: dict[str, int] = {}
        view = ReplicaView(
            database, replica, lambda records: seen.update({r.key: r.data["revision"] for r in records})
        )

        def write(writer: int) -> None:
            for number in range(40):
                apply(database, replica, [changed(f"{writer}-{number}", 1)])

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(3)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            view.refresh()
        view.refresh()
        assert len(seen) == 120


def test_replica_of_messenger_receives_messages_through_its_processor(database: Database) -> None:
    seen: dict[str, int] = {}
    messenger = Messenger(
        identity=ReloadedIdentity(identity("intake")),
        database=database,
        tables=TABLES,
        broker=MemoryBroker(),
        topology=Topology(exchanges=(), queues=(), bindings=()),
        clock=HandClock(),
        registry=CollectorRegistry(),
        authors=authors_in(identity("intake").manifest),
    )
    processor, unready = messenger.replica(
        REPLICA, QUEUE, lambda records: seen.update({r.key: r.data["revision"] for r in records})
    )
    feed(processor, changed("a", 1), changed("a", 2))
    assert seen == {"a": 2}
    assert unready() is not None
    # one without a revision is parked, and the others pass
    odd = envelope(ReplicaRequested(queue="x"), "odd")
    feed(processor, changed("b", 1), odd, completed())
    assert seen == {"a": 2, "b": 1}
    assert unready() is None
    with database.read() as transaction:
        (parked,) = (m for _, m in Outbox(TABLES.outbox).oldest(transaction, 10))
    assert (parked.routing_key, parked.body) == (f"{QUEUE}.parked", odd.body)


def feed(processor: BatchProcessor[Envelope], *messages: Envelope) -> None:
    processor.process(
        [
            Delivery(
                tag=tag,
                queue=QUEUE,
                routing_key="k",
                message_id=message.id,
                body=message.body,
                headers=signed_body(message.body, message.source.rpartition("/")[2]),
                redelivered=False,
                user_id=message.source.strip("/").replace("/", "."),
            )
            for tag, message in enumerate(messages, 1)
        ]
    )
