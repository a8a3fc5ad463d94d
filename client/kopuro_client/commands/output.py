"""A command's output: data on stdout, messages on stderr. Only a terminal gets colour."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TextIO

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from kopuro_client.commands.printable import json_text, one_line, printable

WIDE: Final = 10_000  # columns when stdout is not a terminal, so that nothing is wrapped or cut

# Terminal styles of the network's codes, in every table and line.
STYLES: Final[Mapping[str, str]] = {
    "accepted": "green",
    "completed": "bold green",
    "resolved": "bold green",
    "in_progress": "cyan",
    "offered": "yellow",
    "open": "yellow",
    "on_hold": "yellow",
    "split": "cyan",
    "emergency": "bold red",
    "urgent": "yellow",
    "unplaced": "bold magenta",
    "declined": "red",
    "expired": "red",
    "revoked": "dim",
    "withdrawn": "dim",
    "failed": "bold red",
    "refused": "bold red",
}


class Output:
    """A command's output. as_json: whether the command should print the API's JSON instead of text."""

    def __init__(self, *, as_json: bool, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        self.as_json = as_json
        self._stdout = sys.stdout if stdout is None else stdout
        self._stderr = sys.stderr if stderr is None else stderr
        self._terminal = self._stdout.isatty()
        # The output depends only on whether this is a terminal. Rich itself would also read FORCE_COLOR and
        # others.
        self._console = (
            Console(file=self._stdout, highlight=False)
            if self._terminal
            else Console(
                file=self._stdout, force_terminal=False, color_system=None, highlight=False, width=WIDE
            )
        )

    def document(self, value: object) -> None:
        """Print one JSON document."""
        self._write(json_text(value, indent=2))

    def json_line(self, value: object) -> None:
        """Print one of several JSON documents, one per line (NDJSON)."""
        self._write(json_text(value))

    def text(self, text: object) -> None:
        """Print text as it is, except for unsafe characters."""
        self._write(printable(text))

    def file(self, content: bytes) -> None:
        """Write a text file in UTF-8 byte by byte; on a terminal, print it like other text."""
        if self._terminal:
            self.text(content.decode(errors="replace").replace("\r\n", "\n").removesuffix("\n"))
            return
        self._stdout.flush()
        self._stdout.buffer.write(content)
        self._stdout.buffer.flush()

    def note(self, text: str) -> None:
        """Print a message to the user on stderr. It is not part of the data."""
        print(printable(text), file=self._stderr, flush=True)

    def heading(self, *words: object) -> None:
        self._render(Text(" ".join(one_line(word) for word in words), style="bold"))

    def fields(self, pairs: Iterable[tuple[str, object]]) -> None:
        """Print names and values, one pair per line, without the empty ones."""
        table = Table.grid(padding=(0, 2))
        for name, value in pairs:
            if printable(value):
                table.add_row(Text(name, style="dim"), self._cell(value))
        self._render(table)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print aligned columns under a heading, framed on a terminal. Cells are made safe to print.

        On a terminal that is too narrow for the frame, the columns are as close as in a pipe. If they do not
        fit then either, each row becomes a paragraph, so that nothing is cut.
        """
        kept = [tuple(row) for row in rows]
        for is_framed in (True, False) if self._terminal else (False,):
            table = Table(
                box=box.SIMPLE_HEAD if is_framed else None,
                show_edge=False,
                pad_edge=False,
                padding=(0, 1) if is_framed else (0, 2, 0, 0),
            )
            for column in columns:
                table.add_column(Text(column), no_wrap=True)
            for row in kept:
                table.add_row(*(self._cell(value) for value in row))
            needed = self._console.measure(table, options=self._console.options.update(width=WIDE)).maximum
            if needed <= self._console.width:
                self._render(table)
                return
        for number, row in enumerate(kept):
            if number:
                self.blank()
            self.fields(zip(columns, row, strict=True))

    def entry(self, time: str, fact: object, *rest: object) -> None:
        """Print one line of a timeline."""
        line = Text.assemble((time, "dim"), "  ", ("● ", "cyan") if self._terminal else "")
        name = one_line(fact)
        line.append(name.ljust(22), style=self._style(name.rsplit(".", 1)[-1]))
        for value in filter(None, map(one_line, rest)):
            line.append("  " + value)
        self._render(line)

    def blank(self) -> None:
        self._write("")

    def _cell(self, value: object) -> Text:
        text = one_line(value)
        return Text(text, style=self._style(text))

    def _style(self, word: str) -> str:
        return STYLES.get(word, "")

    def _render(self, what: RenderableType) -> None:
        if self._terminal:
            self._console.print(what)
            return
        with self._console.capture() as captured:
            self._console.print(what)
        # Rich pads cells to their column's width; the last cell's padding would be trailing spaces.
        self._write("\n".join(line.rstrip() for line in captured.get().splitlines()))

    def _write(self, text: str) -> None:
        # Flushed each time, so that the reader of a piped `watch` gets each line at once.
        print(text, file=self._stdout, flush=True)
