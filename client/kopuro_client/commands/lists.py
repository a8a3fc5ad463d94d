"""Printing a page of a list, and the options for paging and for times of entries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from kopuro_client.commands.output import Output
from kopuro_client.commands.queue_words import word
from kopuro_client.records import Item, Page

AFTER = Annotated[
    str | None, typer.Option(help="Continue after this cursor, which the previous page printed.")
]
SINCE = Annotated[str | None, typer.Option("--from", help="Only entries at or after this time (RFC 3339).")]
UNTIL = Annotated[str | None, typer.Option("--to", help="Only entries before this time (RFC 3339).")]
LIMIT = Annotated[int | None, typer.Option(min=1, help="Maximum number of items.")]


def show_page(
    out: Output,
    page: Page[Item],
    *,
    columns: Sequence[str],
    row: Callable[[Item], Sequence[Any]],
    language: str = "en",
) -> None:
    """Print the page as a table (with --json as the API's JSON)."""
    show_items(out, page, lambda items: out.table(columns, map(row, items)), language=language)


def show_items(
    out: Output,
    page: Page[Item],
    show: Callable[[list[Item]], None],
    *,
    language: str = "en",
    kind: str | None = None,
) -> None:
    """Print the page with `show` (with --json as the API's JSON); name the next page's cursor on stderr.

    kind: what is listed, if the command prints several lists.
    """
    if out.as_json:
        out.document(page)
        return
    if page["items"]:
        show(page["items"])
    else:
        out.note(word("none", language))
    if page.get("next") is not None:
        option = f"--after {page['next']}"
        out.note(
            word("more", language, option=option)
            if kind is None
            else word("more_of", language, kind=kind, option=option)
        )
