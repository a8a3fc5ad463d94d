"""A witness's record: the last checkpoint that it cosigned of each log, in one file per log.

A file contains the signed note with the signatures of the log and of the witness. The witness serves it to
everybody, and verifies it when it reads the file again. A witness with a damaged record must not start from
scratch, because it could then sign a fork; it refuses until its operator intervenes.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from kopuro_client.errors import InvalidArgumentError
from kopuro_client.tlog.durable_file import write_durably


class WitnessRecord:
    """Cosigned notes by origin, in one directory. Threads and processes may share it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def held(self, origin: str) -> Iterator[None]:
        """Hold the exclusive lock of that log's record. Raises InvalidArgumentError."""
        file = self._directory / f"{name_of(origin)}.lock"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            # The lock ends with the descriptor, however the process ends. Each holder opens its own
            # descriptor, because threads would share the lock of a common one.
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise InvalidArgumentError(f"cannot write {file}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def read(self, origin_hash: str) -> bytes | None:
        """Return a log's note; None if nothing was cosigned. origin_hash: `name_of` the origin."""
        file = self._file(origin_hash)
        try:
            return file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InvalidArgumentError(f"cannot read {file}: {error.strerror}") from error

    def replace(self, origin: str, note: bytes) -> None:
        """Replace the log's note. The new note is durable when this returns."""
        write_durably(self._file(name_of(origin)), note)

    def keep_fork(self, origin: str, notes: bytes) -> None:
        """Keep the evidence of the first fork detected. Later ones are ignored."""
        file = self._directory / f"{name_of(origin)}.fork"
        if not file.exists():
            write_durably(file, notes)

    def _file(self, origin_hash: str) -> Path:
        return self._directory / f"{origin_hash}.checkpoint"


def name_of(origin: str) -> str:
    """Return the origin's SHA-256 in hex, which names a log in the specification's URLs."""
    return sha256(origin.encode()).hexdigest()
