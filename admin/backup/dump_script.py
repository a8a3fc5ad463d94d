"""The statements that pg_restore writes for a dump, run in a transaction of the caller.

pg_restore writes SQL for psql: statements that end with a semicolon at the end of a line, the rows of each
table behind its `COPY ... FROM stdin;` up to a line `\\.`, comments, and psql's own `\\restrict`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Final

from sqlalchemy import Connection

_END_OF_ROWS: Final = b"\\.\n"
_COPY, _FROM_STDIN = b"COPY ", b"FROM stdin;"


def run_dump_script(connection: Connection, script: IO[bytes]) -> None:
    """Run the statements in the connection's transaction. Raises the driver's errors."""
    cursor = connection.connection.cursor()
    try:
        for statement in _statements(script):
            if statement.startswith(_COPY) and statement.endswith(_FROM_STDIN):
                cursor.copy_expert(statement.decode(), _Rows(script))
            else:
                cursor.execute(statement)
    finally:
        cursor.close()


def _statements(script: IO[bytes]) -> Iterator[bytes]:
    """Yield each statement. The rows behind a COPY are to be read before the next one."""
    lines: list[bytes] = []
    for line in iter(script.readline, b""):
        is_between = not lines and (not line.strip() or line.startswith((b"--", b"\\")))
        if is_between:
            continue
        lines.append(line)
        if line.rstrip().endswith(b";"):
            yield b"".join(lines).strip()
            lines = []


class _Rows:
    """The rows of one table, as a file for the driver."""

    def __init__(self, script: IO[bytes]) -> None:
        self._script = script
        self._left = b""
        self._has_ended = False

    def read(self, size: int = 8192) -> bytes:
        """Return at most `size` bytes; none at the end of the rows."""
        if not self._left and not self._has_ended:
            line = self._script.readline()
            self._has_ended = line in (_END_OF_ROWS, b"")
            self._left = b"" if self._has_ended else line
        part, self._left = self._left[:size], self._left[size:]
        return part
