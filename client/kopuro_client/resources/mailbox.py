"""The mailbox."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, cast

from kopuro_client.arguments import mapping, number, text, texts
from kopuro_client.errors import DefectError, InvalidArgumentError
from kopuro_client.paging import LONGEST_WAIT, following, watching
from kopuro_client.records import MailboxConsumer, Message, Page
from kopuro_client.resources.connected import Connected
from kopuro_client.webhooks import Webhooks

_LARGEST_PAGE: Final = 200  # messages, as the hub allows


class Mailbox(Connected):
    """Reads, watches and acknowledges messages."""

    def mailbox(
        self,
        *,
        wait: float = 0,
        after: str | None = None,
        limit: int | None = None,
        since: str | None = None,
        types: Iterable[str] = (),
        consumer: str | None = None,
    ) -> Page[Message]:
        """Return a page of unacknowledged messages, oldest first. Coordinators share one mailbox.

        wait: seconds (at most 30, rounded up) for which the hub may hold the response while the mailbox is
        empty. since: a cursor, or an RFC 3339 time: reads again from there, acknowledged messages too. types:
        names of messages, such as `offer.opened`; none returns all. consumer: the named consumer that reads.
        The page's `next` is null when no more messages are waiting; continue polling from `resume`.
        """
        if not 0 <= number(wait, "wait") <= LONGEST_WAIT:
            raise InvalidArgumentError(f"wait must be 0 to {LONGEST_WAIT:.0f} seconds")
        params: dict[str, str | int | None] = {
            "after": after,
            "limit": limit,
            "wait": math.ceil(wait) or None,
            "from": since,
            "type": ",".join(texts(types, "the types of messages")) or None,
            "consumer": consumer,
        }
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

        An outage of the hub does not count as time without a message.

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
            lost=self._connection.lost,
        )

    @property
    def webhooks(self) -> Webhooks:
        """The endpoints that the hub notifies of each message of the mailbox."""
        return Webhooks(self._connection, lambda *path: self._at("delivery", "webhooks", *path))

    def recover(self, since: str, *, types: Iterable[str] = ()) -> Iterator[Message]:
        """Yield every message that the hub has had for you since a time, including acknowledged ones.

        For a program that was restored from a backup: with the same ids and content, in the same order, each
        once. since: an RFC 3339 time; some messages of the ten minutes before it come first, because clocks
        differ. A message whose content was erased meanwhile is a `message.closed` with its id. Acknowledges
        nothing. Ends with the newest message.
        """
        wanted = texts(types, "the types of messages")
        seen: set[str] = set()
        pages = following(
            lambda after: self.mailbox(since=since, after=after, limit=_LARGEST_PAGE, types=wanted)
        )
        for message in pages:
            # A coordinator's own mailbox and the shared one may both have it.
            if message["id"] not in seen:
                seen.add(message["id"])
                yield message

    def acknowledge(self, message_id: str, *, consumer: str | None = None) -> None:
        """Acknowledge a message, for a named consumer or for the default one."""
        self._connection.command(
            self._at("delivery", "mailbox", message_id, "acknowledge"), {"consumer": consumer}
        )

    def acknowledge_all(self, message_ids: Iterable[str], *, consumer: str | None = None) -> None:
        """Acknowledge up to 1,000 messages in one request. Ids that are not in the mailbox are ignored."""
        if ids := texts(message_ids, "the message ids"):
            self._connection.post(
                self._at("delivery", "mailbox:acknowledge"),
                {"ids": ids},
                repeatable=True,
                params={"consumer": consumer},
            )

    def trigger(self, name: str, data: Mapping[str, object]) -> str:
        """Put a message of your own into your mailbox and return its id. Only in a sandbox.

        name: of a mailbox message, such as `offer.opened`. data: of the CloudEvent, as its schema says.
        Raises InvalidArgumentError if the hub is not a sandbox, DefectError for a response without an id.
        """
        if not self.discovery.sandbox:
            raise InvalidArgumentError("the hub is not a sandbox: messages can be made only in a sandbox")
        body = {"type": text(name, "the type"), "data": dict(mapping(data, "the data"))}
        made = self._connection.post(self._at("delivery", "sandbox", "messages"), body)
        if not isinstance(made.get("id"), str):
            raise DefectError("the hub responded without the id of the message")
        return str(made["id"])

    def consumers(self) -> list[MailboxConsumer]:
        """Return the organisation's named consumers, by name."""
        found = self._connection.page(self._at("delivery", "mailbox", "consumers"))
        return cast("list[MailboxConsumer]", found["items"])

    def put_consumer(
        self,
        name: str,
        *,
        types: Iterable[str] | None = None,
        contract: str | None = None,
        start: str | None = None,
    ) -> MailboxConsumer:
        """Create a named consumer, or change it. It reads and acknowledges independently of all others.

        None leaves a setting as it is. types: names of messages; an empty list reads all, as a new consumer
        does. contract: the version in which it reads messages. start: a cursor or an RFC 3339 time to read
        from next; None continues, or starts with the oldest message.
        """
        body: dict[str, object] = {}
        if types is not None:
            body["types"] = texts(types, "the types of messages")
        if contract is not None:
            body["contract"] = contract
        if start is not None:
            body["start"] = start
        return cast(
            "MailboxConsumer",
            self._connection.put(self._at("delivery", "mailbox", "consumers", name), body),
        )

    def delete_consumer(self, name: str) -> None:
        """Delete a named consumer. Messages that only it needed are no longer kept for it."""
        self._connection.command(self._at("delivery", "mailbox", "consumers", name), method="DELETE")
