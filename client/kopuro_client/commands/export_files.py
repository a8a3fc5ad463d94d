"""An export on disk: files of bounded size, and a manifest of their hashes from which it can resume.

    manifest.json  {"format": "kopuro-export/1", "asked": {...}, "size": int, "checkpoint": signed note,
                    "files": [{"name", "sha256", "bytes", "entries", "first_index", "last_index"}],
                    "next": cursor | null, "complete": bool}

A file is part of the export once the manifest lists it. The file is written durably first, then the
manifest; after a crash the export resumes with the unlisted file. The first manifest lists no files and is
written before the first file.
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
    """The export in a directory, new or resumed.

    Raises InvalidArgumentError if the directory cannot be read or written, or if it contains a damaged
    export, an export with other parameters or other files.
    """

    def __init__(self, directory: Path, asked: Mapping[str, str]) -> None:
        """asked: the export's filters and format. A resumed export must have the same."""
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
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = list(directory.iterdir())
            if not os.access(
                directory, os.W_OK | os.X_OK
            ):  # before the first request, because the hub records it
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            if any(file.name == MANIFEST for file in found):
                self._resume(asked)
            elif not all(_is_left_over(file) for file in found):
                raise InvalidArgumentError(f"{directory} is not empty and contains no export")
            for file in filter(_is_left_over, found):
                file.unlink(missing_ok=True)  # temporary file of a run that was killed
        except FileExistsError as error:
            raise InvalidArgumentError(f"{directory} is not a directory") from error
        except OSError as error:
            raise InvalidArgumentError(f"cannot use {directory}: {error.strerror}") from error

    @property
    def is_complete(self) -> bool:
        return bool(self.manifest["complete"])

    @property
    def next(self) -> str | None:
        """The cursor to resume after; None at the beginning."""
        cursor: str | None = self.manifest["next"]
        return cursor

    @property
    def entries(self) -> int:
        return sum(file["entries"] for file in self.manifest["files"])

    def add(self, pages: Iterable[ExportPage]) -> None:
        """Write these pages as one more file. Writes each page before requesting the next.

        Raises InvalidArgumentError if the pages come from another log than the export.
        """
        coming = iter(pages)
        first = next(coming)
        if self.next is None:
            # The whole export comes from the first page's tree.
            self.manifest |= {"size": first["size"], "checkpoint": first["checkpoint"]}
            self._keep_manifest()
        elif _log_of(first) != _log_of(self.manifest):
            raise InvalidArgumentError(f"{self._directory} contains an export of another log")
        following = first["next"]
        if first["entries"]:
            following = self._write(chain([first], coming))
        self.manifest |= {"next": following, "complete": following is None}
        self._keep_manifest()

    def _keep_manifest(self) -> None:
        text = json.dumps(self.manifest, ensure_ascii=False, indent=2) + "\n"
        write_durably(self._directory / MANIFEST, text.encode())

    def _write(self, pages: Iterable[ExportPage]) -> str | None:
        """Write the next file and return the cursor after its last entry."""
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
            raise InvalidArgumentError(f"cannot read the export in {self._directory}") from error
        if not of_this:
            raise InvalidArgumentError(f"{self._directory} contains an export with other options")
        for file, was, is_ in zip(files, promised, measured, strict=True):
            if was != is_:
                raise InvalidArgumentError(f"{file} has changed since it was exported")
        self.manifest = found


def _check_kinds(manifest: Mapping[str, Any]) -> None:
    """Raises KeyError or TypeError for a manifest from which an export cannot resume."""
    kinds = [(manifest[name], kind) for name, kind in _KINDS.items()]
    kinds += [(file["entries"], int) for file in manifest["files"]]
    if not all(isinstance(value, kind) for value, kind in kinds):
        raise TypeError("a value has another type")


def _log_of(source: Mapping[str, Any] | ExportPage) -> tuple[str, int]:
    """Return the log's origin, which is the checkpoint's first line, and the size of the exported tree."""
    return source["checkpoint"].partition("\n")[0], source["size"]


def _measured(file: Path) -> tuple[str, int]:
    """Return the file's SHA-256 in hex and its size in bytes."""
    with file.open("rb") as opened:
        return file_digest(opened, "sha256").hexdigest(), file.stat().st_size


def _is_left_over(file: Path) -> bool:
    return file.name.startswith(INCOMING)
