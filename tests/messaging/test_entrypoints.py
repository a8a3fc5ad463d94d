"""`@batches` in a nameko container, in its own process because eventlet patches the whole process."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.process import ServiceProcess
from tests.servers import python_process

SERVICE = """
import sys, warnings
warnings.simplefilter("ignore")
import eventlet
eventlet.monkey_patch()
from types import SimpleNamespace
from nameko.containers import ServiceContainer
from contracts.errors import Unavailable
from contracts.topology import Topology, work_queue
from runtime.application import APPLICATION
from runtime.entrypoints.batches import batches
from runtime.messaging.memory import MemoryBroker
from runtime.messaging.stalled_loops import StalledLoops
from runtime.messaging.ports import Outgoing
from runtime.messaging.rabbit.broker import RabbitBroker

broker = RabbitBroker(sys.argv[1]) if len(sys.argv) > 1 else MemoryBroker()
broker.declare(Topology(exchanges=(), queues=(work_queue("q", "q"),), bindings=()))
seen, state = [], {"failures": 2}


class Sample:
    name = "sample"

    @batches("q")
    def letters(self, deliveries):
        seen.append([(d.message_id, d.redelivered) for d in deliveries])
        eventlet.sleep(0.05)  # a database at work
        if state["failures"]:
            state["failures"] -= 1
            raise Unavailable("The database is unavailable.")
        state.setdefault("done", []).extend(d.message_id for d in deliveries)


def publish(*ids):
    publisher = broker.publisher()
    publisher.publish(
        [Outgoing(exchange="", routing_key="q", message_id=i, partition_key="", body=b"") for i in ids]
    )
    publisher.close()


def until(condition):
    with eventlet.Timeout(15):
        while not condition():
            eventlet.sleep(0.01)


stalled_loops = StalledLoops()
messenger = SimpleNamespace(
    broker=broker,
    await_queues=lambda seconds: True,
    await_writer=lambda: None,
    stalled_loops=stalled_loops,
)
config = {APPLICATION: SimpleNamespace(messenger=messenger), "max_workers": 10}
publish("1", "2")
container = ServiceContainer(Sample, config=config)
container.start()
until(stalled_loops.alarm)
alarm = stalled_loops.alarm()
assert alarm == "consumer of q paused for 0 s: The database is unavailable.", alarm
until(lambda: state.get("done") == ["1", "2"])
# the next batch is taken only after this one was processed; unacknowledged messages are redelivered
until(lambda: len(seen) == 4)
assert seen == [[("1", False), ("2", False)]] * 3 + [[("1", True), ("2", True)]], seen
publish("3")
until(lambda: len(seen) == 5)
assert stalled_loops.alarm() is None, stalled_loops.alarm()
# asked to stop in the middle of a batch: it is finished and acknowledged first
container.stop()
assert state["done"] == ["1", "2", "1", "2", "3"], state
consumer = broker.consumer(["q"], 10)
assert consumer.take(10, 0.5) == [], "acknowledged before the process went"
print("as promised", flush=True)
"""


STOPPED = """
import sys, warnings
warnings.simplefilter("ignore")
import eventlet
eventlet.monkey_patch()
import time
from types import SimpleNamespace
from nameko.containers import ServiceContainer
from contracts.topology import Topology, work_queue
from runtime.application import APPLICATION
from runtime.entrypoints import batches as batches_module
from runtime.entrypoints.batches import batches
from runtime.messaging.stalled_loops import StalledLoops
from runtime.messaging.rabbit.broker import RabbitBroker

batches_module.TAKE_SECONDS = 60.0
# Two heartbeats within the time that the consumers are idle.
broker = RabbitBroker(sys.argv[1], heartbeat=4)
queues = tuple(work_queue(name, name) for name in ("q", "r"))
broker.declare(Topology(exchanges=(), queues=queues, bindings=()))
closed = []


class Sample:
    name = "sample"

    @batches("q")
    def letters(self, deliveries):
        raise AssertionError

    @batches("r")
    def others(self, deliveries):
        raise AssertionError


def consumer_of(queues, prefetch, made=broker.consumer):
    consumer = made(queues, prefetch)
    close = consumer.close
    consumer.close = lambda: (closed.append(consumer._link is not None), close())
    return consumer


