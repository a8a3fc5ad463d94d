"""Lists that come in pages, and a mailbox that goes on: both as plain iterators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from kopuro_client.arguments import number
from kopuro_client.errors import InvalidArgumentError
from kopuro_client.records import Message, Page

LONGEST_WAIT: Final = 30.0  # seconds; a hub holds a long poll no longer
SHORTEST_WAIT: Final = 1.0  # seconds; a watch that waits less would only ask in a circle

Item = TypeVar("Item")


def following(fetch: Callable[[str | None], Page[Item]]) -> Iterator[Item]:
    """The items of every page; a page is fetched when the one before it is used up."""
    after: str | None = None
    while True:
        page = fetch(after)
        yield from page["items"]
        after = page.get("next")
        if after is None:
            return


def watching(
    fetch: Callable[[str | None, float], Page[Message]],
    *,
    after: str | None,
    wait: float,
    give_up_after: float | None,
    clock: Callable[[], float],
) -> Iterator[Message]:
    """Messages as they come.

    fetch: the page after a cursor, held up to so many seconds while empty. Its `resume` is where the next
    poll goes on: `next` is null once no more messages are waiting.

    Ends only when none has come for `give_up_after` seconds (never, for None).
    """
    if give_up_after is not None:
        number(give_up_after, "give_up_after")
    if number(wait, "wait") < SHORTEST_WAIT:
        raise InvalidArgumentError(f"a watch waits at least {SHORTEST_WAIT:.0f} second at a time")
    last = clock()
    while True:
        left = wait
        if give_up_after is not None:
            left = min(wait, max(SHORTEST_WAIT, last + give_up_after - clock()))
        page = fetch(after, left)
        after = page.get("resume") or page.get("next") or after
        yield from page["items"]
        if page["items"]:
            last = clock()
        elif give_up_after is not None and clock() - last >= give_up_after:
            return
