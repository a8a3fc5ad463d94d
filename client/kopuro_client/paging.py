"""Iterators over the pages of a list and over a mailbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from kopuro_client.arguments import number
from kopuro_client.errors import DefectError, InvalidArgumentError
from kopuro_client.records import Message, Page

LONGEST_WAIT: Final = 30.0  # seconds; the longest time for which a hub holds a long poll
SHORTEST_WAIT: Final = 1.0  # seconds; with less, a watch would send requests in a busy loop
# A filter may leave a page empty that is not the last. No list of a hub has so many of these in a row.
MOST_EMPTY: Final = 1_000

Item = TypeVar("Item")


class Progress:
    """Whether the pages of one list come to an end. It keeps one cursor, however long the list is."""

    def __init__(self) -> None:
        self._pages = self._with_items = self._empty = 0
        self._kept: str | None = None
        self._kept_until = 1

    def require(self, cursor: str, *, is_empty: bool) -> None:
        """Take a page's `next`. is_empty: whether the page has no items.

        Raises DefectError after MOST_EMPTY empty pages in a row, and if a page with items names an earlier
        cursor again. A cycle of cursors is found at the latest after twice as many pages as came before it,
        and one more cycle. An empty page may name any cursor again.
        """
        self._pages += 1
        if is_empty:
            self._empty += 1
            if self._empty >= MOST_EMPTY:
                raise DefectError(
                    f"the hub's list does not end: {self._empty:,} pages in a row, up to page "
                    f"{self._pages:,}, are empty, and each names a next one"
                )
            return
        self._empty = 0
        self._with_items += 1
        if cursor == self._kept:
            raise DefectError(
                f"the hub's list does not end: page {self._pages} names a next page that was read before"
            )
        if self._with_items >= self._kept_until:
            # Source: R. P. Brent, An improved Monte Carlo factorization algorithm, 1980.
            self._kept, self._kept_until = cursor, 2 * self._with_items


def following(fetch: Callable[[str | None], Page[Item]]) -> Iterator[Item]:
    """Yield the items of all pages. Fetches each page when the previous one is used up.

    Raises DefectError for a list that does not end (see `Progress`), and what `fetch` raises.
    """
    after: str | None = None
    progress = Progress()
    while True:
        page = fetch(after)
        yield from page["items"]
        after = page.get("next")
        if after is None:
            return
        progress.require(after, is_empty=not page["items"])


def watching(
    fetch: Callable[[str | None, float], Page[Message]],
    *,
    after: str | None,
    wait: float,
    give_up_after: float | None,
    clock: Callable[[], float],
    lost: Callable[[], float],
) -> Iterator[Message]:
    """Yield messages as they arrive, until none has arrived for `give_up_after` seconds (None: forever).

    Only the time counts in which the hub answered: during an outage nobody knows whether messages wait. lost:
    returns how many seconds of the calling thread outages have taken so far.

    fetch: returns the page after a cursor; while the page is empty, the hub holds it for up to the given
    seconds. The next poll continues from the page's `resume`, since `next` is null once no more messages are
    waiting. Raises InvalidArgumentError for an invalid `wait` or `give_up_after`, and what `fetch` raises.
    """
    if give_up_after is not None:
        number(give_up_after, "give_up_after")
    if number(wait, "wait") < SHORTEST_WAIT:
        raise InvalidArgumentError(f"wait must be at least {SHORTEST_WAIT:.0f} second")
    quiet = 0.0
    while True:
        left = wait
        if give_up_after is not None:
            left = min(wait, max(SHORTEST_WAIT, give_up_after - quiet))
        asked_at, lost_before = clock(), lost()
        page = fetch(after, left)
        quiet += clock() - asked_at - (lost() - lost_before)
        after = page.get("resume") or page.get("next") or after
        yield from page["items"]
        if page["items"]:
            quiet = 0.0
        elif give_up_after is not None and quiet >= give_up_after:
            return
