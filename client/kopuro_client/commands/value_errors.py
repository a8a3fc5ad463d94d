"""Sentences about invalid values. Typer's begin with "Value error, ", which says nothing to a user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import typer

_PREFIX: Final = "Value error, "


def use_plain_errors(command: Any) -> None:
    """Remove the prefix from the errors of every parameter of a command, and of the commands below it.

    command: a built click command. Typer has no setting for this, so a method of its parameters is replaced.
    """
    for parameter in command.params:
        parameter.process_value = _plain(parameter.process_value)
    for below in getattr(command, "commands", {}).values():
        use_plain_errors(below)


def _plain(process_value: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def process(context: Any, value: Any) -> Any:
        try:
            return process_value(context, value)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix(_PREFIX)
            raise

    return process
