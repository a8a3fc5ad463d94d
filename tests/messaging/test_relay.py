"""The relay from the outbox to the broker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from contracts.topology import DEAD_LETTERS, RECEIPTS, SNAPSHOTS, Exchange, Queue, Topology
from runtime.messaging import messenger as messenger_module
from runtime.messaging import topology_watch
from runtime.messaging.authors import authors_in
from runtime.messaging.batch_throttle import BatchThrottle
from runtime.messaging.memory import MemoryBroker, MemoryPublisher
from runtime.messaging.messenger import Messenger
from runtime.messaging.metrics import MessagingMetrics
from runtime.messaging.outbox import relay as relay_module
from runtime.messaging.outbox.outbox import Outbox
from runtime.messaging.outbox.relay import LOOKS_BETWEEN_READS, WAVE, Relay
from runtime.messaging.ports import Broker, BrokerUnavailable, Outgoing, PublishIncomplete
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.messaging.signatures.reloaded_identity import ReloadedIdentity
from runtime.messaging.stalled_loops import StalledLoops
from runtime.storage.database import Database
from runtime.storage.exclusive_lock import ExclusiveLock
from tests.messaging.consumer_harness import METADATA, TABLES, HandClock, fill_outbox, opened, waiting
from tests.support.hub_keys import identity, signer

ANSWERS = Topology(
    exchanges=(), queues=(Queue(name="answers", arguments={"x-queue-type": "quorum"}),), bindings=()
)


@pytest.fixture
def hub(any_broker: Broker) -> Broker:
    any_broker.declare(ANSWERS)
    return any_broker


class FailingBroker(MemoryBroker):
    """A broker whose publishers fail as `failures` lists, one entry per call, then publish normally.

    A failure is an error to raise; a PublishIncomplete first lets its confirmed messages through.
    """

    def __init__(self, *failures: Exception) -> None:
        super().__init__()
        self.declare(ANSWERS)
        self.failures = list(failures)

    def publisher(self) -> MemoryPublisher:
        broker = self

        class Publisher(MemoryPublisher):
            def publish(self, messages: Sequence[Outgoing]) -> None:
                if not broker.failures:
                    super().publish(messages)
                    return
                failure = broker.failures.pop(0)
                if isinstance(failure, PublishIncomplete):
                    super().publish(messages[: failure.confirmed])
                raise failure

        return Publisher(self)


def relay_of(
    database: Database,
    hub: Broker,
    metrics: MessagingMetrics | None = None,
    *,
    outbox: Outbox | None = None,
    **options: Any,
) -> Relay:
    return Relay(
        database=database,
        outbox=outbox or Outbox(TABLES.outbox),
        broker=hub,
        signer=signer("test"),
        metrics=metrics or MessagingMetrics(CollectorRegistry()),
        stalled_loops=StalledLoops(),
        **options,
    )


def arrived(hub: Broker, count: int, queue: str = "answers") -> list[str]:
    """Take `count` messages from a queue and return their ids."""
    with closing(hub.consumer([queue], 5_000)) as consumer:
        ids: list[str] = []
        deadline = time.monotonic() + 20
        while len(ids) < count and time.monotonic() < deadline:
            taken = consumer.take(count - len(ids), 1)
            consumer.acknowledge(taken)
            ids += [delivery.message_id for delivery in taken]
        return ids


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@contextmanager
def running(relay: Relay) -> Iterator[None]:
    thread = threading.Thread(target=relay.run)
    thread.start()
    try:
        yield
    finally:
        relay.stop()
        thread.join(timeout=10)
        assert not thread.is_alive()


def numbered(count: int) -> list[str]:
    return [f"m{number}" for number in range(count)]


def test_relay_waves_keep_the_order_of_commits(database: Database, hub: Broker) -> None:
    ids = numbered(WAVE + 20)
    for start in range(0, len(ids), 100):
        fill_outbox(database, ids[start : start + 100])
    relay = relay_of(database, hub)
    assert [relay.publish_wave() for _ in range(3)] == [WAVE, 20, 0]
    assert waiting(database) == []
    assert arrived(hub, len(ids)) == ids


def test_events_of_one_transaction_leave_in_one_message(database: Database, hub: Broker) -> None:
    bodies = [b'{"n":%d}' % number for number in range(30)]
    with database.write() as transaction:
        Outbox(TABLES.outbox).add(
            transaction,
            [
                Outgoing(
                    exchange="", routing_key="answers", message_id=f"m{n}", partition_key=f"p{n}", body=b
                )
                for n, b in enumerate(bodies)
            ],
        )
    registry = CollectorRegistry()
    relay = relay_of(database, hub, metrics=MessagingMetrics(registry))
    assert relay.publish_wave() == 1
    assert waiting(database) == []
    assert registry.get_sample_value("kopuro_messages_published_total") == 30
    with closing(hub.consumer(["answers"], 10)) as consumer:
        taken = consumer.take(30, 20)
        assert [delivery.body for delivery in taken] == bodies
        consumer.acknowledge(taken)


class CountingOutbox(Outbox):
    """An outbox that counts how often its messages are read."""

    reads = 0

    def oldest(self, *arguments: Any, **others: Any) -> list[tuple[int, Outgoing]]:
        self.reads += 1
        return super().oldest(*arguments, **others)


def test_relay_reads_the_outbox_once_for_a_wave_that_empties_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "IDLE_SECONDS", 30.0)
    hub, outbox = MemoryBroker(), CountingOutbox(TABLES.outbox)
    hub.declare(ANSWERS)
    relay = relay_of(database, hub, outbox=outbox)
    with running(relay):
        for number in range(3):
            until(lambda: waiting(database) == [])
            fill_outbox(database, [f"m{number}"])
            relay.wake()
        assert arrived(hub, 3) == numbered(3)
    assert outbox.reads <= 1 + 3  # the first read may find nothing


@pytest.mark.parametrize(("messages", "bytes_"), [(1, None), (WAVE, 10)])
def test_relay_reads_on_without_waiting_after_a_wave_of_a_limited_size(
    database: Database, monkeypatch: pytest.MonkeyPatch, messages: int, bytes_: int | None
) -> None:
    monkeypatch.setattr(relay_module, "IDLE_SECONDS", 3600.0)
    monkeypatch.setattr(relay_module, "WAVE", messages)
    if bytes_ is not None:
        monkeypatch.setattr(relay_module, "WAVE_BYTES", bytes_)
    ended: list[bool] = []

    class Throttle(BatchThrottle):
        def end(self, *, full: bool = False, seconds: float | None = None) -> None:
            ended.append(full)
            super().end(full=full, seconds=seconds)

    monkeypatch.setattr(relay_module, "BatchThrottle", Throttle)
    hub = MemoryBroker()
    hub.declare(ANSWERS)
    for number in range(5):
        fill_outbox(database, [f"m{number}"])
    with running(relay_of(database, hub)):
        until(lambda: waiting(database) == [])
    assert arrived(hub, 5) == numbered(5)
    assert ended[0], "more may wait, so the relay does not rest"


def test_unroutable_message_makes_relay_request_broker_inspection(database: Database) -> None:
    hub = MemoryBroker()  # without any queue
    fill_outbox(database, numbered(2))
    asked: list[None] = []
    relay = relay_of(database, hub, on_unroutable=lambda: asked.append(None))
    with pytest.raises(PublishIncomplete):
        relay.publish_wave()
    assert len(asked) == 1
    assert waiting(database) == numbered(2)


def test_relay_publishes_nothing_while_there_is_an_obstacle(database: Database, hub: Broker) -> None:
    fill_outbox(database, numbered(2))
    obstacles: list[str | None] = ["The broker lacks a queue.", None]
    relay = relay_of(database, hub, obstacle=lambda: obstacles.pop(0))
    with pytest.raises(BrokerUnavailable, match="lacks a queue"):
        relay.publish_wave()
    assert waiting(database) == numbered(2)
    assert relay.publish_wave() == 2
    assert arrived(hub, 2) == numbered(2)


def test_rows_for_the_default_exchange_go_to_the_exchange_that_replaced_it(database: Database) -> None:
    # An earlier build wrote rows for the default exchange.
    fill_outbox(database, ["parked"], queue="vault.events.parked")
    fill_outbox(database, ["snapshot"], queue="vault.directory")
    fill_outbox(database, ["receipt"], queue="delivery.events")
    with database.read() as transaction:
        found = [message.exchange for _, message in Outbox(TABLES.outbox).oldest(transaction, 10)]
    assert found == [DEAD_LETTERS, SNAPSHOTS, RECEIPTS]


def test_wave_of_large_messages_is_limited_in_bytes(database: Database) -> None:
    fill_outbox(database, numbered(5))  # bodies of two bytes
    outbox = Outbox(TABLES.outbox)
    with database.read() as transaction:
        sizes = [len(outbox.oldest(transaction, 4, most_bytes)) for most_bytes in (1, 2, 3, 4, 100)]
    assert sizes == [1, 1, 2, 2, 4]


def test_unconfirmed_messages_stay_in_outbox_and_are_published_in_order(database: Database) -> None:
    hub = FailingBroker(PublishIncomplete(3, "the connection broke"), BrokerUnavailable("It is away."))
    fill_outbox(database, numbered(6))
    relay = relay_of(database, hub)
    with pytest.raises(PublishIncomplete):
        relay.publish_wave()
    assert waiting(database) == ["m3", "m4", "m5"]
    with pytest.raises(BrokerUnavailable):
        relay.publish_wave()
    assert waiting(database) == ["m3", "m4", "m5"]
    assert relay.publish_wave() == 3
    assert arrived(hub, 6) == numbered(6)


def test_unexpected_publisher_error_deletes_no_message(database: Database) -> None:
    hub = FailingBroker(PublishIncomplete(0, "refused"), ZeroDivisionError())
    fill_outbox(database, numbered(2))
    relay = relay_of(database, hub)
    for error in (PublishIncomplete, ZeroDivisionError):
        with pytest.raises(error):
            relay.publish_wave()
        assert waiting(database) == numbered(2)


def test_unroutable_message_blocks_only_later_messages(database: Database, hub: Broker) -> None:
    fill_outbox(database, ["m0", "m1"])
    fill_outbox(database, ["m2"], queue="declared.later")
    fill_outbox(database, ["m3"])
    relay = relay_of(database, hub)
    with pytest.raises(PublishIncomplete, match=r"declared\.later"):
        relay.publish_wave()
    assert waiting(database) == ["m2", "m3"]
    hub.declare(
        Topology(
            exchanges=(),
            queues=(Queue(name="declared.later", arguments={"x-queue-type": "quorum"}),),
            bindings=(),
        )
    )
    relay.publish_wave()
    assert waiting(database) == []
    assert arrived(hub, 1, "declared.later") == ["m2"]
    assert arrived(hub, 2) == ["m0", "m1"]


def test_running_relay_wakes_up_and_survives_failures(database: Database) -> None:
    hub = FailingBroker(BrokerUnavailable("It is away."))
    relay = relay_of(database, hub)
    with running(relay):
        for id_ in numbered(3):
            fill_outbox(database, [id_])
            relay.wake()
            assert arrived(hub, 1) == [id_]
        until(lambda: waiting(database) == [])


def test_wake_up_is_faster_than_idle_polling(sqlite_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "IDLE_SECONDS", 30.0)
    hub = FailingBroker()
    with opened(sqlite_database) as database:
        with database.write() as connection:
            METADATA.create_all(connection)
        relay = relay_of(database, hub)
        with running(relay):
            started = time.monotonic()
            for id_ in numbered(20):
                fill_outbox(database, [id_])
                relay.wake()
                assert arrived(hub, 1) == [id_]
        # The stop is a wake-up too, even while the relay waits for the time of its next wave.
        assert time.monotonic() - started < 10


def test_only_one_of_two_relays_on_postgresql_publishes(postgres_database: str) -> None:
    hub = FailingBroker()
    with opened(postgres_database) as one, opened(postgres_database) as other:
        with one.write() as connection:
            METADATA.create_all(connection)
        first, second = Recorder(hub), Recorder(hub)
        holder, follower = relay_of(one, first), relay_of(other, second)
        with running(holder):
            fill_outbox(one, ["m0"])
            holder.wake()
            until(lambda: first.published == ["m0"])
            with running(follower):
                for id_ in ("m1", "m2", "m3"):
                    fill_outbox(other, [id_])
                    follower.wake()
                    until(lambda: waiting(one) == [])
                assert (first.published, second.published) == (["m0", "m1", "m2", "m3"], [])
                holder.stop()
                fill_outbox(other, ["m4"])
                until(lambda: second.published == ["m4"])
        assert arrived(hub, 5) == ["m0", "m1", "m2", "m3", "m4"]


class Recorder(MemoryBroker):
    """Publishes to another broker and records the messages."""

    def __init__(self, hub: MemoryBroker) -> None:
        super().__init__()
        self.published: list[str] = []
        self._hub = hub

    def publisher(self) -> MemoryPublisher:
        recorder = self

        class Publisher(MemoryPublisher):
            def publish(self, messages: Sequence[Outgoing]) -> None:
                super().publish(messages)
                recorder.published += [message.message_id for message in messages]

        return Publisher(self._hub)


def test_lease_belongs_to_one_process_until_its_connection_ends(postgres_database: str) -> None:
    with opened(postgres_database) as one, opened(postgres_database) as other:
        first, second, unrelated = ExclusiveLock(one, 1), ExclusiveLock(other, 1), ExclusiveLock(other, 2)
        assert [first.held(), first.held(), second.held(), unrelated.held()] == [True, True, False, True]
        first.release()
        until(second.held)  # the server frees it once it has noticed that the connection ended
        assert not first.held()
        # The session ends without a release when the process is killed or the server ends it.
        with one.write() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 1"
            )
        until(first.held)
        with pytest.raises(Exception, match="database is unavailable"):
            second.held()
        assert second.held() is False
        for right in (first, second, unrelated):
            right.release()


class LateBroker(FailingBroker):
    """A broker that cannot be looked at until `up` is set. attempts: the looks until then."""

    def __init__(self) -> None:
        super().__init__()
        self.up = threading.Event()
        self.attempts = 0

    def strays(self, topology: Topology) -> tuple[str, ...]:
        return ()

    def uncompared(self) -> str | None:
        return None

    def missing(self, topology: Topology) -> tuple[str, ...]:
        if not self.up.is_set():
            self.attempts += 1
            raise BrokerUnavailable("It is away.")
        return super().missing(topology)


class Threads:
    """The threads that a messenger runs in."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def spawn(self, function: Callable[[], None]) -> None:
        self._threads.append(threading.Thread(target=function))
        self._threads[-1].start()

    def join(self, *, timeout: float) -> None:
        """Wait for all of them. timeout: seconds for each."""
        for thread in self._threads:
            thread.join(timeout)

    def alive(self) -> bool:
        """Whether one of them still runs."""
        return any(thread.is_alive() for thread in self._threads)


