"""What this machine has verified before: the last checkpoint of each log.

One file a log, named after its origin, `{"format", "log_key", "checkpoint"}`: canonical JSON, so that a
changed byte shows. A log that was seen at some size can be neither shorter nor other afterwards.
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
    """log_key: the key that the checkpoint was verified with."""

    log_key: VerifierKey
    checkpoint: Checkpoint


class Memory:
    """A directory of remembered checkpoints. Two processes may use one: a file is replaced at once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @classmethod
    def at_home(cls, environment: Mapping[str, str]) -> Memory:
        """Where the XDG base directory specification puts a program's state."""
        named = environment.get("XDG_STATE_HOME", "")
        state = Path(named) if os.path.isabs(named) else Path.home() / ".local" / "state"
        return cls(state / "kopuro" / "logs")

    def file(self, origin: str) -> Path:
        """Where the checkpoint of that log is kept."""
        return self._directory / f"{sha256(origin.encode()).hexdigest()}.json"

    def recall(self, origin: str) -> RememberedCheckpoint | None:
        """None for a log that was never verified here.

        Raises MalformedError or UntrustedError for a file that is not as it was written: that is no
        reason to forget it.
        """
        file = self.file(origin)
        try:
            text = file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise InvalidArgumentError(f"the remembered checkpoint in {file} cannot be read") from error
        try:
            document = json.loads(text)
            key = VerifierKey.parse(document["log_key"])
            checkpoint = parse_checkpoint(document["checkpoint"], [key])
            intact = text == _written(key, str(checkpoint.note)) and checkpoint.origin == origin
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            intact = False
        if not intact:
            raise MalformedError(f"the remembered checkpoint in {file} is not as it was written")
        return RememberedCheckpoint(log_key=key, checkpoint=checkpoint)

    def keep(self, checkpoint: Checkpoint, signed: Signed) -> None:
        """Remember a checkpoint, verified, by the log's own signature. Raises InvalidArgumentError."""
        note = SignedNote(text=checkpoint.note.text, lines=(signed.line,))
        write_durably(self.file(checkpoint.origin), _written(signed.key, str(note)).encode())


def _written(key: VerifierKey, note: str) -> str:
    document = {"checkpoint": note, "format": FORMAT, "log_key": str(key)}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"
