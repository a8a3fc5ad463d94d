"""What an export's files are written as: page by page, so that no file is ever held in memory.

ndjson: the entries as the hub gave them, leaves byte for byte. csv and parquet: flat, the leaf's fields and
the content as JSON text; in parquet the index is an integer, the time a timestamp, and a page a row group.
What is no entry is refused alike in each of them, with DefectError.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import Any, BinaryIO, Final

from kopuro_client.errors import DefectError, InvalidArgumentError
from kopuro_client.records import ExportedEntry

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
    """One entry a line."""

    def write(entries: Sequence[ExportedEntry]) -> None:
        file.writelines(map(_line, entries))

    yield write


@contextmanager
def flat_csv(file: BinaryIO) -> Iterator[Write]:
    """RFC 4180, with the columns' names."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    try:
        rows = csv.DictWriter(text, COLUMNS)
        rows.writeheader()
        yield lambda entries: rows.writerows(map(_row, entries))
    finally:
        text.detach()  # or the file beneath would be closed with it


@contextmanager
def flat_parquet(file: BinaryIO) -> Iterator[Write]:
    """Apache Parquet, compressed with zstd. Raises InvalidArgumentError where pyarrow is missing."""
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
    """Raises InvalidArgumentError, which says what to install, where that form cannot be written."""
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
        raise DefectError("an entry of the hub's export is not what its contract says") from error


@_as_contracted()
def _line(entry: ExportedEntry) -> bytes:
    _row(entry)  # for what it raises
    return json.dumps(entry, ensure_ascii=False).encode() + b"\n"


@_as_contracted()
def _row(entry: ExportedEntry) -> dict[str, Any]:
    """By column: the index, and texts or None. Raises DefectError."""
    leaf, index, data = json.loads(entry["leaf"]), entry["index"], entry["data"]
    if type(index) is not int or not 0 <= index < 2**63:
        raise ValueError("no index")
    opened = {
        "salt": entry["salt"],
        "data": None if data is None else json.dumps(data, ensure_ascii=False, sort_keys=True),
    }
    texts = {name: opened.get(name, leaf.get(name)) for name in COLUMNS if name != "index"}
    for text in texts.values():
        if text is not None:
            text.encode()  # half of a surrogate pair has no UTF-8
    _moment(texts["time"])
    return {"index": index, **texts}


def _moment(text: str) -> dt.datetime:
    """Raises ValueError, TypeError, OverflowError for what is no RFC 3339 time."""
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no offset")
    return moment.astimezone(dt.UTC)
