"""Iterators over the pages of a list and over a mailbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from kopuro_client.arguments import number
from kopuro_client.errors import InvalidArgumentError
from kopuro_client.records import Message, Page

LONGEST_WAIT: Final = 30.0  # seconds; the longest time for which a hub holds a long poll
SHORTEST_WAIT: Final = 1.0  # seconds; with less, a watch would send requests in a busy loop

Item = TypeVar("Item")


def following(fetch: Callable[[str | None], Page[Item]]) -> Iterator[Item]:
    """Yield the items of all pages. Fetches each page when the previous one is used up."""
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
    """Yield messages as they arrive, until none has arrived for `give_up_after` seconds (None: forever).

    fetch: returns the page after a cursor; while the page is empty, the hub holds it for up to the given
    seconds. The next poll continues from the page's `resume`, since `next` is null once no more messages are
    waiting. Raises InvalidArgumentError for an invalid `wait` or `give_up_after`, and what `fetch` raises.
    """
    if give_up_after is not None:
        number(give_up_after, "give_up_after")
    if number(wait, "wait") < SHORTEST_WAIT:
        raise InvalidArgumentError(f"wait must be at least {SHORTEST_WAIT:.0f} second")
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
