"""The replica of another service's records."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, delete, func, select, text, update

from contracts.envelope import Envelope
from contracts.facts import Fact, ReplicaCompleted, ReplicaRequested, TokenKeyChanged
from contracts.topology import Topology
from runtime.messaging.authors import authors_in
from runtime.messaging.batches import BatchProcessor
from runtime.messaging.memory import MemoryBroker
from runtime.messaging.messenger import BETWEEN_REQUESTS, Messenger
from runtime.messaging.outbox.outbox import Outbox
from runtime.messaging.ports import Delivery
from runtime.messaging.replica import Replica, ReplicaHistory, ReplicaRecord, entry_digest
from runtime.messaging.replica_comparison import COMPARED
from runtime.messaging.replica_view import ReplicaView
from runtime.messaging.signatures.reloaded_identity import ReloadedIdentity
from runtime.storage.database import Database
from tests.long_run import times
from tests.messaging.consumer_harness import CHANGES, METADATA, REPLICA, START, TABLES, HandClock, opened
from tests.support.events import message_of
from tests.support.hub_keys import identity, signed_body

QUEUE = "test.directory"
SECRET = b"k" * 32
OUTBOX = Outbox(TABLES.outbox)


def envelope(fact: Fact, key: str) -> Envelope:
    event = message_of(fact, key, time=START, id_=f"{key}-{fact}"[:64], correlation_id="c")
    return Envelope.decode(event.encode())


def changed(key: str, revision: int) -> Envelope:
    return envelope(TokenKeyChanged(revision=revision, key={"kid": f"{key} {revision}"}), key)


def completed(queue: str = QUEUE, records: int = 1) -> Envelope:
    return envelope(ReplicaCompleted(queue=queue, records=records), queue)


def apply(database: Database, replica: Replica, messages: Sequence[Envelope]) -> None:
    with database.write() as transaction:
        OUTBOX.add(transaction, replica.apply(transaction, messages, START))


def copy(database: Database, replica: Replica) -> dict[str, int]:
    with database.read() as transaction:
        return {r.key: r.data["revision"] for r in replica.newer_than(transaction, 0).records}


def requests(database: Database) -> list[Fact]:
    with database.read() as transaction:
        return [Envelope.decode(m.body).event().data for _, m in OUTBOX.oldest(transaction, 10)]


def replica_of(queue: str = QUEUE, kinds: Sequence[str] = ("token_key.changed",)) -> Replica:
    return Replica(REPLICA, queue=queue, source="/kg/test", secret=lambda: SECRET, kinds=kinds)


def test_older_revision_never_overwrites_a_newer_one(database: Database) -> None:
    replica = replica_of()
    apply(database, replica, [changed("a", 2), changed("b", 1)])
    apply(database, replica, [changed("a", 1), changed("b", 2), changed("b", 1)])
    assert copy(database, replica) == {"a": 2, "b": 2}
    apply(database, replica, [changed("a", 10), changed("a", 9)])
    assert copy(database, replica) == {"a": 10, "b": 2}


def test_history_has_each_newer_revision_under_its_change_number(database: Database) -> None:
    history = ReplicaHistory(table=CHANGES, entry_of=lambda fact: getattr(fact, "key", None))
    replica = Replica(REPLICA, queue=QUEUE, source="/kg/test", secret=lambda: SECRET, history=history)
    apply(database, replica, [changed("a", 2), changed("b", 1), changed("a", 1), changed("a", 2)])
    apply(database, replica, [completed(), changed("a", 3), changed("b", 1)])
    with database.read() as transaction:
        rows = transaction.execute(select(CHANGES).order_by(CHANGES.c.change)).all()
        current = {record.key: record.change for record in replica.newer_than(transaction, 0).records}
    assert [(row.key, row.revision) for row in rows] == [("a", 2), ("b", 1), ("a", 3)]
    assert [row.digest for row in rows] == [entry_digest({"kid": f"{r.key} {r.revision}"}) for r in rows]
    assert current == {"a": rows[2].change, "b": rows[1].change}


HISTORY = [changed(key, revision) for key in "abc" for revision in (1, 2, 3)] + [completed()]


@settings(
    max_examples=times(8, 25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
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

    view = ReplicaView(database, replica, absorb, OUTBOX)
    messages = order + again
    for start in range(0, len(messages), size):
        apply(database, replica, messages[start : start + size])
        view.refresh(START)
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
    assert copy(database, replica) == {"a": 1}, "the mark is not a record"


def test_replica_bound_to_another_kind_needs_a_new_snapshot(database: Database) -> None:
    apply(database, replica_of(), [changed("a", 1), completed()])
    wider = replica_of(kinds=("token_key.changed", "organization.changed"))
    assert wider.unready(database) is not None
    apply(database, wider, [completed()])
    assert wider.unready(database) is None
    assert replica_of(kinds=("organization.changed", "token_key.changed")).unready(database) is None


def test_snapshot_is_requested_until_complete(database: Database) -> None:
    replica = replica_of()
    for count in (1, 2):
        replica.ensure_requested(database, OUTBOX, START)
        assert requests(database) == [ReplicaRequested(queue=QUEUE)] * count
    apply(database, replica, [completed(records=0)])
    replica.ensure_requested(database, OUTBOX, START)
    assert len(requests(database)) == 2


def test_view_loads_only_changed_records(database: Database) -> None:
    replica = replica_of()
    batches: list[list[str]] = []
    view = ReplicaView(database, replica, lambda records: batches.append([r.key for r in records]), OUTBOX)
    view.refresh(START)
    apply(database, replica, [changed("a", 1), changed("b", 1)])
    view.refresh(START)
    view.refresh(START)
    apply(database, replica, [changed("b", 1), changed("a", 2)])
    view.refresh(START)
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

    view = ReplicaView(database, replica, absorb, OUTBOX)
    apply(database, replica, [changed("a", 1)])
    first = threading.Thread(target=view.refresh, args=(START,))
    first.start()
    assert slow.wait(10)
    apply(database, replica, [changed("a", 2)])
    second = threading.Thread(target=view.refresh, args=(START,))
    second.start()
    second.join(0.2)
    go_on.set()
    for thread in (first, second):
        thread.join(10)
    assert seen == {"a": 2}


def test_view_is_not_ready_while_the_records_of_a_complete_replica_are_absorbed(database: Database) -> None:
    """Routing absorbs in turns: a decision in between would miss candidates."""
    replica = replica_of()
    ready: list[bool] = []

    def is_ready() -> bool:
        return replica.unready(database) is None and view.unready() is None

    view = ReplicaView(database, replica, lambda _: ready.append(is_ready()), OUTBOX)
    apply(database, replica, [changed("a", 1)])
    view.refresh(START)
    apply(database, replica, [changed("b", 1), completed(records=2)])
    assert not is_ready(), "another process may have stored them"
    view.refresh(START)
    assert is_ready()
    apply(database, replica, [changed("a", 2)])
    view.refresh(START)
    assert ready == [False, False, True]


def test_view_of_an_empty_replica_is_ready_once_it_is_complete(database: Database) -> None:
    replica = replica_of()
    view = ReplicaView(database, replica, lambda _: None, OUTBOX)
    view.refresh(START)
    assert view.unready() is not None
    apply(database, replica, [completed(records=0)])
    view.refresh(START)
    assert view.unready() is None


class Service:
    """A process with a replica of token keys in memory. secret: the key of its rows' codes."""

    def __init__(
        self, database: Database, secret: bytes = SECRET, history: ReplicaHistory | None = None
    ) -> None:
        self.database = database
        self.secret = secret
        self.replica = Replica(
            REPLICA,
            queue=QUEUE,
            source="/kg/test",
            secret=lambda: self.secret,
            kinds=("token_key.changed",),
            history=history,
        )
        self.used: dict[str, str] = {}
        self.view = ReplicaView(database, self.replica, self._absorb, OUTBOX)
        self.view.refresh(START)

    def _absorb(self, records: Sequence[ReplicaRecord]) -> None:
        self.used.update({record.key: record.data["key"]["kid"] for record in records})

    def take(self, *messages: Envelope) -> None:
        apply(self.database, self.replica, messages)
        self.view.refresh(START)

    @property
    def is_ready(self) -> bool:
        return self.replica.unready(self.database) is None and self.view.unready() is None


