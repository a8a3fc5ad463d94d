"""The names of a hub's exchanges."""

from __future__ import annotations

from contracts.topology.owners import owners_of

EVENTS = "kopuro.events"
CASES = "kopuro.cases"
# The default exchange: the routing key is the queue's name. The broker itself dead-letters through it; no
# service may write to it.
DIRECT = ""
# Exchanges that address a queue by its name, each written by few users.
DEAD_LETTERS = "kopuro.parked"  # a service's own dead-letter queues
QUERIES = "kopuro.queries"  # queues of requests
REPLIES = "kopuro.replies"  # a requester's private queues
SNAPSHOTS = "kopuro.snapshots"  # the directory's snapshots, to the queues of replicas
RECEIPTS = "kopuro.receipts"  # audit's receipts, to the mailboxes and to the authors of events
LOG = "kopuro.log"  # events that have no receipt, offered to the log again and to no other consumer
REPLAYS = "kopuro.replays"  # replayed dead letters, to the queue that they came from


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
