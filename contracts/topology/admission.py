"""The facts that each queue admits, from any publisher.

Bindings alone do not keep a fact out of a queue. A user with the operations' broker password can replay dead
letters to any queue, for example the sealed case of one consumer into the log.
"""

from __future__ import annotations

import functools

from contracts.topology.hub import topic_matches
from contracts.topology.owners import OWNERS
from contracts.topology.partitions import ROUTING_PARTITIONS
from contracts.topology.subscriptions import (
    CASE_QUEUES,
    EVENT_QUEUES,
    MAILBOXES,
    RECEIPT_QUEUES,
    REPLICA_QUEUES,
    ROUTING_KEYS,
)

# Facts that are addressed to a queue by its name: `addressed` in `hub.py`.
_ADDRESSED = {
    **dict.fromkeys(REPLICA_QUEUES, ("replica.completed",)),
    **dict.fromkeys(RECEIPT_QUEUES.values(), ("events.logged",)),
    MAILBOXES: ("receipts.issued", "receipt.issued"),
}


@functools.cache
def admitted_facts(queue: str) -> frozenset[str] | None:
    """Return the routing keys of the facts that a queue admits; None for a queue that is not the hub's.

    Sealed content is admitted by the queues that are bound to it by name, never by a pattern for everything.
    """
    if queue in CASE_QUEUES:
        return frozenset(CASE_QUEUES[queue])
    bound = ROUTING_KEYS if queue in ROUTING_PARTITIONS else EVENT_QUEUES.get(queue, ())
    if not bound and queue not in _ADDRESSED:
        return None
    sealed = {key for keys in CASE_QUEUES.values() for key in keys}
    facts = {key for key in OWNERS if any(topic_matches(pattern, key) for pattern in bound)}
    return frozenset((facts - sealed) | set(_ADDRESSED.get(queue, ())))
