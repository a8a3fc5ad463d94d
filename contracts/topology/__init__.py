"""The exchanges, queues and bindings of a hub, as data.

A deployment step declares the topology (`admin.broker_definitions`), and services only check that it exists.
Every service has its own exchanges, and no other service may write to them (`contracts.broker_rights`): a
queue receives a fact only from the exchanges of the fact's owners. One exchange for all services with topic
permissions would not do, because RabbitMQ 3.10 does not check the keys in a message's `CC` header.
"""

from contracts.topology.admission import admitted_facts
from contracts.topology.elements import Binding, Exchange, Queue, Topology, merged
from contracts.topology.exchanges import (
    CASES,
    DEAD_LETTERS,
    DIRECT,
    EVENTS,
    LOG,
    QUERIES,
    RECEIPTS,
    REPLAYS,
    REPLIES,
    SNAPSHOTS,
    published_to,
)
from contracts.topology.hub import addressed, hub_topology, topic_matches
from contracts.topology.owners import OPERATIONS, OWNERS, SERVICES, owners_of
from contracts.topology.partitions import (
    PARTITION_HEADER,
    PARTITIONS,
    ROUTING,
    ROUTING_PARTITIONED,
    ROUTING_PARTITIONS,
    partition_of,
    route_for,
)
from contracts.topology.queues import (
    DEAD_LETTER_SUFFIX,
    DELIVERY_LIMIT,
    dead_letter_queue,
    dead_letter_queue_name,
    work_queue,
)
from contracts.topology.subscriptions import (
    ACCESS_KEYS,
    CASE_QUEUES,
    DELIVERY_KEYS,
    EVENT_QUEUES,
    LOG_QUEUE,
    MAILBOXES,
    QUERY_DEADLINE_MS,
    RECEIPT_QUEUES,
    REPLICA_QUEUES,
    REQUESTERS,
    ROUTING_KEYS,
    ROUTING_QUERIES,
    VAULT_KEYS,
    reply_queue_prefix,
)

__all__ = [
    "ACCESS_KEYS",
    "CASES",
    "CASE_QUEUES",
    "DEAD_LETTERS",
    "DEAD_LETTER_SUFFIX",
    "DELIVERY_KEYS",
    "DELIVERY_LIMIT",
    "DIRECT",
    "EVENTS",
    "EVENT_QUEUES",
    "LOG",
    "LOG_QUEUE",
    "MAILBOXES",
    "OPERATIONS",
    "OWNERS",
    "PARTITIONS",
    "PARTITION_HEADER",
    "QUERIES",
    "QUERY_DEADLINE_MS",
    "RECEIPTS",
    "RECEIPT_QUEUES",
    "REPLAYS",
    "REPLICA_QUEUES",
    "REPLIES",
    "REQUESTERS",
    "ROUTING",
    "ROUTING_KEYS",
    "ROUTING_PARTITIONED",
    "ROUTING_PARTITIONS",
    "ROUTING_QUERIES",
    "SERVICES",
    "SNAPSHOTS",
    "VAULT_KEYS",
    "Binding",
    "Exchange",
    "Queue",
    "Topology",
    "addressed",
    "admitted_facts",
    "dead_letter_queue",
    "dead_letter_queue_name",
    "hub_topology",
    "merged",
    "owners_of",
    "partition_of",
    "published_to",
    "reply_queue_prefix",
    "route_for",
    "topic_matches",
    "work_queue",
]