def forge(database: Database, forged: str, /, **columns: object) -> None:
    """Rewrite a row as somebody who can write to the database, so that running processes read it."""
    latest = select(func.max(REPLICA.c.change) + 1).scalar_subquery()
    with database.write() as transaction:
        values = {"change": latest, **columns}
        assert (
            transaction.execute(update(REPLICA).where(REPLICA.c.key == forged).values(values)).rowcount == 1
        )


FALSE = {"revision": 9, "key": {"kid": "false"}}


def test_forged_row_is_not_used_by_a_running_process_and_is_replaced(database: Database) -> None:
    service = Service(database)
    service.take(changed("a", 1), changed("b", 1), completed())
    assert service.is_ready
    assert service.view.alarm() is None
    forge(database, "a", data=FALSE, revision=9)
    service.view.refresh(START)
    service.view.refresh(START)
    assert service.used == {"a": "a 1", "b": "b 1"}
    assert service.is_ready, "the memory has the true record"
    assert service.view.refused == 1
    assert requests(database) == [ReplicaRequested(queue=QUEUE)]
    alarm = service.view.alarm()
    assert alarm is not None
    assert "token_key a." in alarm
    service.take(changed("a", 1), changed("b", 1), completed())
    assert service.view.refused == 0
    assert copy(database, service.replica) == {"a": 1, "b": 1}
    assert service.view.alarm() is not None, "somebody can still write to the database"


