"""`@batches` in a nameko container, in a process of its own because eventlet changes the whole process."""

from __future__ import annotations

from pathlib import Path

import pytest

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
from runtime.messaging.entrypoints import batches
from runtime.messaging.memory import MemoryBroker
from runtime.messaging.pauses import Pauses
from runtime.messaging.ports import Outgoing
from runtime.messaging.rabbitmq import RabbitBroker

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
            raise Unavailable("The database cannot be used just now.")
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


pauses = Pauses()
messenger = SimpleNamespace(broker=broker, await_queues=lambda seconds: True, pauses=pauses)
config = {APPLICATION: SimpleNamespace(messenger=messenger), "max_workers": 10}
publish("1", "2")
container = ServiceContainer(Sample, config=config)
container.start()
until(pauses.alarm)
assert pauses.alarm() == "consumer of q paused for 0 s: The database cannot be used just now.", pauses.alarm()
until(lambda: state.get("done") == ["1", "2"])
assert seen == [[("1", False), ("2", False)], [("1", True), ("2", True)], [("1", True), ("2", True)]], seen
publish("3")
until(lambda: len(seen) == 4)
assert pauses.alarm() is None, pauses.alarm()
# asked to stop in the middle of a batch: it is finished and acknowledged first
container.stop()
assert state["done"] == ["1", "2", "3"], state
consumer = broker.consumer(["q"], 10)
assert consumer.take(10, 0.5) == [], "acknowledged before the process went"
print("as promised", flush=True)
"""


@pytest.mark.parametrize("kind", ["memory", "rabbitmq"])
def test_a_batch_is_acknowledged_only_when_it_was_processed(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    uri = [] if kind == "memory" else [request.getfixturevalue("vhost")]
    process = python_process("service", SERVICE, *uri, directory=tmp_path)
    process.spawn()
    try:
        assert process.wait(40), "it hangs"
    finally:
        process.stop()
    assert (tmp_path / "service.log").read_text().splitlines()[-1] == "as promised"
