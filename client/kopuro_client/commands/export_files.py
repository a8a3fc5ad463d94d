"""An export on disk: files of bounded size, and a manifest with their hashes by which it can go on.

    manifest.json  {"format": "kopuro-export/1", "asked": {...}, "size": int, "checkpoint": signed note,
                    "files": [{"name", "sha256", "bytes", "entries", "first_index", "last_index"}],
                    "next": cursor | null, "complete": bool}

A file counts once the manifest names it, and both are written durably in that order: after a crash the
export goes on with the file that was being written. The first manifest names none, and is there before
the first file.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Mapping
from hashlib import file_digest
from itertools import chain
from pathlib import Path
from typing import Any, Final

from kopuro_client.commands.export_formats import WRITERS
from kopuro_client.errors import InvalidArgumentError
from kopuro_client.records import ExportPage
from kopuro_client.tlog.durable_file import INCOMING, durably, write_durably

FORMAT: Final = "kopuro-export/1"
MANIFEST: Final = "manifest.json"

_KINDS: Final[Mapping[str, Any]] = {"size": int, "checkpoint": str, "next": str | None, "complete": bool}


class ExportDirectory:
    """The export in a directory.

    Raises InvalidArgumentError for a directory that holds something else, a damaged export, or that cannot be
    read or written.
    """

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
        try:
            directory.mkdir(parents=True, exist_ok=True)
            found = list(directory.iterdir())
            if not os.access(
                directory, os.W_OK | os.X_OK
            ):  # before anything is asked, for asking is on record
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            if any(file.name == MANIFEST for file in found):
                self._resume(asked)
            elif not all(_is_left_over(file) for file in found):
                raise InvalidArgumentError(f"{directory} is not empty, and holds no export")
            for file in filter(_is_left_over, found):
                file.unlink(missing_ok=True)  # of a run that was killed
        except FileExistsError as error:
            raise InvalidArgumentError(f"{directory} is not a directory") from error
        except OSError as error:
            raise InvalidArgumentError(f"{directory} cannot be used: {error.strerror}") from error

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

    def add(self, pages: Iterable[ExportPage]) -> None:
        """One file more, of these pages. Each is written before the next is asked for.

        Raises InvalidArgumentError where they are not of the log that the export is of.
        """
        coming = iter(pages)
        first = next(coming)
        if self.next is None:
            # Everything lies in the tree of the first page.
            self.manifest |= {"size": first["size"], "checkpoint": first["checkpoint"]}
            self._keep_manifest()
        elif _log_of(first) != _log_of(self.manifest):
            raise InvalidArgumentError(f"{self._directory} holds an export of another log")
        following = first["next"]
        if first["entries"]:
            following = self._write(chain([first], coming))
        self.manifest |= {"next": following, "complete": following is None}
        self._keep_manifest()

    def _keep_manifest(self) -> None:
        text = json.dumps(self.manifest, ensure_ascii=False, indent=2) + "\n"
        write_durably(self._directory / MANIFEST, text.encode())

    def _write(self, pages: Iterable[ExportPage]) -> str | None:
        """The cursor after the file's last entry."""
        form = self.manifest["asked"]["format"]
        path = self._directory / f"entries-{len(self.manifest['files']) + 1:06}.{form}"
        entries, ends, following = 0, [], None
        with durably(path) as file, WRITERS[form](file) as write:
            for page in pages:
                write(page["entries"])
                entries += len(page["entries"])
                ends += [entry["index"] for entry in (*page["entries"][:1], *page["entries"][-1:])]
                following = page["next"]
        digest, size = _measured(path)
        self.manifest["files"].append(
            {
                "name": path.name,
                "sha256": digest,
                "bytes": size,
                "entries": entries,
                "first_index": ends[0],
                "last_index": ends[-1],
            }
        )
        return following

    def _resume(self, asked: Mapping[str, str]) -> None:
        try:
            found = json.loads((self._directory / MANIFEST).read_bytes())
            _check_kinds(found)
            of_this = found["format"] == FORMAT and found["asked"] == dict(asked)
            files = [self._directory / Path(file["name"]).name for file in found["files"]]
            promised = [(file["sha256"], file["bytes"]) for file in found["files"]]
            measured = [_measured(file) for file in files] if of_this else []
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidArgumentError(f"the export in {self._directory} cannot be read") from error
        if not of_this:
            raise InvalidArgumentError(f"{self._directory} holds another export")
        for file, was, is_ in zip(files, promised, measured, strict=True):
            if was != is_:
                raise InvalidArgumentError(f"{file} is not what was exported")
        self.manifest = found


def _check_kinds(manifest: Mapping[str, Any]) -> None:
    """Raises KeyError, TypeError for a manifest that an export cannot go on with."""
    kinds = [(manifest[name], kind) for name, kind in _KINDS.items()]
    kinds += [(file["entries"], int) for file in manifest["files"]]
    if not all(isinstance(value, kind) for value, kind in kinds):
        raise TypeError("a value is of another kind")


def _log_of(told: Mapping[str, Any] | ExportPage) -> tuple[str, int]:
    """The log's origin, which is a checkpoint's first line, and the size at which it is exported."""
    return told["checkpoint"].partition("\n")[0], told["size"]


def _measured(file: Path) -> tuple[str, int]:
    """SHA-256 in hex, and the bytes."""
    with file.open("rb") as opened:
        return file_digest(opened, "sha256").hexdigest(), file.stat().st_size


def _is_left_over(file: Path) -> bool:
    return file.name.startswith(INCOMING)