def messenger_of(database: Database, hub: Broker, topology: Topology) -> Messenger:
    return Messenger(
        identity=ReloadedIdentity(identity("test")),
        database=database,
        tables=TABLES,
        broker=hub,
        topology=topology,
        clock=HandClock(),
        registry=CollectorRegistry(),
        authors=authors_in(identity("test").manifest),
    )


LATE = Topology(
    exchanges=(Exchange(name="late.exchange", kind="topic"),),
    queues=(Queue(name="late", arguments={"x-queue-type": "quorum"}),),
    bindings=(),
)


def test_messenger_relays_once_broker_has_everything(database: Database) -> None:
    hub = LateBroker()
    messenger = messenger_of(database, hub, LATE)
    fill_outbox(database, ["m0"], queue="late")
    threads = Threads()
    messenger.start(threads.spawn)
    try:
        until(lambda: hub.attempts > 0)
        assert messenger.unready() is not None
        assert waiting(database) == ["m0"]
        hub.up.set()
        until(lambda: "lacks late.exchange, late" in str(messenger.unready()))
        assert waiting(database) == ["m0"]
        hub.declare(LATE)
        until(lambda: messenger.unready() is None)
        assert arrived(hub, 1, "late") == ["m0"]
        fill_outbox(database, ["m1"], queue="late")
        messenger.wake()
        assert arrived(hub, 1, "late") == ["m1"]
    finally:
        messenger.stop()
        threads.join(timeout=10)
    assert not threads.alive()