def test_forged_row_is_replaced_by_the_owners_next_change(database: Database) -> None:
    service = Service(database)
    service.take(changed("a", 1), completed())
    forge(database, "a", data=FALSE, revision=900)
    service.take(changed("a", 2))
    assert service.used == {"a": "a 2"}


def test_process_that_starts_with_a_forged_row_uses_none_until_the_owner_has_sent_its_records(
    database: Database,
) -> None:
    Service(database).take(changed("a", 1), changed("b", 1), completed())
    forge(database, "a", data=FALSE)
    service = Service(database)
    assert (service.used, service.is_ready) == ({}, False)
    assert requests(database) == [ReplicaRequested(queue=QUEUE)]
    service.take(changed("a", 1), changed("b", 1), completed())
    assert (service.used, service.is_ready) == ({"a": "a 1", "b": "b 1"}, True)


@pytest.mark.parametrize("column", ["revision", "change", "data", "key", "code"])
def test_code_covers_each_column(database: Database, column: str) -> None:
    service = Service(database)
    service.take(changed("a", 1), changed("b", 1), completed())
    other = {"revision": 9, "change": 90, "data": FALSE, "key": "c", "code": None}
    forge(database, "a", **{column: other[column]})
    restarted = Service(database)
    assert (restarted.used, restarted.is_ready) == ({}, False)


def test_planted_row_is_deleted_once_the_owner_has_sent_its_records(database: Database) -> None:
    service = Service(database)
    service.take(changed("a", 1), completed())
    with database.write() as transaction:
        plant(transaction)
    restarted = Service(database)
    assert not restarted.is_ready
    restarted.take(changed("a", 1), completed())
    assert (restarted.used, restarted.is_ready) == ({"a": "a 1"}, True)
    assert copy(database, service.replica) == {"a": 1}
    with database.read() as transaction:
        assert transaction.execute(select(REPLICA).where(REPLICA.c.key == "planted")).first() is None


def plant(transaction: Connection) -> None:
    row = {"type": TokenKeyChanged.type, "key": "planted", "revision": 1, "change": 900, "data": FALSE}
    transaction.execute(REPLICA.insert(), {**row, "code": b"0" * 32})


