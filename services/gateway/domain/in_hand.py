"""How many bytes of submissions the gateway keeps in memory.

The broker sends 20 submissions of each organisation before the first is settled, however large they are:
RabbitMQ does not implement AMQP's `prefetch_size`. So the gateway gives submissions back when all of them
together are too large: they wait in the queues of their organisations, on the broker's disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# Bytes of all submissions that are taken and not settled.
MOST_IN_HAND: Final = 64 * 1024 * 1024
# Bytes of those that are processed at a time, which are copied before they go to the hub. More than one
# organisation's 20 submissions of the largest size.
MOST_PROCESSED: Final = 24 * 1024 * 1024


def to_hand_back(waiting: Mapping[str, int], processed: int, *, most: int = MOST_IN_HAND) -> list[str]:
    """Return the organisations whose waiting submissions go back to their queues, the largest first.

    waiting: bytes that wait to be processed, by organisation. processed: bytes that are processed now.
    """
    left = processed + sum(waiting.values())
    handed: list[str] = []
    for organization in sorted(waiting, key=lambda name: (-waiting[name], name)):
        if left <= most or not waiting[organization]:
            break
        left -= waiting[organization]
        handed.append(organization)
    return handed


def may_begin(size: int, processed: int, *, most: int = MOST_PROCESSED) -> bool:
    """Return whether a batch of that many bytes may be processed beside what is processed now."""
    return not processed or processed + size <= most
