"""The whole topology of one hub."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from contracts.topology.elements import Binding, Exchange, Queue, Topology, merged
from contracts.topology.exchanges import (
    CASES,
    DEAD_LETTERS,
    EVENTS,
    LOG,
    QUERIES,
    RECEIPTS,
    REPLAYS,
    REPLIES,
    SNAPSHOTS,
    published_to,
)
from contracts.topology.owners import OWNERS
from contracts.topology.partitions import PARTITION_HEADER, ROUTING, ROUTING_PARTITIONED, ROUTING_PARTITIONS
from contracts.topology.queues import dead_letter_queue, dead_letter_queue_name, work_queue
from contracts.topology.subscriptions import (
    CASE_QUEUES,
    EVENT_QUEUES,
    LOG_QUEUE,
    MAILBOXES,
    QUERY_DEADLINE_MS,
    RECEIPT_QUEUES,
    REPLICA_QUEUES,
    REQUESTERS,
    ROUTING_KEYS,
    ROUTING_QUERIES,
)


def topic_matches(pattern: str, routing_key: str) -> bool:
    """Match an AMQP topic: `*` is one word, `#` any number of words. Source: AMQP 0-9-1 §3.1.3.3."""

    def match(patterns: list[str], words: list[str]) -> bool:
        if not patterns:
            return not words
        head, rest = patterns[0], patterns[1:]
        if head == "#":
            return any(match(rest, words[n:]) for n in range(len(words) + 1))
        return bool(words) and head in ("*", words[0]) and match(rest, words[1:])

    return match(pattern.split("."), routing_key.split("."))


def addressed(exchange: str, queues: Sequence[str]) -> Topology:
    """Return an exchange that addresses these queues by their names."""
    names = {published_to(exchange, queue): None for queue in queues}
    return Topology(
        exchanges=tuple(Exchange(name=name, kind="direct") for name in names),
        queues=(),
        bindings=tuple(
            Binding(source=published_to(exchange, queue), destination=queue, key=queue) for queue in queues
        ),
    )


@functools.cache
def hub_topology() -> Topology:
    """Return the topology of one hub: always the same object, since matching every fact takes some ms."""
    consumers = (ROUTING, *EVENT_QUEUES, *CASE_QUEUES, *RECEIPT_QUEUES.values())
    work_queues = [work_queue(partition, ROUTING) for partition in ROUTING_PARTITIONS]
    work_queues += [work_queue(name, name) for name in consumers[1:]]
    # Queries are useless after their deadline: a classic queue that drops them.
    queries = Queue(name=ROUTING_QUERIES, arguments={"x-message-ttl": QUERY_DEADLINE_MS})
    return merged(
        Topology(
            exchanges=(Exchange(name=ROUTING_PARTITIONED, kind="headers"),),
            queues=(*work_queues, *map(dead_letter_queue, consumers), queries),
            bindings=tuple(
                Binding(
                    source=ROUTING_PARTITIONED,
                    destination=partition,
                    key="",
                    arguments={"x-match": "all", PARTITION_HEADER: str(number)},
                )
                for number, partition in enumerate(ROUTING_PARTITIONS)
            ),
        ),
        _facts(EVENTS, {ROUTING_PARTITIONED: ROUTING_KEYS, **EVENT_QUEUES}),
        _facts(CASES, CASE_QUEUES),
        addressed(DEAD_LETTERS, [dead_letter_queue_name(consumer) for consumer in consumers]),
        addressed(QUERIES, [ROUTING_QUERIES]),
        addressed(SNAPSHOTS, REPLICA_QUEUES),
        addressed(RECEIPTS, [MAILBOXES, *RECEIPT_QUEUES.values()]),
        addressed(LOG, [LOG_QUEUE]),
        addressed(REPLAYS, [queue.name for queue in work_queues]),
        Topology(
            exchanges=tuple(Exchange(name=f"{REPLIES}.{name}", kind="direct") for name in REQUESTERS),
            queues=(),
            bindings=(),
        ),
    )


def _facts(exchange: str, bound: Mapping[str, tuple[str, ...]]) -> Topology:
    """Bind each destination to the exchanges of the services that own facts with its keys."""
    exchanges: dict[str, None] = {}
    bindings = []
    for destination, patterns in bound.items():
        for pattern in patterns:
            owners = {
                owner for key, names in OWNERS.items() if topic_matches(pattern, key) for owner in names
            }
            for owner in sorted(owners):
                source = f"{exchange}.{owner}"
                exchanges[source] = None
                bindings.append(
                    Binding(
                        source=source,
                        destination=destination,
                        key=pattern,
                        to_exchange=destination == ROUTING_PARTITIONED,
                    )
                )
    return Topology(
        exchanges=tuple(Exchange(name=name, kind="topic") for name in exchanges),
        queues=(),
        bindings=tuple(bindings),
    )
