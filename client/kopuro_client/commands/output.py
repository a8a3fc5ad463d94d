"""Where a command's words go: data to stdout, the rest to stderr.

There is colour on a terminal only.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TextIO

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from kopuro_client.commands.printable import json_text, one_line, printable

WIDE: Final = 10_000  # columns of a pipe: nothing is wrapped or cut there

# How a word of the network's own looks on a terminal, wherever it stands.
STYLES: Final[Mapping[str, str]] = {
    "accepted": "green",
    "completed": "bold green",
    "resolved": "bold green",
    "in_progress": "cyan",
    "offered": "yellow",
    "open": "yellow",
    "on_hold": "yellow",
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
    """as_json: whether the API's own JSON is wanted; a command asks, and prints that or words."""

    def __init__(self, *, as_json: bool, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        self.as_json = as_json
        self._stdout = sys.stdout if stdout is None else stdout
        self._stderr = sys.stderr if stderr is None else stderr
        self._terminal = self._stdout.isatty()
        # Rich would look at FORCE_COLOR and the like; whether this is a terminal decides, and nothing else.
        self._console = (
            Console(file=self._stdout, highlight=False)
            if self._terminal
            else Console(
                file=self._stdout, force_terminal=False, color_system=None, highlight=False, width=WIDE
            )
        )

    def document(self, value: object) -> None:
        """One JSON document."""
        self._write(json_text(value, indent=2))

    def json_line(self, value: object) -> None:
        """One of several JSON documents, a line each (NDJSON)."""
        self._write(json_text(value))

    def text(self, text: object) -> None:
        """Text of other people's, or our own, as it is."""
        self._write(printable(text))

    def note(self, text: str) -> None:
        """A word to the person at the keyboard, not part of the data."""
        print(printable(text), file=self._stderr, flush=True)

    def heading(self, *words: object) -> None:
        self._render(Text(" ".join(one_line(word) for word in words), style="bold"))

    def fields(self, pairs: Iterable[tuple[str, object]]) -> None:
        """Names and values, one a line; what is empty is left out."""
        table = Table.grid(padding=(0, 2))
        for name, value in pairs:
            if printable(value):
                table.add_row(Text(name, style="dim"), self._cell(value))
        self._render(table)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Aligned columns under a heading, framed on a terminal; cells are made safe to show.

        Where a terminal is too narrow, each row is a paragraph of its own: nothing is cut.
        """
        kept = [tuple(row) for row in rows]
        table = Table(
            box=box.SIMPLE_HEAD if self._terminal else None,
            show_edge=False,
            pad_edge=False,
            padding=(0, 1) if self._terminal else (0, 2, 0, 0),
        )
        for column in columns:
            table.add_column(Text(column), no_wrap=True)
        for row in kept:
            table.add_row(*(self._cell(value) for value in row))
        if (
            self._console.measure(table, options=self._console.options.update(width=WIDE)).maximum
            <= self._console.width
        ):
            self._render(table)
            return
        for number, row in enumerate(kept):
            if number:
                self.blank()
            self.fields(zip(columns, row, strict=True))

    def entry(self, time: str, fact: object, *rest: object) -> None:
        """One line of a timeline, shown at once."""
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
        # Cells are padded to their column: the last one's padding is of no use in a file.
        self._write("\n".join(line.rstrip() for line in captured.get().splitlines()))

    def _write(self, text: str) -> None:
        # Flushed each time: a watch that is piped somewhere is read while it goes on.
        print(text, file=self._stdout, flush=True)
