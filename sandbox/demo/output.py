"""What the demo shows: a timeline that grows while it is watched, plain text when it is piped."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table

# A pipe has no width of its own: one in which no identifier has to be folded.
PIPE_WIDTH = 130


def new_console() -> Console:
    """A console for this process's stdout."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


class DemoOutput:
    """Times are seconds since the curtain rose."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._risen = time.monotonic()

    def title(self, text: str) -> None:
        """The name of the whole play."""
        self.console.print()
        self.console.print(f"[bold]{escape(text)}[/bold]")

    def scene(self, number: int, title: str, story: str) -> None:
        """A referral's story begins."""
        self.console.print()
        self.console.print(Rule(f"[bold]{number}. {escape(title)}[/bold]", align="left", style="cyan"))
        self.console.print(f"[italic]{escape(story)}[/italic]")

    def step(self, actor: str, text: str, *, style: str = "default") -> None:
        """Somebody did something, or was told something."""
        seconds = time.monotonic() - self._risen
        self.console.print(
            f"[dim]{seconds:6.1f}s[/dim]  [{style}]{escape(actor):<34}[/{style}] {escape(text)}",
            soft_wrap=True,
        )

    def aside(self, text: str) -> None:
        """A word from the narrator."""
        self.console.print(f"         [dim]{escape(text)}[/dim]", soft_wrap=True)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Evidence, in columns."""
        table = Table(
            title=escape(title), title_justify="left", title_style="bold", header_style="dim", box=SIMPLE
        )
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        self.console.print()
        self.console.print(table)

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Shows on a terminal that something is under way; says nothing into a pipe."""
        if not self.console.is_terminal:
            yield
            return
        with self.console.status(f"[dim]{escape(text)}[/dim]"):
            yield
