"""What an export's files are written as: page by page, so that no file is ever held in memory.

ndjson: the entries as the hub gave them, leaves byte for byte. csv and parquet: flat, the leaf's fields and
the content as JSON text; in parquet the index is an integer, the time a timestamp, and a page a row group.
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
        file.writelines(json.dumps(entry, ensure_ascii=False).encode() + b"\n" for entry in entries)

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


def _row(entry: ExportedEntry) -> dict[str, Any]:
    try:
        leaf = json.loads(entry["leaf"])
        data = entry["data"]
        opened = {
            "index": entry["index"],
            "salt": entry["salt"],
            "data": None if data is None else json.dumps(data, ensure_ascii=False, sort_keys=True),
        }
        return {name: opened.get(name, leaf.get(name)) for name in COLUMNS}
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise DefectError("an entry of the hub's export is not what its contract says") from error


def _moment(text: object) -> dt.datetime:
    try:
        moment = dt.datetime.fromisoformat(str(text))
        if moment.tzinfo is None:
            raise ValueError("no offset")
        return moment.astimezone(dt.UTC)
    except (ValueError, OverflowError) as error:
        raise DefectError("an entry of the hub's export has no time") from error
