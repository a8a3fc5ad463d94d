"""The last checkpoint of each log that this machine has verified.

Each log has one file named after its origin, `{"format", "log_key", "checkpoint"}`. It is canonical JSON, so
that any changed byte is detected. Later checkpoints of the log must extend the remembered one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from kopuro_client.errors import InvalidArgumentError
from kopuro_client.tlog.checkpoint import Checkpoint, parse_checkpoint
from kopuro_client.tlog.durable_file import write_durably
from kopuro_client.tlog.errors import MalformedError
from kopuro_client.tlog.keys import VerifierKey
from kopuro_client.tlog.note import Signed, SignedNote

FORMAT: Final = "kopuro-remembered/1"


@dataclass(frozen=True, kw_only=True, slots=True)
class RememberedCheckpoint:
    """A remembered checkpoint. log_key: the key with which it was verified."""

    log_key: VerifierKey
    checkpoint: Checkpoint


class Memory:
    """A directory of remembered checkpoints. Processes may share it; files are replaced atomically."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @classmethod
    def at_home(cls, environment: Mapping[str, str]) -> Memory:
        """Return the memory in the user's state directory (XDG base directory specification)."""
        named = environment.get("XDG_STATE_HOME", "")
        state = Path(named) if os.path.isabs(named) else Path.home() / ".local" / "state"
        return cls(state / "kopuro" / "logs")

    def file(self, origin: str) -> Path:
        """Return the path of that log's file."""
        return self._directory / f"{sha256(origin.encode()).hexdigest()}.json"

    def recall(self, origin: str) -> RememberedCheckpoint | None:
        """Return a log's last checkpoint; None if the log was never verified here.

        Raises MalformedError for a damaged file, which must not be treated as missing, and
        InvalidArgumentError for an unreadable one.
        """
        file = self.file(origin)
        try:
            text = file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise InvalidArgumentError(f"cannot read the remembered checkpoint in {file}") from error
        try:
            document = json.loads(text)
            key = VerifierKey.parse(document["log_key"])
            checkpoint = parse_checkpoint(document["checkpoint"], [key])
            intact = text == _written(key, str(checkpoint.note)) and checkpoint.origin == origin
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            intact = False
        if not intact:
            raise MalformedError(f"the remembered checkpoint in {file} is damaged")
        return RememberedCheckpoint(log_key=key, checkpoint=checkpoint)

    def keep(self, checkpoint: Checkpoint, signed: Signed) -> None:
        """Store a verified checkpoint with the log's signature. Raises InvalidArgumentError."""
        note = SignedNote(text=checkpoint.note.text, lines=(signed.line,))
        write_durably(self.file(checkpoint.origin), _written(signed.key, str(note)).encode())


def _written(key: VerifierKey, note: str) -> str:
    document = {"checkpoint": note, "format": FORMAT, "log_key": str(key)}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"
