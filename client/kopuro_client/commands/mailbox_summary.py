"""`kopuro mailbox summary`: how many messages wait, by type, and since when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kopuro_client.commands.language import LANGUAGE
from kopuro_client.commands.mailbox import CONSUMER, TYPES, fact_of
from kopuro_client.commands.printable import moment
from kopuro_client.commands.queue_words import word
from kopuro_client.commands.session import Session
from kopuro_client.paging import following
from kopuro_client.records import Message

_PAGE = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingOfType:
    """The messages of one type. oldest: the time of the first, RFC 3339; newest: of the last."""

    fact: str
    count: int
    oldest: str
    newest: str


def waiting(messages: Iterable[Message]) -> list[WaitingOfType]:
    """Return the messages by type, the type with the oldest message first. messages: oldest first."""
    found: dict[str, WaitingOfType] = {}
    for message in messages:
        fact = fact_of(message)
        first = found.get(fact)
        found[fact] = WaitingOfType(
            fact=fact,
            count=1 if first is None else first.count + 1,
            oldest=message["time"] if first is None else first.oldest,
            newest=message["time"],
        )
    return list(found.values())


def summary(
    session: Session, types: TYPES = None, consumer: CONSUMER = None, language: LANGUAGE = "en"
) -> None:
    """Count the unacknowledged messages by type, with the times of the oldest and the newest.

    For coordinators: one line for all alerts of a kind, such as referral.unplaced. An alert that was acted on
    counts as message.closed.
    """
    found = waiting(
        following(
            lambda after: session.hub.mailbox(after=after, limit=_PAGE, types=types or (), consumer=consumer)
        )
    )
    if session.out.as_json:
        items: list[dict[str, Any]] = [
            {"type": one.fact, "count": one.count, "oldest": one.oldest, "newest": one.newest}
            for one in found
        ]
        session.out.document({"items": items, "next": None})
    else:
        session.out.table(
            [word(name, language) for name in ("type", "messages", "oldest", "newest")],
            ((one.fact, str(one.count), moment(one.oldest), moment(one.newest)) for one in found),
        )
