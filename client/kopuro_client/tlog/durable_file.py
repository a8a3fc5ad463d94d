"""A file that is replaced as a whole, and is there after a crash."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from kopuro_client.errors import InvalidArgumentError


def write_durably(file: Path, content: bytes) -> None:
    """Put the content in the place of the file, which only its owner may read.

    Whoever reads sees the old content or the new, whole; so does whoever comes after a process that was
    killed here. Once this has returned, the new one is what survives a loss of power. Raises
    InvalidArgumentError where the file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, incoming = tempfile.mkstemp(dir=file.parent, prefix=".incoming-")
        try:
            with os.fdopen(descriptor, "wb") as written:
                written.write(content)
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
