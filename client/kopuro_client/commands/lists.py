"""A page of a list, printed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from kopuro_client.commands.output import Output
from kopuro_client.records import Item, Page

AFTER = Annotated[str | None, typer.Option(help="Go on after this cursor (the page before names it).")]
LIMIT = Annotated[int | None, typer.Option(min=1, help="At most so many.")]


def show_page(
    out: Output, page: Page[Item], *, columns: Sequence[str], row: Callable[[Item], Sequence[Any]]
) -> None:
    """The page as a table (or the API's own JSON)."""
    show_items(out, page, lambda items: out.table(columns, map(row, items)))


def show_items(
    out: Output, page: Page[Item], show: Callable[[list[Item]], None], *, more: str = "more"
) -> None:
    """The page as `show` shows it (or the API's own JSON); where there is more, stderr says how to get it."""
    if out.as_json:
        out.document(page)
        return
    if page["items"]:
        show(page["items"])
    else:
        out.note("nothing here")
    if page.get("next") is not None:
        out.note(f"{more}: --after {page['next']}")
