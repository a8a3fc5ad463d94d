"""An export on disk: files of bounded size, and a manifest with their hashes by which it can go on.

    manifest.json  {"format": "kopuro-export/1", "asked": {...}, "size": int, "checkpoint": signed note,
                    "files": [{"name", "sha256", "bytes", "entries", "first_index", "last_index"}],
                    "next": cursor | null, "complete": bool}

A file counts once the manifest names it, and both are written durably in that order: after a crash the
export goes on with the file that was being written.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from kopuro_client.errors import InvalidArgumentError
from kopuro_client.records import ExportedEntry
from kopuro_client.tlog.durable_file import write_durably

FORMAT: Final = "kopuro-export/1"
MANIFEST: Final = "manifest.json"
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


class Export:
    """The export in a directory. Raises InvalidArgumentError for one that is something else, or damaged."""

    def __init__(self, directory: Path, asked: Mapping[str, str]) -> None:
        """asked: what is exported, and as what; it must be what an earlier run asked for."""
        self._directory = directory
        self.manifest: dict[str, Any] = {
            "format": FORMAT,
            "asked": dict(asked),
            "size": None,
            "checkpoint": None,
            "files": [],
            "next": None,
            "complete": False,
        }
        if (directory / MANIFEST).exists():
            self._resume(asked)
        elif directory.exists() and any(directory.iterdir()):
            raise InvalidArgumentError(f"{directory} is not empty, and holds no export")

    @property
    def is_complete(self) -> bool:
        return bool(self.manifest["complete"])

    @property
    def next(self) -> str | None:
        """The cursor to go on after; None at the beginning."""
        cursor: str | None = self.manifest["next"]
        return cursor

    @property
    def entries(self) -> int:
        return sum(file["entries"] for file in self.manifest["files"])

    def begin(self, size: int, checkpoint: str) -> None:
        """The tree everything lies in, of the first page."""
        if self.manifest["checkpoint"] is None:
            self.manifest |= {"size": size, "checkpoint": checkpoint}

    def add(self, entries: Sequence[ExportedEntry], following: str | None) -> None:
        """One file more. following: the cursor after it, None after the last."""
        if entries:
            form = self.manifest["asked"]["format"]
            content = WRITERS[form](entries)
            name = f"entries-{len(self.manifest['files']) + 1:06}.{form}"
            write_durably(self._directory / name, content)
            self.manifest["files"].append(
                {
                    "name": name,
                    "sha256": sha256(content).hexdigest(),
                    "bytes": len(content),
                    "entries": len(entries),
                    "first_index": entries[0]["index"],
                    "last_index": entries[-1]["index"],
                }
            )
        self.manifest |= {"next": following, "complete": following is None}
        text = json.dumps(self.manifest, ensure_ascii=False, indent=2) + "\n"
        write_durably(self._directory / MANIFEST, text.encode())

    def _resume(self, asked: Mapping[str, str]) -> None:
        try:
            found = json.loads((self._directory / MANIFEST).read_bytes())
            if found["format"] != FORMAT or found["asked"] != dict(asked):
                raise InvalidArgumentError(f"{self._directory} holds another export")
            for file in found["files"]:
                path = self._directory / Path(file["name"]).name
                if sha256(path.read_bytes()).hexdigest() != file["sha256"]:
                    raise InvalidArgumentError(f"{path} is not what was exported")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidArgumentError(f"the export in {self._directory} cannot be read") from error
        self.manifest = found


def _ndjson(entries: Sequence[ExportedEntry]) -> bytes:
    return b"".join(json.dumps(entry, ensure_ascii=False).encode() + b"\n" for entry in entries)


def _csv(entries: Sequence[ExportedEntry]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(map(_row, entries))
    return text.getvalue().encode()


def _parquet(entries: Sequence[ExportedEntry]) -> bytes:
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise InvalidArgumentError("parquet needs pyarrow: pip install 'kopuro-client[parquet]'") from None
    rows = [_row(entry) for entry in entries]
    types = {name: arrow.int64() if name == "index" else arrow.string() for name in COLUMNS}
    table = arrow.table({name: arrow.array([row[name] for row in rows], types[name]) for name in COLUMNS})
    sink = io.BytesIO()
    parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _row(entry: ExportedEntry) -> dict[str, Any]:
    """Flat: the leaf's fields, and the content as JSON text."""
    leaf = json.loads(entry["leaf"])
    data = None if entry["data"] is None else json.dumps(entry["data"], ensure_ascii=False, sort_keys=True)
    opened = {"index": entry["index"], "salt": entry["salt"], "data": data}
    return {name: opened.get(name, leaf.get(name)) for name in COLUMNS}


WRITERS: Final[Mapping[str, Callable[[Sequence[ExportedEntry]], bytes]]] = {
    "ndjson": _ndjson,
    "csv": _csv,
    "parquet": _parquet,
}
