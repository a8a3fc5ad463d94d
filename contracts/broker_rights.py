"""The broker's users and their rights, as data: one user for each service and one for the operators.

A right is a regular expression on the names of exchanges and queues. RabbitMQ asks for configure to declare
or delete, for write to publish and to bind a queue, for read to consume and to bind from an exchange.
Source: RabbitMQ, "Access Control", how permissions work; it matches anywhere in the name, hence the anchors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from contracts.topology import (
    CASE_QUEUES,
    CASES,
    DEAD_LETTER_SUFFIX,
    DEAD_LETTERS,
    EVENT_QUEUES,
    EVENTS,
    LOG,
    OPERATIONS,
    QUERIES,
    RECEIPT_QUEUES,
    RECEIPTS,
    REPLAYS,
    REPLIES,
    REQUESTERS,
    ROUTING_PARTITIONS,
    ROUTING_QUERIES,
    SERVICES,
    SNAPSHOTS,
    hub_topology,
    reply_queue_prefix,
)

USERS = (*SERVICES, OPERATIONS)
# The user with which services read the bindings from the management API. It can do nothing over AMQP.
WATCH = "watch"
# The partners' virtual host, and the process that owns it. It has no user in the hub's virtual host.
PARTNERS_VHOST = "partners"
GATEWAY = "gateway"
# Not `^$`, which matches the name of a line feed too.
NOTHING = r"\A\z"
# While an operator browses a queue, an exclusive queue with this ending is the lock.
BROWSING_SUFFIX = ".looked-at"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rights:
    """The regular expressions of one user's permissions in the hub's virtual host."""

    configure: str = NOTHING
    write: str = NOTHING
    read: str = NOTHING


def gateway_client(organization: str) -> str:
    """Return the id of the OAuth client as which the gateway acts for an organisation."""
    return f"{organization}.amqp"


def user_name(hub: str, user: str) -> str:
    """Return the name at the broker of a service's user, or of the operators', `<hub>.<user>`."""
    return f"{hub}.{user}"


def queues_of(service: str) -> tuple[str, ...]:
    """Return the queues that the service consumes."""
    names = (
        *ROUTING_PARTITIONS,
        ROUTING_QUERIES,
        *EVENT_QUEUES,
        *CASE_QUEUES,
        *RECEIPT_QUEUES.values(),
    )
    return tuple(name for name in names if name.partition(".")[0] == service)


def dead_letter_queues_of(service: str) -> tuple[str, ...]:
    """Return the dead-letter queues of the service's consumers."""
    names = (queue.name for queue in hub_topology().queues if queue.name.endswith(DEAD_LETTER_SUFFIX))
    return tuple(name for name in names if name.partition(".")[0] == service)


def exchanges_of(service: str) -> tuple[str, ...]:
    """Return the exchanges that the service publishes to."""
    own = {LOG, *(f"{exchange}.{service}" for exchange in (EVENTS, CASES, DEAD_LETTERS))}
    if service in REQUESTERS:
        own.add(QUERIES)
    match service:
        case "routing":
            own |= {f"{REPLIES}.{requester}" for requester in REQUESTERS}
        case "directory":
            own.add(SNAPSHOTS)
        case "audit":
            own.add(RECEIPTS)
        case "operations":
            own = {f"{EVENTS}.{OPERATIONS}", REPLAYS}
    return tuple(sorted(own & {exchange.name for exchange in hub_topology().exchanges}))


def rights_of(user: str) -> Rights:
    """Return the rights of a service or of OPERATIONS: what it needs and nothing else."""
    if user == OPERATIONS:
        parked = [q.name for q in hub_topology().queues if q.name.endswith(DEAD_LETTER_SUFFIX)]
        return Rights(
            configure=_exactly(name + BROWSING_SUFFIX for name in parked),
            write=_exactly(exchanges_of(OPERATIONS)),
            read=_exactly(parked),
        )
    # The queues among these names: a service counts its dead letters, for which RabbitMQ after 4.2.6 asks for
    # some right. This one allows nothing without a right to read from an exchange.
    writes = _exactly((*exchanges_of(user), *dead_letter_queues_of(user)))
    if user not in REQUESTERS:
        return Rights(write=writes, read=_exactly(queues_of(user)))
    # A requester declares its private reply queues, each of which ends with its connection, and binds them to
    # its own exchange for replies.
    replies = rf"\A{re.escape(reply_queue_prefix(user))}[0-9a-f-]+\z"
    return Rights(
        configure=replies,
        write=f"{writes}|{replies}",
        read=f"{_exactly((*queues_of(user), f'{REPLIES}.{user}'))}|{replies}",
    )


def _exactly(names: Iterable[str]) -> str:
    return rf"\A({'|'.join(map(re.escape, names))})\z"
