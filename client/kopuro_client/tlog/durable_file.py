"""A file that is replaced as a whole, and is there after a crash."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from kopuro_client.errors import InvalidArgumentError

# What a process that was killed leaves beside the file.
INCOMING: Final = ".incoming-"


def write_durably(file: Path, content: bytes) -> None:
    """As `durably`, for a content that is there already."""
    with durably(file) as written:
        written.write(content)


@contextmanager
def durably(file: Path) -> Iterator[BinaryIO]:
    """What is written in the block takes the place of the file, which only its owner may read.

    Whoever reads sees the old content or the new, whole; so does whoever comes after a process that was
    killed here. Once the block is left, the new one is what survives a loss of power; when it raises, the
    file is as it was. Raises InvalidArgumentError where the file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
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
        if os.name == "posix":  # elsewhere a folder cannot be opened
            folder = os.open(file.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        raise InvalidArgumentError(f"{file} cannot be written: {error.strerror}") from error
