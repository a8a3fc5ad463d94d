"""The formats of an export's files. They are written page by page, so that no file is held in memory.

ndjson: the entries as the hub sent them, leaves byte for byte. csv and parquet: one flat row per entry, with
what its leaf or head says and the content as JSON text. In parquet the index is an integer, the time a
timestamp, and each page a row group. Every format raises DefectError for an invalid entry.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import Any, BinaryIO, Final

from kopuro_client.errors import DefectError, InvalidArgumentError
from kopuro_client.records import ExportedEntry
from kopuro_client.spreadsheet import spreadsheet

COLUMNS: Final = (
    "index",
    "time",
    "type",
    "hub",
    "actor",
    "referral_id",
    "message_id",
    "organization",
    "commitment",
    "salt",
    "data",
)


Write = Callable[[Sequence[ExportedEntry]], object]


@contextmanager
def ndjson(file: BinaryIO) -> Iterator[Write]:
    """Newline-delimited JSON, one entry a line."""

    def write(entries: Sequence[ExportedEntry]) -> None:
        file.writelines(map(_line, entries))

    yield write


@contextmanager
def flat_csv(file: BinaryIO) -> Iterator[Write]:
    """CSV with a header row, encoded as in `kopuro_client.spreadsheet`."""

    def write(entries: Sequence[ExportedEntry]) -> None:
        rows = (_row(entry) for entry in entries)
        file.write(spreadsheet([row[name] for name in COLUMNS] for row in rows).encode())

    file.write(spreadsheet([COLUMNS]).encode())
    yield write


@contextmanager
def flat_parquet(file: BinaryIO) -> Iterator[Write]:
    """Apache Parquet, compressed with zstd. Raises InvalidArgumentError if pyarrow is missing."""
    arrow, parquet = _pyarrow()
    kinds = {"index": arrow.int64(), "time": arrow.timestamp("us", tz="UTC")}
    schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in COLUMNS])

    def write(entries: Sequence[ExportedEntry]) -> None:
        rows = [{**row, "time": _moment(row["time"])} for row in map(_row, entries)]
        writer.write_table(arrow.Table.from_pylist(rows, schema=schema), row_group_size=max(len(rows), 1))

    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        yield write


WRITERS: Final[Mapping[str, Callable[[BinaryIO], AbstractContextManager[Write]]]] = {
    "ndjson": ndjson,
    "csv": flat_csv,
    "parquet": flat_parquet,
}


def require(form: str) -> None:
    """Raises InvalidArgumentError, naming the missing package, if the format cannot be written."""
    if form == "parquet":
        _pyarrow()


def _pyarrow() -> tuple[Any, Any]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise InvalidArgumentError("parquet needs pyarrow: pip install 'kopuro-client[parquet]'") from None


@contextmanager
def _as_contracted() -> Iterator[None]:
    try:
        yield
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise DefectError("an entry of the hub's export violates its contract") from error


@_as_contracted()
def _line(entry: ExportedEntry) -> bytes:
    _row(entry)  # validates the entry
    return json.dumps(entry, ensure_ascii=False).encode() + b"\n"


@_as_contracted()
def _row(entry: ExportedEntry) -> dict[str, Any]:
    """Return the entry's values by column: the index, and text or None. Raises DefectError."""
    said, index, data = _said(entry), entry["index"], entry["data"]
    if type(index) is not int or not 0 <= index < 2**63:
        raise ValueError("invalid index")
    opened = {
        "salt": entry["salt"],
        "data": None if data is None else json.dumps(data, ensure_ascii=False, sort_keys=True),
    }
    texts = {name: opened.get(name, said.get(name)) for name in COLUMNS if name != "index"}
    for text in texts.values():
        if text is not None:
            text.encode()  # raises for a lone surrogate, which UTF-8 cannot encode
    _moment(said["time"])
    return {"index": index, **texts}


def _said(entry: ExportedEntry) -> Mapping[str, Any]:
    """Return what the entry says: the leaf's members, or of format 3 those of its head."""
    leaf: dict[str, Any] = json.loads(entry["leaf"])
    if "format" not in leaf:
        return leaf
    head = entry["head"]
    if head is None:
        raise ValueError("no head")
    return {**head["value"], "commitment": leaf["data"]}


def _moment(text: str) -> dt.datetime:
    """Return the time in UTC. Raises ValueError, TypeError or OverflowError if it is not RFC 3339."""
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no offset")
    return moment.astimezone(dt.UTC)
