"""Checks whether a hub is quiet. Only copies that are made meanwhile are consistent with each other.

A restore loses a message if its sender's copy no longer has it in the outbox and its receiver's copy does not
know it yet. Such a message was in a queue, or was sent while the databases were copied. So copies count only
if the queues were empty before and after, and no message was sent or received in between. Then the order in
which the databases were copied does not matter.

AMQP does not count messages that a consumer holds. A consumer holds one for a moment only, unless its
database cannot be reached, which a copy would notice. So the queues must be empty for `SETTLE_SECONDS` before
copying.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SETTLE_SECONDS: Final = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceMark:
    """The progress of a service's messages.

    sent: numbers of its outbox that were ever given out. waiting, received: rows of the outbox and the inbox.
    """

    sent: int
    waiting: int
    received: int


@dataclass(frozen=True, kw_only=True, slots=True)
class HubMark:
    """One look at a hub. queues: ready messages in each queue, without the dead letters."""

    services: Mapping[str, ServiceMark]
    queues: Mapping[str, int]


def in_transit(mark: HubMark) -> list[str]:
    """Return the messages in transit, such as `3 in vault.sealed`; empty if there are none."""
    return [f"{count} in {queue}" for queue, count in sorted(mark.queues.items()) if count]


def moved(before: HubMark, after: HubMark) -> list[str]:
    """Return the services that sent or received a message between two looks."""
    return [name for name, mark in before.services.items() if after.services.get(name) != mark]