def stored(database: Database, key: str) -> dict[str, object]:
    with database.read() as transaction:
        return dict(transaction.execute(select(REPLICA).where(REPLICA.c.key == key)).mappings().one())


def rewritten(database: Database, earlier: dict[str, object]) -> None:
    forge(database, "b", change=stored(database, "b")["change"], data=FALSE)


def put_back(database: Database, earlier: dict[str, object]) -> None:
    forge(database, "b", **earlier)


def put_back_under_the_present_number(database: Database, earlier: dict[str, object]) -> None:
    forge(database, "b", **{**earlier, "change": stored(database, "b")["change"]})


def without_code(database: Database, earlier: dict[str, object]) -> None:
    forge(database, "b", change=stored(database, "b")["change"], code=None)


def deleted(database: Database, earlier: dict[str, object]) -> None:
    with database.write() as transaction:
        transaction.execute(delete(REPLICA).where(REPLICA.c.key == "b"))


def moved_below_the_first_number(database: Database, earlier: dict[str, object]) -> None:
    forge(database, "b", change=-5)


def renamed(database: Database, earlier: dict[str, object]) -> None:
    forge(database, "b", change=stored(database, "b")["change"], key="z")


@pytest.mark.parametrize(
    "act",
    [
        rewritten,
        put_back,
        put_back_under_the_present_number,
        without_code,
        deleted,
        moved_below_the_first_number,
        renamed,
    ],
)
def test_row_changed_without_a_higher_number_is_noticed_while_the_process_runs_and_replaced(
    database: Database, act: Callable[[Database, dict[str, object]], None]
) -> None:
    service = Service(database)
    snapshot = [*(changed(f"k{n}", 1) for n in range(COMPARED)), changed("b", 2), completed(records=21)]
    service.take(changed("b", 1))
    earlier = stored(database, "b")
    service.take(*snapshot)
    true = dict(service.used)
    for _ in range(5):
        service.view.check(START)
    assert service.is_ready
    assert (service.view.refused, service.view.tampered, service.view.alarm()) == (0, 0, None)
    act(database, earlier)
    for _ in range(5):
        service.view.check(START)
    assert (service.used, service.is_ready) == (true, True)
    assert service.view.refused >= 1
    assert service.view.tampered >= 1
    assert "token_key b" in str(service.view.alarm())
    assert 1 <= len(requests(database)) <= service.view.tampered
    service.take(*snapshot)
    for _ in range(5):
        service.view.check(START)
    assert (service.used, service.view.refused) == (true, 0)
    assert copy(database, service.replica) == dict.fromkeys(true, 1) | {"b": 2}
    assert Service(database).used == true
    assert service.view.alarm() is not None, "somebody can still write to the database"


def test_row_planted_under_a_low_number_is_noticed_while_the_process_runs_and_deleted(
    database: Database,
) -> None:
    service = Service(database)
    service.take(changed("a", 1), changed("b", 1), completed(records=2))
    with database.write() as transaction:
        plant(transaction)
        transaction.execute(update(REPLICA).where(REPLICA.c.key == "planted").values(change=1))
    service.view.check(START)
    assert "token_key planted" in str(service.view.alarm())
    service.take(changed("a", 1), changed("b", 1), completed(records=2))
    service.view.check(START)
    assert service.view.refused == 0
    assert service.used == {"a": "a 1", "b": "b 1"}


def test_check_names_few_rows_at_a_time_however_many_were_deleted(database: Database) -> None:
    service = Service(database)
    service.take(*(changed(f"k{n:03}", 1) for n in range(200)), completed(records=200))
    with database.write() as transaction:
        transaction.execute(delete(REPLICA))
    for turn in range(1, 11):
        service.view.check(START)
        assert service.view.tampered == turn * COMPARED
    assert len(service.used) == 200


