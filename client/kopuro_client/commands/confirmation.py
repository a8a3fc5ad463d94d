"""The question before a command that affects others, or that ends or revokes something."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from kopuro_client.commands.act_words import YES as AGREED
from kopuro_client.commands.effect_words import effect
from kopuro_client.commands.output import Output
from kopuro_client.errors import InvalidArgumentError

YES = Annotated[bool, typer.Option("--yes", help="Do not show what would be affected, and do not ask.")]


def require_terminal() -> None:
    """Raise InvalidArgumentError without a terminal to ask on."""
    if not sys.stdin.isatty():
        raise InvalidArgumentError("cannot ask for confirmation without a terminal: add --yes")


def confirm(out: Output, effects: list[str], question: str, language: str = "en") -> None:
    """Show the effects on stderr and ask. Ends the command if the answer is no.

    An answer is understood in each language of the commands. Raises InvalidArgumentError, after the effects,
    without a terminal to ask on.
    """
    for one in effects:
        out.note(one)
    require_terminal()
    # Not `typer.confirm`: it writes a space to stdout, which belongs to the data.
    typer.echo(f"kopuro: {question} [y/N]: ", nl=False, err=True)
    if sys.stdin.readline().strip().lower() not in AGREED:
        out.note(effect("nothing", language))
        raise typer.Exit(0)


def ask(
    out: Output, effects: Callable[[], list[str]], question: str, language: str = "en", *, yes: bool
) -> None:
    """Show the effects and ask; with `yes` do neither. effects: read only if they are shown.

    Raises InvalidArgumentError, after the effects, without a terminal. Ends the command if the answer is no.
    """
    if not yes:
        confirm(out, effects(), question, language)
