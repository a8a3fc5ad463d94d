"""The mailbox in a hub's responses."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class MailboxConsumer(TypedDict):
    """A named consumer of an organisation's mailbox.

    position: the cursor up to which it has acknowledged everything; waiting_since: when the oldest message
    that it needs arrived, None if it needs none.
    """

    name: str
    types: list[str]
    contract: str
    position: str
    created_at: str
    waiting_since: str | None


class Message(TypedDict):
    """A mailbox's message, a CloudEvent 1.0 with the network's extensions."""

    specversion: str
    id: str
    source: str
    type: str
    time: str
    data: dict[str, Any]
    subject: NotRequired[str]
    partitionkey: NotRequired[str]
    correlationid: NotRequired[str]
    causationid: NotRequired[str]
