"""`kopuro export`: the log's entries as files, with a manifest of their hashes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kopuro_client.commands.export_files import MANIFEST, WRITERS, Export
from kopuro_client.commands.session import Session
from kopuro_client.records import ExportedEntry


class Format(StrEnum):
    ndjson = "ndjson"
    csv = "csv"
    parquet = "parquet"


def export(
    session: Session,
    directory: Annotated[Path, typer.Argument(help="Where to; an export that was broken off goes on.")],
    since: Annotated[str | None, typer.Option("--from", help="From this time on (RFC 3339).")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Before this time (RFC 3339).")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Only this event type.")] = None,
    format_: Annotated[Format, typer.Option("--format", help="parquet needs pyarrow.")] = Format.ndjson,
    file_entries: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="At most so many in a file.")
    ] = 50_000,
) -> None:
    """Export entries with what opens them. That you did is on record."""
    if format_ is Format.parquet:
        WRITERS[format_]([])  # what is missing is said before anything is fetched
    asked = {"from": since, "to": until, "type": type_, "format": format_.value}
    files = Export(directory, {name: value for name, value in asked.items() if value is not None})
    while not files.is_complete:
        pending: list[ExportedEntry] = []
        after = files.next
        while True:
            limit = min(5_000, file_entries - len(pending))
            page = session.hub.export_page(
                since=since, until=until, event_type=type_, after=after, limit=limit
            )
            files.begin(page["size"], page["checkpoint"])
            pending += page["entries"]
            after = page["next"]
            if after is None or len(pending) >= file_entries:
                break
        files.add(pending, after)
        session.out.note(f"{files.entries} entries")
    if session.out.as_json:
        session.out.document(files.manifest)
    else:
        session.out.text(directory / MANIFEST)
