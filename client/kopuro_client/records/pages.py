"""Pages of lists."""

from __future__ import annotations

from typing import Generic, NotRequired, TypedDict, TypeVar

Item = TypeVar("Item")


class Page(TypedDict, Generic[Item]):
    """One page of a list. next: the cursor to pass as `after`, null on the last page.

    resume: the cursor from which a later poll continues; only in pages of the mailbox.
    """

    items: list[Item]
    next: str | None
    resume: NotRequired[str | None]
