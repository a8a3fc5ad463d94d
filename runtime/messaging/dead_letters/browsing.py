"""Looking into a queue without changing it: what an operator's commands need of a broker.

For the broker, to look is to take: meanwhile the messages count as unacknowledged, and afterwards they go
back to their places. Two who look at once would each see a part and scramble the order, so the second waits
for the first, and gives up after some seconds. Who reads the queue by other means (a management page) is not
held back, and sees the rest only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Browsed:
    """A message as a browser found it. number: its place in the queue, from 1; tag: the broker's own."""

    number: int
    tag: int
    message_id: str
    headers: Mapping[str, Any]
    body: bytes = field(repr=False)


class Browser(Protocol):
    """A look into one queue. Once it is over, what was not removed is back in its place."""

    def messages(self) -> Iterator[Browsed]:
        """What was in the queue when the look began, the oldest first; to be asked for once.

        Raises BrokerUnavailable; nothing is lost then.
        """
        ...

    def remove(self, messages: Sequence[Browsed]) -> None:
        """Lets the broker forget these, and no others. Raises BrokerUnavailable."""
        ...


# Opens a look into the queue of that name. Entering it raises Refused where there is no such queue,
# Unavailable while somebody else is looking, BrokerUnavailable.
Browse = Callable[[str], AbstractContextManager[Browser]]
