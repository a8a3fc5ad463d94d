"""A file that a command makes of what concerns a person."""

from __future__ import annotations

import os
from pathlib import Path

from kopuro_client.errors import InvalidArgumentError


def write_new(file: Path, content: bytes) -> None:
    """A file of its owner's alone. Raises InvalidArgumentError where it cannot be, or is there already."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InvalidArgumentError(f"{file} cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
