"""Paragraphs of help texts: one line each, for the terminal's width to wrap."""

from __future__ import annotations

from typing import Any


def unwrap_help(command: Any) -> None:
    """Join the lines of each paragraph in the help of a command and of the commands below it.

    command: a built click command. Typer keeps the line breaks of a docstring's later paragraphs, which then
    break a sentence in more places wherever the terminal is narrower than the source.
    """
    if command.help:
        command.help = "\n\n".join(" ".join(part.split()) for part in command.help.split("\n\n"))
    for below in getattr(command, "commands", {}).values():
        unwrap_help(below)
