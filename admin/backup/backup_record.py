"""`backup.json`: what a backup contains, and the digests by which a restore recognises damage."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kopuro_client.errors import InvalidArgumentError

RECORD: Final = "backup.json"
DATABASES: Final = "databases"
LOG: Final = "log"
_FORMAT: Final = 1
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupRecord:
    """One backup.

    revisions: of each database's schema. log_size: entries that the copy of audit's database has at least.
    newest_vault_key: when the vault's newest transit key was made, in microseconds of Unix time; None if
    there is none. files: SHA-256 by path.
    """

    hub: str
    at: dt.datetime
    revisions: Mapping[str, str | None]
    log_size: int
    newest_vault_key: int | None
    files: Mapping[str, str]

    def text(self) -> str:
        """Return the file's content."""
        document = {
            "format": _FORMAT,
            "hub": self.hub,
            "at": self.at.isoformat(),
            "revisions": dict(self.revisions),
            "log_size": self.log_size,
            "newest_vault_key": self.newest_vault_key,
            "files": dict(self.files),
        }
        return json.dumps(document, indent=1) + "\n"


def digests(directory: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below the directory except the record, by relative path."""
    found = {}
    for file in sorted(path for path in directory.rglob("*") if path.is_file()):
        name = file.relative_to(directory).as_posix()
        if name != RECORD:
            found[name] = _digest(file)
    return found


def read_record(directory: Path) -> BackupRecord:
    """Return the record of a backup whose files are all unchanged. Raises InvalidArgumentError."""
    try:
        document: dict[str, Any] = json.loads((directory / RECORD).read_text(encoding="utf-8"))
        if document["format"] != _FORMAT:
            raise InvalidArgumentError(f"{directory} was written in a format that this build does not know")
        record = BackupRecord(
            hub=document["hub"],
            at=dt.datetime.fromisoformat(document["at"]),
            revisions=document["revisions"],
            log_size=document["log_size"],
            newest_vault_key=document["newest_vault_key"],
            files=document["files"],
        )
    except (OSError, ValueError, LookupError, TypeError):
        raise InvalidArgumentError(f"{directory} contains no complete backup") from None
    present = digests(directory)
    changed = sorted(
        name for name in {*present, *record.files} if present.get(name) != record.files.get(name)
    )
    if changed:
        raise InvalidArgumentError(f"the backup in {directory} is damaged: {', '.join(changed[:5])}")
    return record


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
