"""The command's standard streams. A closed or unwritable stdout ends in one plain error."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, Final, TextIO, cast

from kopuro_client.errors import ClientError


class OutputError(ClientError):
    """stdout cannot be written: it is closed, its reader has exited, or its device is full."""


class _Stdout:
    """sys.stdout that raises OutputError instead of OSError.

    An OSError of stdout would look like a file's, and click ends the command silently for some of them.
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
    """sys.stderr that ignores write errors, since there is no place left to report them."""

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
    """Replace sys.stdin, sys.stdout and sys.stderr while a command runs.

    A closed stdin reads as empty, and a closed stderr discards its output. A closed stdout stays None;
    `require_stdout` refuses it.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    _fill_closed_descriptors()
    null = open(os.devnull, "r+", encoding="utf-8")  # noqa: SIM115 - closed below, after its last use
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")  # whatever the locale is, since names are Cyrillic
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
    """Raises OutputError if stdout is closed. Call before the command does anything."""
    if sys.stdout is None:
        raise OutputError("stdout is closed; the command did nothing")


def abandon_unwritable_streams() -> None:
    """Redirect stdout and stderr to /dev/null if they cannot be flushed.

    Otherwise the interpreter flushes them again when it exits and replaces the exit status with 120.
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
        raise OutputError(f"cannot write to stdout ({reason})") from error


_STANDARD_DESCRIPTORS: Final = (0, 1, 2)


def _fill_closed_descriptors() -> None:
    """Open /dev/null for each standard descriptor that is closed.

    Otherwise the next file or connection would get its number, and a child process would write to it.
    """
    for number in _STANDARD_DESCRIPTORS:
        try:
            os.fstat(number)
        except OSError:
            # The system assigns the lowest free number, which is this one: those below it are open.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
