"""A search of all files and logs of a hub for text that must not be there."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa

from sandbox.hub_files import SERVICES
from tests.journey.running_hub import RunningHub


def traces(hub: RunningHub, markers: Sequence[str], *, further: Iterable[Path] = ()) -> list[str]:
    """Return the files, tables and metrics that contain a marker, in clear or in a common encoding.

    further: directories besides the hub's own, such as the broker's.
    """
    forms = {form for marker in markers for form in _forms(marker)}
    return [
        place for place, content in contents(hub, further=further) if any(form in content for form in forms)
    ]


def contents(
    hub: RunningHub, *, further: Iterable[Path] = (), since: float = 0.0
) -> Iterator[tuple[str, bytes]]:
    """Yield all that the hub keeps or says of itself: place and bytes of files, table cells and metrics.

    further: directories besides the hub's own, such as the broker's. since: leave out files that nobody has
    written since this time (seconds since 1970), such as other tests' databases on the same server.
    """
    yield from kept((hub.files.directory, *further), hub.databases, since=since)
    for service in SERVICES:
        yield f"{service}: /metrics", hub.operations(service, "/metrics").content


def kept(
    directories: Iterable[Path], databases: Mapping[str, str], *, since: float = 0.0
) -> Iterator[tuple[str, bytes]]:
    """Yield place and bytes of every file and of every table cell. databases: URLs by service.

    since: leave out files that nobody has written since this time (seconds since 1970).
    """
    for directory in directories:
        for path in sorted(directory.rglob("*")):
            with suppress(FileNotFoundError):  # the servers remove files
                if path.is_file() and path.stat().st_mtime >= since:
                    yield str(path), path.read_bytes()
    for service, url in databases.items():
        for place, content in _cells(url):
            yield f"{service}: {place}", content


def _forms(marker: str) -> Iterator[bytes]:
    """Return the encodings of a text: UTF-8, escaped JSON, and base64 at each of the three alignments."""
    plain = marker.encode()
    yield plain
    yield json.dumps(marker)[1:-1].encode()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + plain)
        # The first and the last group depend on the neighbours. Random text contains any four characters.
        assert len(encoded[4:-4]) >= 8, "the marker is too short"
        yield encoded[4:-4]
        yield encoded[4:-4].replace(b"+", b"-").replace(b"/", b"_")


def _cells(url: str) -> Iterator[tuple[str, bytes]]:
    """Yield every value of every row, as the application reads it."""
    engine = sa.create_engine(url)
    metadata = sa.MetaData()
    try:
        metadata.reflect(engine)
        with engine.connect() as connection:
            for table in metadata.sorted_tables:
                for row in connection.execute(sa.select(table)):
                    for column, value in zip(table.columns.keys(), row, strict=True):
                        content = value if isinstance(value, bytes) else str(value).encode()
                        yield f"{table.name}.{column}", content
    finally:
        engine.dispose()
