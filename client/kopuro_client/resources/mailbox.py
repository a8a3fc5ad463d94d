"""The mailbox."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import cast

from kopuro_client.arguments import number, texts
from kopuro_client.errors import InvalidArgumentError
from kopuro_client.paging import LONGEST_WAIT, watching
from kopuro_client.records import Message, Page
from kopuro_client.resources.connected import Connected
from kopuro_client.webhooks import Webhooks


class Mailbox(Connected):
    """Reads, watches and acknowledges messages."""

    def mailbox(
        self, *, wait: float = 0, after: str | None = None, limit: int | None = None
    ) -> Page[Message]:
        """Return a page of unacknowledged messages, oldest first. Coordinators share one mailbox.

        wait: seconds (at most 30, rounded up) for which the hub may hold the response while the mailbox is
        empty. The page's `next` is null when no more messages are waiting; continue polling from `resume`.
        """
        if not 0 <= number(wait, "wait") <= LONGEST_WAIT:
            raise InvalidArgumentError(f"wait must be 0 to {LONGEST_WAIT:.0f} seconds")
        params = {"after": after, "limit": limit, "wait": math.ceil(wait) or None}
        return cast(
            "Page[Message]",
            self._connection.page(self._at("delivery", "mailbox"), params, wait=wait),
        )

    def watch(
        self,
        *,
        after: str | None = None,
        wait: float = LONGEST_WAIT,
        give_up_after: float | None = None,
    ) -> Iterator[Message]:
        """Yield messages as they arrive, forever or until none has arrived for `give_up_after` seconds.

        Acknowledge each message once you have processed it; the next watch yields unacknowledged messages
        again. The transport's RetryPolicy decides how long an outage the watch survives; with
        `Transport(retry=RetryPolicy.lasting())` it survives any.
        """
        return watching(
            lambda after, wait: self.mailbox(wait=wait, after=after),
            after=after,
            wait=wait,
            give_up_after=give_up_after,
            clock=self._connection.clock,
        )

    @property
    def webhooks(self) -> Webhooks:
        """The endpoints that are told about each message of the mailbox."""
        return Webhooks(self._connection, lambda *path: self._at("delivery", "webhooks", *path))

    def acknowledge(self, message_id: str) -> None:
        self._connection.command(self._at("delivery", "mailbox", message_id, "acknowledge"))

    def acknowledge_all(self, message_ids: Iterable[str]) -> None:
        """Acknowledge up to 1,000 messages in one request. Ids that are not in the mailbox are ignored."""
        if ids := texts(message_ids, "the message ids"):
            self._connection.post(self._at("delivery", "mailbox:acknowledge"), {"ids": ids}, repeatable=True)
