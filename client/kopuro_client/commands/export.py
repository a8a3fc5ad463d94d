"""`kopuro export`: export the log's entries to files, with a manifest of their hashes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from kopuro_client.commands.counts import count
from kopuro_client.commands.export_files import MANIFEST, ExportDirectory
from kopuro_client.commands.export_formats import require
from kopuro_client.commands.lists import SINCE, UNTIL
from kopuro_client.commands.session import Session
from kopuro_client.paging import Progress
from kopuro_client.records import ExportPage

# Entries held in memory at a time, which is also the hub's maximum for a page.
PAGE: Final = 5_000


class ExportFormat(StrEnum):
    ndjson = "ndjson"
    csv = "csv"
    parquet = "parquet"


def export(
    session: Session,
    directory: Annotated[Path, typer.Argument(help="Output directory; resumes an interrupted export.")],
    since: SINCE = None,
    until: UNTIL = None,
    type_: Annotated[str | None, typer.Option("--type", help="Only this event type.")] = None,
    format_: Annotated[
        ExportFormat, typer.Option("--format", help="File format; parquet needs kopuro-client\\[parquet].")
    ] = ExportFormat.ndjson,
    file_entries: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Maximum number of entries per file.")
    ] = 50_000,
) -> None:
    """Export log entries with the data and salts that open them. The hub records every export."""
    require(format_.value)  # before the first request, because the hub records it
    asked = {"from": since, "to": until, "type": type_, "format": format_.value}
    files = ExportDirectory(directory, {name: value for name, value in asked.items() if value is not None})

    def page(after: str | None, limit: int) -> ExportPage:
        return session.hub.export_page(since=since, until=until, event_type=type_, after=after, limit=limit)

    progress = Progress()
    while not files.is_complete:
        files.add(_pages(page, progress, after=files.next, most=file_entries))
        session.out.note(count(files.entries, "entry", "entries"))
    if session.out.as_json:
        session.out.document(files.manifest)
    else:
        session.out.text(directory / MANIFEST)


def _pages(
    ask: Callable[[str | None, int], ExportPage], progress: Progress, *, after: str | None, most: int
) -> Iterator[ExportPage]:
    """Yield the pages after a cursor until they hold `most` entries or the export ends.

    Raises DefectError for an export that does not end.
    """
    while most > 0:
        page = ask(after, min(PAGE, most))
        after, most = page["next"], most - len(page["entries"])
        if after is not None:
            progress.require(after, is_empty=not page["entries"])
        yield page
        if after is None:
            return
