"""Atomic and durable replacement of a file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from kopuro_client.errors import InvalidArgumentError

# Prefix of the temporary files, which a killed process may leave behind.
INCOMING: Final = ".incoming-"


def write_durably(file: Path, content: bytes) -> None:
    """Replace a file's content durably. Raises as `durably`."""
    with durably(file) as written:
        written.write(content)


@contextmanager
def durably(file: Path) -> Iterator[BinaryIO]:
    """Replace the file by what the block writes. Only its owner may access it, or its directory if it is new.

    Readers see either the whole old or the whole new content, even if the process is killed. When the block
    has been left, the new content survives a loss of power. If the block raises, the file stays unchanged.
    Raises InvalidArgumentError if the file cannot be written.
    """
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, incoming = tempfile.mkstemp(dir=file.parent, prefix=INCOMING)
        try:
            with os.fdopen(descriptor, "wb") as written:
                yield written
                written.flush()
                os.fsync(written.fileno())
            os.replace(incoming, file)
        except BaseException:
            Path(incoming).unlink(missing_ok=True)
            raise
        sync_names(file.parent)
    except OSError as error:
        raise InvalidArgumentError(f"cannot write {file}: {error.strerror}") from error


def sync_names(directory: Path) -> None:
    """Return when files created or renamed in the directory survive a loss of power. Raises OSError."""
    if os.name != "posix":  # other systems cannot open a directory
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
