"""The command's standard streams: a stream that is closed or cannot be written ends in one plain error."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, Final, TextIO, cast

from kopuro_client.errors import ClientError


class OutputError(ClientError):
    """stdout cannot be written: it is closed, its reader has gone, or its device is full."""


class _Stdout:
    """sys.stdout, raising OutputError where that raises OSError.

    An OSError of stdout would look like one of a file, and click ends a command without a word for some.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with _output_errors():
            return self._stream.write(text)

    def flush(self) -> None:
        with _output_errors():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Stderr:
    """sys.stderr, dropping what cannot be written: there is nowhere left to report it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Replaces sys.stdin, sys.stdout and sys.stderr while a command runs.

    A closed stdin reads as empty; a closed stderr takes everything; a closed stdout is for `require_stdout`.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    _fill_closed_descriptors()
    null = open(os.devnull, "r+", encoding="utf-8")  # noqa: SIM115 - closed below, after its last user
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")  # names are Cyrillic, whatever the locale says
    sys.stdin = sys.stdin or null
    if sys.stdout is not None:
        sys.stdout = cast(TextIO, _Stdout(sys.stdout))
    sys.stderr = cast(TextIO, _Stderr(sys.stderr or null))
    try:
        yield
        sys.stderr.flush()
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
        null.close()


def require_stdout() -> None:
    """Raises OutputError where stdout was closed before the command began: nothing has been done yet."""
    if sys.stdout is None:
        raise OutputError("stdout is closed; nothing was done")


def abandon_unwritable_streams() -> None:
    """Points descriptors that cannot be flushed at /dev/null.

    The interpreter flushes them once more when it ends, and would replace the exit status by 120.
    """
    for stream in filter(None, (sys.__stdout__, sys.__stderr__)):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)


@contextlib.contextmanager
def _output_errors() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError) and not str(error).endswith("closed file."):
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise OutputError(
            f"stdout cannot be written ({reason}); what the command asked of the hub may have taken effect"
        ) from error


_STANDARD_DESCRIPTORS: Final = (0, 1, 2)


def _fill_closed_descriptors() -> None:
    """Opens /dev/null where a standard descriptor is closed.

    Otherwise the next file or connection would get its number, and a child process would write there.
    """
    for number in _STANDARD_DESCRIPTORS:
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is given: this one, as those below it are open by now.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
