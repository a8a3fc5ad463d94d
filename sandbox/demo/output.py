"""Output of the demo: a live timeline on a terminal, plain text in a pipe."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table

# A pipe has no width of its own. In this one no identifier has to be folded.
PIPE_WIDTH = 130


def new_console() -> Console:
    """Return a console for this process's stdout."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


class DemoOutput:
    """Writes the demo's output. Times are seconds since its creation."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._started = time.monotonic()

    def title(self, text: str) -> None:
        """Print a line in bold, above everything that follows."""
        self.console.print()
        self.console.print(f"[bold]{escape(text)}[/bold]")

    def story(self, number: int, title: str, summary: str) -> None:
        """Print the heading of a referral's story."""
        self.console.print()
        self.console.print(Rule(f"[bold]{number}. {escape(title)}[/bold]", align="left", style="cyan"))
        self.console.print(f"[italic]{escape(summary)}[/italic]")

    def step(self, actor: str, text: str, *, style: str = "default") -> None:
        """Print one line of the timeline: what an actor did or received."""
        seconds = time.monotonic() - self._started
        self.console.print(
            f"[dim]{seconds:6.1f}s[/dim]  [{style}]{escape(actor):<34}[/{style}] {escape(text)}",
            soft_wrap=True,
        )

    def note(self, text: str) -> None:
        """Print a comment, indented and dim."""
        self.console.print(f"         [dim]{escape(text)}[/dim]", soft_wrap=True)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table."""
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
        """Show a progress indicator on a terminal; print nothing into a pipe."""
        if not self.console.is_terminal:
            yield
            return
        with self.console.status(f"[dim]{escape(text)}[/dim]"):
            yield
