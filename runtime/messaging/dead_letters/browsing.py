"""The port for browsing a queue without changing it, for the operators' commands.

To the broker, browsing is consuming: while it lasts, the messages are unacknowledged; afterwards they return
to their places. Two concurrent browsers would each see a part and change the order, so the second one waits
for the first and gives up after some seconds. Other readers of the queue (the management page) do not wait,
and see only the remaining messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Browsed:
    """A browsed message. number: its position in the queue, from 1; tag: the broker's delivery tag."""

    number: int
    tag: int
    message_id: str
    headers: Mapping[str, Any]
    body: bytes = field(repr=False)


class Browser(Protocol):
    """Browses one queue. At the end, messages that were not removed return to their places."""

    def messages(self) -> Iterator[Browsed]:
        """Yield the messages that were in the queue at the start, oldest first. Call it once.

        Raises BrokerUnavailable; no message is lost then.
        """
        ...

    def remove(self, messages: Sequence[Browsed]) -> None:
        """Acknowledge exactly these messages. Raises BrokerUnavailable."""
        ...


# Opens a browser of the named queue. Entering it raises Refused when the queue does not exist, Unavailable
# while another process browses it, and BrokerUnavailable.
Browse = Callable[[str], AbstractContextManager[Browser]]
