"""A file that a command makes of what concerns a person."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kopuro_client.errors import InvalidArgumentError


def write_new(file: Path, content: bytes) -> None:
    """As `new_file`, for a content that is there already."""
    with new_file(file) as write:
        write(content)


@contextmanager
def new_file(file: Path) -> Iterator[Callable[[bytes], None]]:
    """Makes a file that only its owner may read, and yields what writes its content.

    The file is made before the block is entered, so that a command can find out that it may write before it
    asks the hub for anything. Where the block raises, the file is removed again. Raises
    InvalidArgumentError where the file cannot be written, or exists: nothing is overwritten, and no symbolic
    link is followed.
    """
    try:
        # Nobody else may read it, not even between making the file and closing it to them.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise _unwritable(file, error) from error
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as opened:

            def write(content: bytes) -> None:
                left = memoryview(content)
                try:
                    while left:
                        left = left[opened.write(left) :]
                    os.fsync(descriptor)
                except OSError as error:
                    raise _unwritable(file, error) from error

            yield write
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def _unwritable(file: Path, error: OSError) -> InvalidArgumentError:
    return InvalidArgumentError(f"{file} cannot be written: {error.strerror}")
