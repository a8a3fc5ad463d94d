"""New files for data about persons and for keys, which only their owner may read."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kopuro_client.commands.output import Output
from kopuro_client.errors import InvalidArgumentError
from kopuro_client.tlog.durable_file import sync_names


def write_new(file: Path, content: bytes) -> None:
    """Create a file with this content. Raises as `new_file`."""
    with new_file(file) as write:
        write(content)


def write_secret(file: Path, secret: bytes, *, public: str) -> None:
    """Create a file with a new secret, and print its public counterpart.

    If that cannot be printed, the file is removed: the secret would be of no use. Raises as `new_file`, and
    OutputError.
    """
    with new_file(file) as write:
        write(secret)
        Output(as_json=False).text(public)
        sys.stdout.flush()


@contextmanager
def new_file(file: Path) -> Iterator[Callable[[bytes], None]]:
    """Create a file that only its owner may read, and yield a function that writes its content durably.

    The file is created before the block is entered, so that a command knows that it can write before it
    sends the hub a request. If the block raises, the file is removed. Raises InvalidArgumentError if the
    file exists or cannot be written; never overwrites a file and follows no symbolic link.
    """
    try:
        # The mode is set on creation, so that there is no moment at which others may read the file.
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
                    sync_names(file.parent)
                except OSError as error:
                    raise _unwritable(file, error) from error

            yield write
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def _unwritable(file: Path, error: OSError) -> InvalidArgumentError:
    return InvalidArgumentError(f"cannot write {file}: {error.strerror}")
