"""What a witness remembers: for each log the last checkpoint that it cosigned, one file each.

A file holds the signed note, with the log's signature and the witness's own: what the witness serves to
whoever wants to know what it saw, and what it checks when it reads the file again. A witness that finds it
damaged must not begin anew, for then it would sign a fork; it refuses until a person has looked.
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
    """Notes by origin, below one directory. Threads and processes may share it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def held(self, origin: str) -> Iterator[None]:
        """While this is held, nobody else holds the record of that log: what is read there stays true."""
        file = self._directory / f"{name_of(origin)}.lock"
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            # The lock goes with the descriptor, however the process ends. A descriptor for each holder:
            # threads would share the lock of one.
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise InvalidArgumentError(f"{file} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def read(self, origin_hash: str) -> bytes | None:
        """The note; None where nothing was cosigned. origin_hash: `name_of` the origin."""
        file = self._file(origin_hash)
        try:
            return file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InvalidArgumentError(f"{file} cannot be read: {error.strerror}") from error

    def replace(self, origin: str, note: bytes) -> None:
        """Put this note in the place of the last one; durable when it returns."""
        write_durably(self._file(name_of(origin)), note)

    def keep_fork(self, origin: str, notes: bytes) -> None:
        """Keep the evidence of a fork, the first that was met."""
        file = self._directory / f"{name_of(origin)}.fork"
        if not file.exists():
            write_durably(file, notes)

    def _file(self, origin_hash: str) -> Path:
        return self._directory / f"{origin_hash}.checkpoint"


def name_of(origin: str) -> str:
    """The origin's SHA-256 in hex: how the specification names a log in an address."""
    return sha256(origin.encode()).hexdigest()