def test_row_that_the_owner_does_not_send_after_a_change_of_the_key_is_deleted_without_an_alarm(
    database: Database,
) -> None:
    service = Service(database)
    service.take(changed("a", 1), changed("b", 1), completed())
    service.secret = b"n" * 32
    service.view.check(START)
    service.take(changed("a", 1), completed())
    assert copy(database, service.replica) == {"a": 1}
    for _ in range(3):
        service.view.check(START)
    assert (service.view.refused, service.view.alarm()) == (0, None)


class HonestHub:
    """An owner of records, and two processes of a service that nobody attacks."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.revisions: dict[str, int] = {}
        self.keys = 0
        self.processes = [Service(database, self.secret), Service(database, self.secret)]
        self.act("snapshot", "a")

    @property
    def secret(self) -> bytes:
        return bytes([self.keys]) * 32

    def act(self, step: str, key: str) -> None:
        writer = self.processes[0]
        records = [changed(one, revision) for one, revision in self.revisions.items()]
        match step:
            case "change":
                self.revisions[key] = self.revisions.get(key, 0) + 1
                apply(self.database, writer.replica, [changed(key, self.revisions[key])])
            case "repeat" if key in self.revisions:
                apply(self.database, writer.replica, [changed(key, self.revisions[key])])
            case "snapshot":
                apply(self.database, writer.replica, [*records, completed(records=len(records))])
            case "half a snapshot":
                apply(self.database, writer.replica, records[::2])
            case "key":
                self.keys += 1
                for process in self.processes:
                    process.secret = self.secret
                    process.replica.ensure_requested(self.database, OUTBOX, START)
            case "other writer":
                self.processes.reverse()
            case "restart":
                self.processes[1] = Service(self.database, self.secret)
            case "refresh":
                writer.view.refresh(START)
            case "check":
                writer.view.check(START)


STEPS = (
    "change",
    "repeat",
    "snapshot",
    "half a snapshot",
    "key",
    "other writer",
    "restart",
    "refresh",
    "check",
)


@settings(
    max_examples=times(12, 40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(STEPS), st.sampled_from(["a", "b", "c"])), min_size=5, max_size=40
    )
)
def test_genuine_step_is_not_reported_as_tampering(database: Database, steps: list[tuple[str, str]]) -> None:
    with database.write() as transaction:
        transaction.execute(delete(REPLICA))
    hub = HonestHub(database)
    for step in steps:
        hub.act(*step)
        assert [process.view.tampered for process in hub.processes] == [0, 0], step
    hub.act("snapshot", "a")
    for process in hub.processes:
        for _ in range(2):
            process.view.check(START)
        assert (process.view.refused, process.view.alarm()) == (0, None)
        assert process.used == {key: f"{key} {revision}" for key, revision in hub.revisions.items()}


def test_rows_of_an_earlier_build_or_key_are_requested_again_without_an_alarm(database: Database) -> None:
    before = Service(database)
    before.take(changed("a", 1), changed("b", 2), completed())
    assert before.is_ready
    before.secret = b"n" * 32
    before.replica.ensure_requested(database, OUTBOX, START)
    before.view.refresh(START)
    assert before.is_ready, "the memory has all records"
    after = Service(database, b"n" * 32)
    assert (after.used, after.is_ready) == ({}, False)
    after.take(changed("a", 1))
    assert after.used == {}
    after.take(changed("b", 2), completed())
    assert (after.used, after.is_ready) == ({"a": "a 1", "b": "b 2"}, True)
    assert after.view.alarm() is None
    assert requests(database) == [ReplicaRequested(queue=QUEUE)]


def test_snapshot_that_came_under_two_keys_deletes_no_record(database: Database) -> None:
    apply(database, replica_of(), [changed("a", 1), changed("b", 1)])
    later = Replica(REPLICA, queue=QUEUE, source="/kg/test", secret=lambda: b"n" * 32)
    apply(database, later, [changed("b", 1), completed(records=2)])
    with database.read() as transaction:
        found = later.newer_than(transaction, 0)
    assert [one.key for one in found.records] == ["b"]
    assert found.refused == [(TokenKeyChanged.type, "a")]
    apply(database, later, [changed("a", 1), changed("b", 1), completed(records=2)])
    assert copy(database, later) == {"a": 1, "b": 1}


def test_forged_change_number_stops_no_later_record(database: Database) -> None:
    replica = replica_of()
    apply(database, replica, [changed("a", 1), completed()])
    with database.write() as transaction:
        transaction.execute(update(REPLICA).where(REPLICA.c.key == "a").values(change=2**63 - 1))
    apply(database, replica, [changed("b", 1)])
    assert copy(database, replica) == {"b": 1}
    apply(database, replica, [changed("a", 1)])
    assert copy(database, replica) == {"a": 1, "b": 1}


@pytest.mark.parametrize("forged", [2**62 - 1, 2**62, 2**63 - 1])
def test_record_changed_after_a_forged_number_is_used_at_once_and_after_a_restart(
    database: Database, forged: int
) -> None:
    service = Service(database)
    service.take(changed("a", 1), changed("b", 1), completed(records=2))
    forge(database, "a", change=forged, code=b"0" * 32)
    service.view.refresh(START)
    service.take(changed("a", 1), changed("b", 1), completed(records=2))
    service.take(changed("b", 2))
    assert service.used == {"a": "a 1", "b": "b 2"}
    restarted = Service(database)
    restarted.take(changed("a", 2))
    assert restarted.used == {"a": "a 2", "b": "b 2"}
    service.view.refresh(START)
    assert service.used == restarted.used


def test_forged_later_rows_of_the_history_keep_no_record_out(database: Database) -> None:
    history = ReplicaHistory(table=CHANGES, entry_of=lambda fact: getattr(fact, "key", None))
    service = Service(database, history=history)
    service.take(changed("a", 1))
    with database.write() as transaction:
        for number in (2, 3, 2**62 - 1, 2**62, 2**62 + 1):
            row = {"change": number, "type": "t", "key": "forged", "revision": 1, "digest": "0" * 64}
            transaction.execute(CHANGES.insert(), row)
    for revision in (2, 3, 4):
        service.take(changed("a", revision))
        assert service.used == {"a": f"a {revision}"}
        assert Service(database).used == service.used


def test_snapshot_that_lacks_a_record_is_not_complete(database: Database) -> None:
    service = Service(database)
    service.take(changed("a", 1), completed(records=3))
    assert not service.is_ready
    service.take(changed("b", 1), changed("c", 1))
    assert service.is_ready, "a record that came late completes it"
    planted = Service(database, b"n" * 32)
    planted.take(changed("a", 1), changed("b", 1), completed(records=3))
    assert planted.replica.unready(database) is not None, "the third has the code of another key"


def test_messenger_requests_a_snapshot_that_lacks_records_again_after_a_while(database: Database) -> None:
    clock = HandClock()
    messenger = Messenger(
        identity=ReloadedIdentity(identity("intake")),
        database=database,
        tables=TABLES,
        broker=MemoryBroker(),
        topology=Topology(exchanges=(), queues=(), bindings=()),
        clock=clock,
        registry=CollectorRegistry(),
        authors=authors_in(identity("intake").manifest),
    )
    processor, unready = messenger.replica(REPLICA, QUEUE, lambda records: None)
    feed(processor, changed("a", 1), completed(records=2))
    assert unready() is not None
    messenger.tick()
    asked = len(requests(database))
    messenger.tick()
    assert len(requests(database)) == asked
    clock.time += BETWEEN_REQUESTS
    messenger.tick()
    messenger.tick()
    assert requests(database)[asked:] == [ReplicaRequested(queue=QUEUE)]
    feed(processor, changed("b", 1))
    clock.time += BETWEEN_REQUESTS
    messenger.tick()
    assert (unready(), len(requests(database))) == (None, asked + 1)


def test_record_changed_after_the_latest_rows_were_deleted_is_used(database: Database) -> None:
    history = ReplicaHistory(table=CHANGES, entry_of=lambda fact: getattr(fact, "key", None))
    service = Service(database, history=history)
    service.take(changed("a", 1), changed("b", 1), changed("c", 1))
    with database.write() as transaction:
        transaction.execute(delete(REPLICA).where(REPLICA.c.key.in_(["b", "c"])))
    service.take(changed("a", 2))
    assert service.used == {"a": "a 2", "b": "b 1", "c": "c 1"}
    with database.write() as transaction:
        transaction.execute(delete(REPLICA))
    restarted = Service(database, history=history)
    restarted.take(changed("a", 3))
    assert restarted.used == {"a": "a 3"}


_ODD = {
    "code as text": "code = 'abc'",
    "data that is no JSON": "data = '{'",
    "data that is empty": "data = ''",
    "number that no code covers": 'data = \'{"revision": 1, "key": 36893488147419103232}\'',
    "revision as text": "revision = 'abc'",
    "change as text": "change = 'abc'",
    "data as a blob": "data = x'ff'",
    "code of no bytes": "code = x''",
}


@pytest.mark.parametrize("odd", ["type = x'01'", "key = x'01'", "key = 5", "change = 1.5", "change = 'abc'"])
def test_absorbed_row_whose_identity_or_number_is_of_another_kind_is_noticed(
    tmp_path: Path, odd: str
) -> None:
    with opened(f"sqlite:///{tmp_path}/replica.sqlite") as database:
        with database.write() as transaction:
            METADATA.create_all(transaction)
        service = Service(database)
        service.take(changed("a", 1), changed("b", 1), completed(records=2))
        with database.write() as transaction:
            statement = f"UPDATE replica SET {odd} WHERE key = 'a'"  # noqa: S608 - from above
            transaction.execute(text(statement))
        for _ in range(3):
            service.view.check(START)
        alarm = service.view.alarm()
        assert alarm is not None
        assert "token_key a" in alarm
        service.take(changed("a", 1), changed("b", 1), completed(records=2))
        service.view.check(START)
        assert (service.used, service.is_ready) == ({"a": "a 1", "b": "b 1"}, True)


@pytest.mark.parametrize("odd", _ODD.values(), ids=_ODD.keys())
def test_row_with_values_of_another_kind_is_refused_and_replaced(tmp_path: Path, odd: str) -> None:
    """SQLite stores any value in any column."""
    with opened(f"sqlite:///{tmp_path}/replica.sqlite") as database:
        with database.write() as transaction:
            METADATA.create_all(transaction)
        service = Service(database)
        service.take(changed("a", 1), changed("b", 1), completed(records=2))
        with database.write() as transaction:
            transaction.execute(text("UPDATE replica SET change = change + 100 WHERE key = 'a'"))
            statement = f"UPDATE replica SET {odd} WHERE key = 'a'"  # noqa: S608 - from above
            transaction.execute(text(statement))
        service.view.refresh(START)
        assert service.view.refused == 1
        assert service.view.alarm() is not None
        restarted = Service(database)
        assert (restarted.used, restarted.is_ready) == ({}, False)
        restarted.take(changed("a", 1), changed("b", 1), completed(records=2))
        assert (restarted.used, restarted.is_ready) == ({"a": "a 1", "b": "b 1"}, True)
        service.take(changed("a", 2))
        assert service.used == {"a": "a 2", "b": "b 1"}


def test_changes_of_two_writers_on_postgresql_are_all_seen(postgres_database: str) -> None:
    with opened(postgres_database) as database:
        with database.write() as connection:
            METADATA.create_all(connection)
        replica = replica_of()
        seen: dict[str, int] = {}
        view = ReplicaView(
            database,
            replica,
            lambda records: seen.update({r.key: r.data["revision"] for r in records}),
            OUTBOX,
        )

        def write(writer: int) -> None:
            for number in range(40):
                apply(database, replica, [changed(f"{writer}-{number}", 1)])

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(3)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            view.refresh(START)
        view.refresh(START)
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