@pytest.fixture(params=["memory", "rabbitmq"])
def losing(request: pytest.FixtureRequest) -> tuple[Broker, Callable[[str], None]]:
    """A broker, and how it loses a queue."""
    if request.param == "memory":
        memory = MemoryBroker()
        return memory, lambda name: memory.lose(name)
    uri = request.getfixturevalue("vhost")
    return RabbitBroker(uri), lambda name: delete_queue(uri, name)


def delete_queue(uri: str, name: str) -> None:
    with closing(RabbitBroker(uri)._connection_factory.connect()) as link:
        link.channel().queue_delete(name)


def test_messenger_warns_of_lost_queue_and_resumes_when_it_is_back(
    database: Database, losing: tuple[Broker, Callable[[str], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology_watch, "CHECK_SECONDS", 0.1)
    monkeypatch.setattr(messenger_module, "DEAD_LETTER_SECONDS", 0.1)
    hub, lose = losing
    hub.declare(LATE)
    hub.declare(ANSWERS)
    messenger = messenger_of(database, hub, LATE)
    threads = Threads()
    messenger.start(threads.spawn)
    try:
        until(lambda: messenger.unready() is None)
        assert messenger.topology_alarm() is None
        lose("late")
        until(lambda: "lacks late:" in str(messenger.topology_alarm()))
        # It stays ready: what it admits waits in its outbox.
        assert messenger.unready() is None
        # "answers" exists, but a fact for it may also be one for the lost queue
        fill_outbox(database, ["m0"])
        messenger.wake()
        until(lambda: "lacks late:" in str(messenger.stalled_loops.alarm()))
        assert waiting(database) == ["m0"]
        hub.declare(LATE)
        until(lambda: messenger.topology_alarm() is None)
        assert arrived(hub, 1) == ["m0"]
    finally:
        messenger.stop()
        threads.join(timeout=10)
    assert not threads.alive()


def test_messenger_stops_without_broker(database: Database) -> None:
    hub = LateBroker()
    messenger = messenger_of(database, hub, ANSWERS)
    threads = Threads()
    messenger.start(threads.spawn)
    until(lambda: hub.attempts > 0)
    messenger.stop()
    threads.join(timeout=5)
    assert not threads.alive()


@contextmanager
def idle_relay(
    url: str, monkeypatch: pytest.MonkeyPatch, hub: MemoryBroker | None = None
) -> Iterator[list[int]]:
    """Run a relay that looks every few milliseconds; yield how often it has looked, and read, as a list."""
    hub = hub or MemoryBroker()
    hub.declare(ANSWERS)
    monkeypatch.setattr(relay_module, "IDLE_SECONDS", 0.002)
    outbox, looks = CountingOutbox(TABLES.outbox), [0, 0]

    class Publisher(MemoryPublisher):
        def tend(self) -> None:
            looks[0] += 1
            looks[1] = outbox.reads

    monkeypatch.setattr(hub, "publisher", lambda: Publisher(hub))
    with opened(url) as database:
        with database.write() as connection:
            METADATA.create_all(connection)
        with running(relay_of(database, hub, outbox=outbox)):
            yield looks


def test_idle_relay_reads_the_outbox_after_a_commit_of_another_process_and_seldom_otherwise(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = MemoryBroker()
    with idle_relay(sqlite_database, monkeypatch, hub) as looks:
        until(lambda: looks[0] >= 40)
        first, reads = looks
        until(lambda: looks[0] >= first + 10 * LOOKS_BETWEEN_READS)
        # One look more or less at each end.
        assert 8 <= looks[1] - reads <= 12 + (looks[0] - first) // LOOKS_BETWEEN_READS - 10
        other = Database.open(sqlite_database)
        fill_outbox(other, ["m1"])
        other.close()
        assert arrived(hub, 1) == ["m1"]


def test_idle_relay_reads_the_outbox_at_every_look_on_postgresql(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with idle_relay(postgres_database, monkeypatch) as looks:
        until(lambda: looks[0] >= 40)
        assert looks[1] >= looks[0] - 2
