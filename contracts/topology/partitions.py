"""The partitions of routing's queue."""

from __future__ import annotations

import zlib

from contracts.topology.exchanges import EVENTS
from contracts.topology.subscriptions import ROUTING_KEYS

ROUTING_PARTITIONED = "routing.by_partition"
ROUTING = "routing"  # the consumer of all its partitions
PARTITIONS = 4
ROUTING_PARTITIONS = tuple(f"routing.{n}" for n in range(PARTITIONS))
# The header with the message's partition.
PARTITION_HEADER = "partition"


def partition_of(partition_key: str) -> int:
    """Return the partition of the key, 0 to PARTITIONS - 1. Messages keep their order within a partition."""
    return zlib.crc32(partition_key.encode("utf-8", "replace")) % PARTITIONS


def route_for(exchange: str, routing_key: str, partition_key: str) -> tuple[str, str, int]:
    """Return exchange, routing key and partition: messages with the same route go to the same queues.

    The partition is 0 for facts that are not partitioned.
    """
    is_partitioned = exchange == EVENTS and routing_key in ROUTING_KEYS
    return exchange, routing_key, partition_of(partition_key) if is_partitioned else 0