broker.consumer = consumer_of
messenger = SimpleNamespace(
    broker=broker,
    await_queues=lambda seconds: True,
    await_writer=lambda: None,
    stalled_loops=StalledLoops(),
)
config = {APPLICATION: SimpleNamespace(messenger=messenger), "max_workers": 10}
container = ServiceContainer(Sample, config=config)
container.start()
eventlet.sleep(9)
assert closed == [], "a connection that only sends heartbeats was lost"
asked = time.monotonic()
container.stop()
assert time.monotonic() - asked < 2.0, time.monotonic() - asked
assert closed == [True, True], closed
print("as promised", flush=True)
"""


OUTAGE = """
import sys, warnings
warnings.simplefilter("ignore")
import eventlet
eventlet.monkey_patch()
import resource
from contextlib import closing
from types import SimpleNamespace
from nameko.containers import ServiceContainer
from sqlalchemy import text
from contracts.errors import Unavailable
from contracts.topology import Queue, Topology, dead_letter_queue, work_queue
from runtime.application import APPLICATION
from runtime.entrypoints.batches import batches
from runtime.messaging.outbox.event_batch import encode_batch
from runtime.messaging.stalled_loops import StalledLoops
from runtime.messaging.ports import Outgoing
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.storage.database import Database
from tests.messaging.consumer_harness import AUTHOR, ConsumerHarness
from tests.support.hub_keys import signed_body

uri, url, outage = sys.argv[1:]
harness = ConsumerHarness(Database.open(url))
broker = RabbitBroker(uri)
arguments = {**work_queue("letters.1", "letters").arguments, "x-delivery-limit": 2}
queues = (Queue(name="letters.1", arguments=arguments), dead_letter_queue("letters"))
broker.declare(Topology(exchanges=(), queues=queues, bindings=()))
given = []


class Letters:
    name = "letters"

    @batches("letters.1")
    def letters(self, deliveries):
        given.append(deliveries)
        if outage == "not ready" and len(given) <= 5:
            raise Unavailable("Not before something else is here.")
        harness.processor.process(deliveries)


def rename(old, new):
    with harness.database.write() as transaction:
        transaction.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))


def limit_files(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def until(condition):
    with eventlet.Timeout(20):
        while not condition():
            eventlet.sleep(0.01)


# the first is malformed: it is parked when the others have taken effect, and not at each attempt
ids = [f"{number:03}" for number in range(300)]
bodies = [b"\\xff", *(id_.encode() for id_ in ids)]
with closing(broker.publisher()) as publisher:
    publisher.publish(
        [
            Outgoing(
                exchange="", routing_key="letters.1", message_id="m", partition_key="", body=body,
                headers=signed_body(body, AUTHOR),
            )
            for body in bodies
        ]
    )
begin, end = {
    "a table is missing": (lambda: rename("effects", "gone"), lambda: rename("gone", "effects")),
    "the disk is full": (lambda: limit_files(4096), lambda: limit_files(resource.RLIM_INFINITY)),
    "not ready": (lambda: None, lambda: None),
}[outage]
begin()
stalled_loops = StalledLoops()
messenger = SimpleNamespace(
    broker=broker,
    await_queues=lambda seconds: True,
    await_writer=lambda: None,
    stalled_loops=stalled_loops,
)
config = {APPLICATION: SimpleNamespace(messenger=messenger), "max_workers": 10}
container = ServiceContainer(Letters, config=config)
container.start()
until(lambda: len(given) >= 5)
assert "consumer of letters.1 paused for" in stalled_loops.alarm(), stalled_loops.alarm()
assert harness.dead_letters() == []
end()
until(lambda: harness.effects() == ids and harness.dead_letters())
until(lambda: stalled_loops.alarm() is None)
container.stop()
with closing(broker.consumer(["letters.parked", "letters.1"], 1000)) as consumer:
    left = consumer.take(1000, 0.5)
assert left == [], f"{len(left)} given up by the broker, or not acknowledged"
assert {message.body for message in harness.dead_letters()} == {b"\\xff"}
print("as promised", flush=True)
"""


@pytest.mark.parametrize(
    ("kind", "outage"),
    [
        ("sqlite", "a table is missing"),
        ("postgres", "a table is missing"),
        ("sqlite", "the disk is full"),
        ("sqlite", "not ready"),
    ],
)
def test_broker_dead_letters_nothing_while_the_database_is_unavailable(
    kind: str, outage: str, vhost: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = request.getfixturevalue(f"{kind}_database")
    succeeds(python_process("service", OUTAGE, vhost, url, outage, directory=tmp_path), tmp_path)


@pytest.mark.parametrize("kind", ["memory", "rabbitmq"])
def test_batch_is_acknowledged_only_after_processing(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    uri = [] if kind == "memory" else [request.getfixturevalue("vhost")]
    succeeds(python_process("service", SERVICE, *uri, directory=tmp_path), tmp_path)


def test_idle_consumers_send_heartbeats_and_a_stop_ends_their_wait(vhost: str, tmp_path: Path) -> None:
    succeeds(python_process("service", STOPPED, vhost, directory=tmp_path), tmp_path)


def succeeds(process: ServiceProcess, directory: Path) -> None:
    process.spawn()
    try:
        assert process.wait(40), "it hangs"
    finally:
        process.stop()
    assert (directory / "service.log").read_text().splitlines()[-1] == "as promised"
