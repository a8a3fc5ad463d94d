"""The contract of `runtime.messaging.ports`, tested on the fake and on RabbitMQ."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from contracts.topology import (
    DIRECT,
    EVENTS,
    PARTITION_HEADER,
    REPLIES,
    Binding,
    Exchange,
    Queue,
    Topology,
    hub_topology,
    partition_of,
    published_to,
    work_queue,
)
from runtime.messaging.memory import MemoryBroker
from runtime.messaging.outbox.event_batch import encode_batch
from runtime.messaging.ports import (
    MOST_MESSAGE_BYTES,
    Broker,
    BrokerUnavailable,
    Consumer,
    Delivery,
    Outgoing,
    PublishIncomplete,
)
from runtime.messaging.rabbit.broker import RabbitBroker

PARTITIONS = ("part.0", "part.1", "part.2", "part.3")
TOPOLOGY = Topology(
    exchanges=(
        Exchange(name="topic", kind="topic"),
        Exchange(name="shared", kind="headers"),
        Exchange(name=published_to(REPLIES, "asker."), kind="direct"),
    ),
    queues=(
        *(Queue(name=name, arguments={"x-queue-type": "quorum"}) for name in ("a", "b", "all")),
        *(work_queue(name, "part") for name in PARTITIONS),
        work_queue("single", "single"),
    ),
    bindings=(
        Binding(source="topic", destination="a", key="offer.*"),
        Binding(source="topic", destination="b", key="referral.#"),
        Binding(source="topic", destination="b", key="*.accepted"),
        Binding(source="topic", destination="shared", key="share.*", to_exchange=True),
        *(
            Binding(
                source="shared",
                destination=name,
                key="",
                arguments={"x-match": "all", PARTITION_HEADER: str(number)},
            )
            for number, name in enumerate(PARTITIONS)
        ),
    ),
)
# Seconds to wait for what will come, and for what will not.
LONG, SHORT = 10.0, 0.2


@pytest.fixture
def hub(any_broker: Broker) -> Broker:
    """A broker with TOPOLOGY."""
    any_broker.declare(TOPOLOGY)
    return any_broker


def to(key: str, message_id: str = "m", *, exchange: str = "topic", partition_key: str = "p") -> Outgoing:
    return Outgoing(
        exchange=exchange, routing_key=key, message_id=message_id, partition_key=partition_key, body=b"{}"
    )


def direct(queue: str, *message_ids: str) -> list[Outgoing]:
    return [to(queue, message_id, exchange=DIRECT) for message_id in message_ids]


def publish(hub: Broker, messages: Sequence[Outgoing]) -> None:
    with contextlib.closing(hub.publisher()) as publisher:
        publisher.publish(messages)


@contextlib.contextmanager
def consuming(hub: Broker, *queues: str, prefetch: int = 1000) -> Iterator[Consumer]:
    with contextlib.closing(hub.consumer(queues, prefetch)) as consumer:
        yield consumer


def take(consumer: Consumer, count: int) -> list[Delivery]:
    """Take this many deliveries, over as many calls as necessary."""
    taken: list[Delivery] = []
    while len(taken) < count:
        more = consumer.take(count - len(taken), LONG)
        assert more, f"only {len(taken)} of {count} arrived"
        taken += more
    return taken


def ids(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.message_id for delivery in deliveries]


def emptied(hub: Broker, queue: str) -> list[str]:
    """Empty a queue and return the ids of its messages."""
    with consuming(hub, queue) as consumer:
        taken: list[Delivery] = []
        while more := consumer.take(1000, SHORT if taken else 2 * SHORT):
            taken += more
        consumer.acknowledge(taken)
    return ids(taken)


@pytest.mark.parametrize(
    ("key", "queues"),
    [
        ("offer.opened", "a"),
        ("offer.accepted", "ab"),
        ("referral", "b"),
        ("referral.submitted", "b"),
        ("referral.submitted.again", "b"),
        ("note.accepted", "b"),
        ("case.accepted", "b"),
    ],
)
def test_topic_exchange_routes_once_to_every_matching_queue(hub: Broker, key: str, queues: str) -> None:
    publish(hub, [to(key)])
    with consuming(hub, "a", "b") as consumer:
        taken = take(consumer, len(queues)) + consumer.take(9, SHORT)
    assert sorted(delivery.queue for delivery in taken) == list(queues)
    assert {delivery.routing_key for delivery in taken} == {key}


@pytest.mark.parametrize("key", ["offer", "offer.opened.again", "note.accepted.again", "offers.opened", ""])
def test_topic_exchange_routes_to_no_queue_without_match(hub: Broker, key: str) -> None:
    with pytest.raises(PublishIncomplete):
        publish(hub, [to(key)])
    assert emptied(hub, "a") == emptied(hub, "b") == []


def test_partitions_keep_a_key_in_one_queue_and_spread_the_keys(hub: Broker) -> None:
    # through a binding between exchanges, and so by the header, not by the routing key
    keys = [f"referral-{number}" for number in range(200)]
    wave = [to(f"share.{again}", f"{key}/{again}", partition_key=key) for again in "xy" for key in keys]
    publish(hub, wave)
    with consuming(hub, *PARTITIONS) as consumer:
        taken = take(consumer, len(wave))
    queues = {key: {d.queue for d in taken if d.headers["partitionkey"] == key} for key in keys}
    assert all(len(found) == 1 for found in queues.values())
    spread = Counter(next(iter(found)) for found in queues.values())
    assert set(spread) == set(PARTITIONS)
    assert min(spread.values()) > 10
    for key in keys[:10]:
        assert [d.message_id for d in taken if d.headers["partitionkey"] == key] == [f"{key}/x", f"{key}/y"]


def test_order_holds_within_a_queue_across_waves(hub: Broker) -> None:
    expected = [str(number) for number in range(600)]
    with contextlib.closing(hub.publisher()) as publisher:
        for start in range(0, 600, 200):
            publisher.publish(direct("a", *expected[start : start + 200]))
    assert emptied(hub, "a") == expected


def test_publishing_empty_wave_does_nothing(hub: Broker) -> None:
    publish(hub, [])


def test_bytes_and_headers_arrive_as_they_were_sent(hub: Broker) -> None:
    bodies = [b"", b"\xff\xfe\x00\x80 not UTF-8", "Айгерим".encode(), b"x" * 300_000]
    headers = {"kopuro-reason": "причина", "empty": ""}
    publish(
        hub,
        [
            Outgoing(
                exchange=DIRECT,
                routing_key="a",
                message_id=f"m{number}",
                partition_key="ключ",
                body=body,
                headers=headers,
            )
            for number, body in enumerate(bodies)
        ],
    )
    with consuming(hub, "a") as consumer:
        taken = take(consumer, len(bodies))
    assert [delivery.body for delivery in taken] == bodies
    assert ids(taken) == ["m0", "m1", "m2", "m3"]
    for delivery in taken:
        partition = str(partition_of("ключ"))
        assert delivery.headers == {**headers, "partitionkey": "ключ", PARTITION_HEADER: partition}
        assert (delivery.queue, delivery.routing_key, delivery.redelivered) == ("a", "a", False)


def event(number: int) -> Outgoing:
    """Return a message that can be batched."""
    return Outgoing(
        exchange=DIRECT,
        routing_key="a",
        message_id=f"m{number}",
        partition_key=f"p{number}",
        body=b'{"number":%d}' % number,
    )


def test_batch_message_arrives_as_its_events(hub: Broker) -> None:
    events = [event(number) for number in range(5)]
    (batch,) = encode_batch(events)
    publish(hub, [batch, event(5)])
    with consuming(hub, "a") as consumer:
        taken = take(consumer, 6)
    assert [delivery.body for delivery in taken] == [*(e.body for e in events), event(5).body]
    assert [delivery.tag for delivery in taken] == [taken[0].tag] * 5 + [taken[5].tag]
    assert taken[5].tag > taken[0].tag


def test_batch_message_is_delivered_and_acknowledged_as_a_whole(hub: Broker) -> None:
    first, second = encode_batch([event(1), event(2), event(3)])[0], encode_batch([event(4), event(5)])[0]
    publish(hub, [first, second])
    with consuming(hub, "a", prefetch=1) as consumer:
        taken = consumer.take(2, LONG)
        assert [delivery.body for delivery in taken] == [event(n).body for n in (1, 2, 3)]
        consumer.acknowledge(taken)
        assert [delivery.body for delivery in take(consumer, 2)] == [event(n).body for n in (4, 5)]
    # the second was not acknowledged: it comes again, and the first does not
    with consuming(hub, "a") as consumer:
        assert [d.body for d in consumer.take(9, LONG)] == [event(n).body for n in (4, 5)]


def test_prefetch_bounds_unacknowledged_messages(hub: Broker) -> None:
    publish(hub, direct("a", *"123456789"))
    with consuming(hub, "a", prefetch=4) as consumer:
        first = take(consumer, 4)
        assert consumer.take(100, SHORT) == []
        consumer.acknowledge(first[:2])
        assert ids(take(consumer, 2) + consumer.take(100, SHORT)) == ["5", "6"]


def test_take_limit_loses_no_message(hub: Broker) -> None:
    publish(hub, direct("a", *"123456789"))
    with consuming(hub, "a") as consumer:
        assert ids(take(consumer, 9)) == list("123456789")
    with consuming(hub, "a") as consumer:
        sizes = [len(consumer.take(2, LONG)) for _ in range(5)]
        assert max(sizes) <= 2
        assert sum(sizes) <= 9


def test_acknowledgement_covers_only_messages_up_to_its_tag(hub: Broker) -> None:
    publish(hub, direct("a", *"12345"))
    with consuming(hub, "a") as consumer:
        taken = take(consumer, 5)
        consumer.acknowledge([])
        consumer.acknowledge(taken[:3])
    assert emptied(hub, "a") == ["4", "5"]


def test_unacknowledged_message_is_redelivered_and_marked(hub: Broker) -> None:
    publish(hub, direct("a", "1", "2"))
    with consuming(hub, "a") as consumer:
        assert [d.redelivered for d in take(consumer, 2)] == [False, False]
    publish(hub, direct("a", "3"))
    with consuming(hub, "a") as consumer:
        assert sorted((d.message_id, d.redelivered) for d in take(consumer, 3)) == [
            ("1", True),
            ("2", True),
            ("3", False),
        ]


def test_consumer_continues_after_its_connection_was_closed(hub: Broker) -> None:
    publish(hub, direct("single", "1"))
    with consuming(hub, "single") as consumer:
        stale = take(consumer, 1)
        consumer.close()
        with pytest.raises(BrokerUnavailable):
            consumer.acknowledge(stale)
        consumer.acknowledge(take(consumer, 1))
    assert emptied(hub, "single") == []


def test_consumer_receives_from_several_queues(hub: Broker) -> None:
    publish(hub, direct("a", "a1", "a2") + direct("b", "b1", "b2"))
    with consuming(hub, "a", "b") as consumer:
        taken = take(consumer, 4)
        assert [d.message_id for d in taken if d.queue == "a"] == ["a1", "a2"]
        assert [d.message_id for d in taken if d.queue == "b"] == ["b1", "b2"]
        tags = [d.tag for d in taken]
        assert tags == sorted(set(tags)), "one acknowledgement for all needs one numbering for all"
        consumer.acknowledge(taken)
    assert emptied(hub, "a") == emptied(hub, "b") == []


def test_next_consumer_becomes_active_when_single_active_consumer_closes(hub: Broker) -> None:
    with consuming(hub, "single") as first, consuming(hub, "single") as second:
        assert first.take(1, SHORT) == second.take(1, SHORT) == []
        publish(hub, direct("single", "1", "2", "3"))
        taken = take(first, 3)
        first.acknowledge(taken[:1])
        assert second.take(10, SHORT) == []
        first.close()
        assert ids(take(second, 2)) == ["2", "3"]
        publish(hub, direct("single", "4"))
        assert first.take(10, SHORT) == [], "a consumer that returns is the last one to be served"
        assert ids(take(second, 1)) == ["4"]


def test_unroutable_message_ends_the_confirmed_part_of_a_wave(hub: Broker) -> None:
    wave = [*direct("a", "1", "2"), to("nobody.asked", "3"), *direct("a", "4")]
    with contextlib.closing(hub.publisher()) as publisher:
        with pytest.raises(PublishIncomplete) as caught:
            publisher.publish(wave)
        assert caught.value.confirmed == 2
        assert caught.value.unroutable == "topic nobody.asked"
        # and the publisher works as before
        publisher.publish(direct("b", "5"))
    assert emptied(hub, "a")[:2] == ["1", "2"]
    assert emptied(hub, "b") == ["5"]


def test_unroutable_message_is_identified_among_messages_with_its_id(hub: Broker) -> None:
    wave = direct("a", "same") + direct("nowhere", "same") + direct("b", "same")
    with pytest.raises(PublishIncomplete) as caught:
        publish(hub, wave)
    assert caught.value.confirmed == 1
    assert caught.value.unroutable == "(default) nowhere"


def test_first_of_several_unroutable_messages_ends_the_confirmed_part(hub: Broker) -> None:
    wave = direct("a", "1") + direct("none", "2") + direct("a", "3") + direct("never", "4")
    with pytest.raises(PublishIncomplete) as caught:
        publish(hub, wave)
    assert caught.value.confirmed == 1
    assert caught.value.unroutable == "(default) none"


def test_wave_with_a_message_that_is_too_large_is_incomplete_and_the_publisher_continues(hub: Broker) -> None:
    large = replace(direct("a", "2")[0], body=b"x" * (MOST_MESSAGE_BYTES + 1))
    with contextlib.closing(hub.publisher()) as publisher:
        with pytest.raises(PublishIncomplete) as caught:
            publisher.publish([*direct("a", "1"), large, *direct("a", "3")])
        assert caught.value.confirmed <= 1
        publisher.publish(direct("b", "4"))
        publisher.publish([replace(large, body=b"x" * MOST_MESSAGE_BYTES)])
    assert "3" not in emptied(hub, "a")
    assert emptied(hub, "b") == ["4"]


def test_wave_with_missing_exchange_is_incomplete(hub: Broker) -> None:
    with contextlib.closing(hub.publisher()) as publisher:
        with pytest.raises(PublishIncomplete) as caught:
            publisher.publish([to("key", exchange="absent")])
        assert caught.value.confirmed == 0
        publisher.publish(direct("a", "1"))
    assert emptied(hub, "a") == ["1"]


def test_unroutable_transient_message_is_not_an_error(hub: Broker) -> None:
    lost = Outgoing(
        exchange=DIRECT,
        routing_key="nowhere",
        message_id="1",
        partition_key="",
        body=b"?",
        transient=True,
    )
    publish(hub, [lost, *direct("a", "2")])
    assert emptied(hub, "a") == ["2"]


def test_consuming_missing_queue_is_unavailable(hub: Broker) -> None:
    with consuming(hub, "late") as consumer:
        with pytest.raises(BrokerUnavailable):
            consumer.take(1, SHORT)
        late = Queue(name="late", arguments={"x-queue-type": "quorum"})
        hub.declare(Topology(exchanges=(), queues=(late,), bindings=()))
        publish(hub, direct("late", "1"))
        assert ids(take(consumer, 1)) == ["1"]


def test_private_queue_exists_as_long_as_its_consumer(hub: Broker) -> None:
    with contextlib.closing(hub.private_consumer("asker")) as consumer:
        assert consumer.name is None
        assert consumer.take(1, SHORT) == []
        name = consumer.name
        assert name is not None
        publish(hub, [to(name, "1", exchange=REPLIES)])
        taken = take(consumer, 1)
        assert (taken[0].message_id, taken[0].queue) == ("1", name)
        consumer.acknowledge(taken)
        consumer.close()
        assert consumer.name is None
        with pytest.raises(PublishIncomplete):
            publish(hub, [to(name, "2", exchange=REPLIES)])
        consumer.take(1, SHORT)
        assert consumer.name not in (None, name)


def test_private_queues_are_not_shared(hub: Broker) -> None:
    with (
        contextlib.closing(hub.private_consumer("asker")) as one,
        contextlib.closing(hub.private_consumer("asker")) as other,
    ):
        one.take(1, 0.01)
        other.take(1, 0.01)
        assert one.name is not None
        assert other.name not in (None, one.name)
        publish(hub, [to(one.name, "1", exchange=REPLIES)])
        assert other.take(1, SHORT) == []
        assert ids(take(one, 1)) == ["1"]


def test_declaring_twice_changes_nothing(hub: Broker) -> None:
    publish(hub, [to("offer.opened", "1")])
    hub.declare(TOPOLOGY)
    publish(hub, [to("offer.opened", "2")])
    assert emptied(hub, "a") == ["1", "2"]


def test_hub_topology_routes_every_fact(hub: Broker) -> None:
    hub.declare(hub_topology())
    publish(hub, [to("referral.submitted", "1", exchange=EVENTS), to("history.read", "2", exchange=EVENTS)])
    assert emptied(hub, "audit.log") == ["1", "2"]
    with consuming(hub, *(f"routing.{n}" for n in range(4))) as consumer:
        assert ids(take(consumer, 1)) == ["1"]


def test_queue_reader_names_what_is_missing(hub: Broker) -> None:
    wanted = Topology(
        exchanges=(*TOPOLOGY.exchanges, Exchange(name="no.exchange", kind="topic")),
        queues=(Queue(name="no.queue", arguments={}), *TOPOLOGY.queues, Queue(name="other", arguments={})),
        bindings=(),
    )
    with contextlib.closing(hub.queue_reader()) as reader:
        assert reader.missing(wanted) == ("no.exchange", "no.queue", "other")
        assert reader.missing(TOPOLOGY) == ()
        hub.declare(wanted)
        assert reader.missing(wanted) == ()


def test_delivery_states_the_user_who_published_it(hub: Broker) -> None:
    if isinstance(hub, RabbitBroker):
        user = hub.user
    else:
        hub, user = MemoryBroker(user="somebody"), "somebody"
        hub.declare(TOPOLOGY)
    publish(hub, direct("a", "1"))
    with consuming(hub, "a") as consumer:
        (delivery,) = take(consumer, 1)
    assert delivery.user_id == user


def test_facts_reach_the_queues_of_their_owners_exchange_only(hub: Broker) -> None:
    hub.declare(hub_topology())
    publish(hub, [to("offer.accepted", "1", exchange=EVENTS)])
    assert emptied(hub, "vault.events") == ["1"]
    assert emptied(hub, "audit.log") == ["1"]
    # the same key at another service's exchange is heard by the log alone, which refuses it
    publish(hub, [to("offer.accepted", "2", exchange="kopuro.events.intake")])
    assert emptied(hub, "audit.log") == ["2"]
    assert emptied(hub, "vault.events") == []


def test_queue_reader_counts_messages_without_taking_them(hub: Broker) -> None:
    publish(hub, direct("a", "m0", "m1"))
    with contextlib.closing(hub.queue_reader()) as reader:
        assert reader.counts(["a", "b"]) == {"a": 2, "b": 0}
        assert emptied(hub, "a") == ["m0", "m1"]
        assert reader.counts(["a"]) == {"a": 0}


def test_queue_reader_continues_after_missing_queue(hub: Broker) -> None:
    with contextlib.closing(hub.queue_reader()) as reader:
        with pytest.raises(BrokerUnavailable):
            reader.counts(["nowhere"])
        assert reader.counts(["a"]) == {"a": 0}


def test_take_that_waits_returns_when_its_wait_is_ended_and_later_ones_do_not_wait(hub: Broker) -> None:
    with consuming(hub, "a") as consumer, ThreadPoolExecutor() as thread:
        publish(hub, direct("a", "1"))
        assert ids(take(consumer, 1)) == ["1"]
        taken = thread.submit(consumer.take, 10, 60.0)
        with pytest.raises(TimeoutError):
            taken.result(SHORT)
        consumer.end_waiting()
        assert taken.result(LONG) == []
        started = time.monotonic()
        assert consumer.take(10, 60.0) == []
        assert time.monotonic() - started < LONG


def test_consumer_whose_wait_was_ended_still_acknowledges(hub: Broker) -> None:
    publish(hub, direct("a", "1"))
    with consuming(hub, "a") as consumer:
        taken = take(consumer, 1)
        consumer.end_waiting()
        consumer.acknowledge(taken)
        assert consumer.take(10, 60.0) == []
    assert emptied(hub, "a") == []


def test_wait_is_ended_before_a_consumer_has_connected(hub: Broker) -> None:
    with consuming(hub, "a") as consumer:
        consumer.end_waiting()
        started = time.monotonic()
        assert consumer.take(10, 60.0) == []
        assert time.monotonic() - started < LONG
