"""The exchanges, queues and bindings of a hub, as data.

A deployment step declares the topology (`admin.broker_definitions`), and services only check that it exists.
Every service has its own exchanges, and no other service may write to them (`contracts.broker_rights`): a
queue receives a fact only from the exchanges of the fact's owners. One exchange for all services with topic
permissions would not do, because RabbitMQ 3.10 does not check the keys in a message's `CC` header.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

EVENTS = "kopuro.events"
CASES = "kopuro.cases"
ROUTING_PARTITIONED = "routing.by_partition"
ROUTING = "routing"  # the consumer of all its partitions
PARTITIONS = 4
ROUTING_PARTITIONS = tuple(f"routing.{n}" for n in range(PARTITIONS))
# The header with the message's partition.
PARTITION_HEADER = "partition"
# The default exchange: the routing key is the queue's name. The broker itself dead-letters through it; no
# service may write to it.
DIRECT = ""
# Exchanges that address a queue by its name, each written by few users.
PARKED = "kopuro.parked"  # a service's own dead-letter queues
QUERIES = "kopuro.queries"  # queues of requests
REPLIES = "kopuro.replies"  # a requester's private queues
SNAPSHOTS = "kopuro.snapshots"  # the directory's snapshots, to the queues of replicas
RECEIPTS = "kopuro.receipts"  # audit's receipts, to the mailboxes and to the authors of events
LOG = "kopuro.log"  # events that have no receipt, offered to the log again and to no other consumer
REPLAYS = "kopuro.replays"  # replayed dead letters, to the queue that they came from

DEAD_LETTER_SUFFIX = ".parked"
# The name of the operators' commands among the services: they replay dead letters and record reads of them.
OPERATIONS = "operations"

# After this many redeliveries (a process that dies on the message each time), the broker itself dead-letters
# a message. High, because the other prefetched messages are counted too.
DELIVERY_LIMIT = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    name: str
    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Binding:
    """source: an exchange; destination: a queue, or an exchange when `to_exchange`."""

    source: str
    destination: str
    key: str
    to_exchange: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Topology:
    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]


def partition_of(partition_key: str) -> int:
    """Return the partition of the key, 0 to PARTITIONS - 1. Messages keep their order within a partition."""
    return zlib.crc32(partition_key.encode("utf-8", "replace")) % PARTITIONS


def route_for(exchange: str, routing_key: str, partition_key: str) -> tuple[str, str, int]:
    """Return exchange, routing key and partition: messages with the same route go to the same queues.

    The partition is 0 for facts that are not partitioned.
    """
    is_partitioned = exchange == EVENTS and routing_key in ROUTING_KEYS
    return exchange, routing_key, partition_of(partition_key) if is_partitioned else 0


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


def dead_letter_queue_name(consumer: str) -> str:
    """Return the name of the queue for messages that the consumer could not process."""
    return consumer + DEAD_LETTER_SUFFIX


def work_queue(name: str, consumer: str) -> Queue:
    """Return a durable quorum queue with a single active consumer: effects follow the queue's order."""
    return Queue(
        name=name,
        arguments={
            "x-queue-type": "quorum",
            "x-single-active-consumer": True,
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": DIRECT,
            "x-dead-letter-routing-key": dead_letter_queue_name(consumer),
            # at-least-once requires reject-publish; with at-most-once a dead letter can be lost
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )


def dead_letter_queue(consumer: str) -> Queue:
    """Return the queue in which a consumer's dead letters wait for an operator."""
    # Browsing the queue counts as a delivery, and RabbitMQ 4 drops a message after 20 deliveries by default.
    return Queue(
        name=dead_letter_queue_name(consumer),
        arguments={"x-queue-type": "quorum", "x-delivery-limit": 1_000_000},
    )


ROUTING_KEYS = (
    "referral.submitted",
    "answer.submitted",
    "progress.submitted",
    "outcome.submitted",
    "hand_back.submitted",
    "withdrawal.submitted",
    "revocation.submitted",
    "unreadable.submitted",
    "replacement.submitted",
    "placement.submitted",
    "intervention.submitted",
    "coordinator_withdrawal.submitted",
    "case.refused",
    "case.paused",
)
# The records by which a service admits callers: `runtime/access/access_records.py`.
ACCESS_KEYS = ("organization.changed", "token_key.changed", "client.changed")
DELIVERY_KEYS = (
    "offer.*",
    "referral.unplaced",
    "referral.progressed",
    "referral.completed",
    "referral.withdrawn",
    "referral.failed",
    "referral.overdue",
    "referral.unanswered",
    "alert.closed",
    "referral.acceptor_suspended",
    "acceptance.revoked",
    "referral.handed_back",
    "hand_back.refused",
    "directory_correction.suggested",
    "answer.refused",
    "submission.refused",
    "case.refused",
    "case.paused",
    "placement.refused",
    "placement.answered",
    "intervention.refused",
    "intervention.applied",
    "coordinator_withdrawal.refused",
    "case.unreadable",
    "note.unreadable",
    # notices to the partner concerned
    "credential.*",
    "approval.*",
    "sealing_key.replaced",
    "webhook.*",
)
VAULT_KEYS = (
    "offer.accepted",
    "offer.declined",
    "answer.refused",
    "acceptance.revoked",
    "referral.handed_back",
    "hand_back.refused",
    "referral.completed",
    "referral.withdrawn",
    "referral.failed",
    "transit_key.closed",
)

# The services, as owners of facts and as users of the broker.
SERVICES = ("intake", "routing", "delivery", "directory", "vault", "audit")

# The owners of each fact: only they publish it, and no consumer accepts it from another service.
OWNERS: Mapping[str, frozenset[str]] = {
    key: frozenset(services)
    for services, keys in (
        (
            ("intake",),
            (
                "referral.submitted",
                "answer.submitted",
                "progress.submitted",
                "outcome.submitted",
                "hand_back.submitted",
                "withdrawal.submitted",
                "revocation.submitted",
                "note.submitted",
                "unreadable.submitted",
                "replacement.submitted",
                "sealed_case.submitted",
                "sealed_case.replaced",
                "sealed_note.submitted",
                "transit_key.closed",
            ),
        ),
        (
            ("routing",),
            (
                "placement.submitted",
                "placement.refused",
                "placement.answered",
                "intervention.submitted",
                "intervention.refused",
                "intervention.applied",
                "coordinator_withdrawal.submitted",
                "coordinator_withdrawal.refused",
                "offer.opened",
                "offer.accepted",
                "offer.declined",
                "offer.expired",
                "offer.revoked",
                "acceptance.revoked",
                "referral.handed_back",
                "hand_back.refused",
                "directory_correction.suggested",
                "answer.refused",
                "referral.unplaced",
                "referral.progressed",
                "referral.completed",
                "referral.withdrawn",
                "referral.failed",
                "referral.overdue",
                "referral.unanswered",
                "alert.closed",
                "referral.acceptor_suspended",
                "case.unreadable",
                "note.unreadable",
                "decisions.recorded",
                "routing_policy.applied",
            ),
        ),
        # Routing refuses submissions that its rules do not allow; the vault refuses sealed replacements.
        (("routing", "vault"), ("submission.refused",)),
        (
            ("vault",),
            (
                "case.released",
                "case.refused",
                "case.erased",
                "case.paused",
                "sealed_case.released",
                "sealed_note.released",
                "transit_key.published",
                "transit_key.destroyed",
            ),
        ),
        (
            ("delivery",),
            (
                "delivery.delivered",
                "delivery.acknowledged",
                "note.delivered",
                "message.closed",
                "submission.admitted",
                "case.fetched",
                "webhook.changed",
                "webhook.failing",
            ),
        ),
        # Each service that shows staff the facts of a person.
        (("intake", "routing", "delivery"), ("referral.read",)),
        ((OPERATIONS,), ("dead_letter.read",)),
        (
            ("directory",),
            (
                "organization.changed",
                "agreement.changed",
                "token_key.changed",
                "client.changed",
                "credential.issued",
                "credential.revoked",
                "credential.tokens_revoked",
                "credential.expiring",
                "access.refused",
                "role.granted",
                "sealing_key.replaced",
                "approval.requested",
                "approval.endorsed",
                "approval.granted",
                "approval.refused",
                "replica.completed",
            ),
        ),
        # Every service with a replica asks the directory for a snapshot.
        (("intake", "routing", "delivery", "vault", "audit"), ("replica.requested",)),
        (
            ("audit",),
            (
                "history.read",
                "history.exported",
                "log.exported",
                "receipts.issued",
                "receipt.issued",
                "events.logged",
                "content.erased",
            ),
        ),
    )
    for key in keys
}


def owners_of(routing_key: str) -> frozenset[str]:
    """Return the services that may publish facts with this routing key; empty for an unknown key."""
    return OWNERS.get(routing_key, frozenset())


LOG_QUEUE = "audit.log"
# The queues in which services receive audit's receipts for the events that they published.
RECEIPT_QUEUES: Mapping[str, str] = {service: f"{service}.receipts" for service in SERVICES}

# The routing keys that each queue receives from `kopuro.events`.
EVENT_QUEUES: Mapping[str, tuple[str, ...]] = {
    "intake.offers": ("offer.opened",),
    "intake.transit_keys": ("transit_key.published",),
    "delivery.events": DELIVERY_KEYS,
    "vault.events": VAULT_KEYS,
    LOG_QUEUE: ("#",),
    "directory.requests": ("replica.requested",),
    "intake.directory": ACCESS_KEYS,
    "routing.directory": (*ACCESS_KEYS, "agreement.changed"),
    "delivery.directory": ACCESS_KEYS,
    "vault.directory": ("organization.changed",),
    "audit.directory": ACCESS_KEYS,
}
CASE_QUEUES: Mapping[str, tuple[str, ...]] = {
    "vault.sealed": ("sealed_case.submitted", "sealed_case.replaced", "sealed_note.submitted"),
    "delivery.sealed": ("sealed_case.released", "sealed_note.released"),
}
ROUTING_QUERIES = "routing.queries"
QUERY_DEADLINE_MS = 3_000


# The services that ask others over the broker.
REQUESTERS = ("intake",)
REPLICA_QUEUES = tuple(queue for queue in EVENT_QUEUES if queue.endswith(".directory"))
MAILBOXES = "delivery.events"


def reply_queue_prefix(service: str) -> str:
    """Return the start of the names of the service's private reply queues."""
    return f"{service}.replies."


def published_to(exchange: str, routing_key: str, service: str | None = None) -> str:
    """Return the exchange at the broker for a message to one of the exchanges above.

    Facts go to their publisher's own exchange, dead letters and replies to that of the service whose queue
    the routing key names. service: the publisher; None: an owner of the fact.
    """
    match exchange:
        case "kopuro.events" | "kopuro.cases":
            owner = service or min(owners_of(routing_key), default="")
            return f"{exchange}.{owner}"
        case "kopuro.parked" | "kopuro.replies":
            return f"{exchange}.{routing_key.partition('.')[0]}"
        case _:
            return exchange


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


def merged(*parts: Topology) -> Topology:
    """Return one topology with all parts."""
    return Topology(
        exchanges=tuple(one for part in parts for one in part.exchanges),
        queues=tuple(one for part in parts for one in part.queues),
        bindings=tuple(one for part in parts for one in part.bindings),
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
        addressed(PARKED, [dead_letter_queue_name(consumer) for consumer in consumers]),
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
