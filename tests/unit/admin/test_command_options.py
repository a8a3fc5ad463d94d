"""Operators' commands name a hub by the same options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from admin.commands import admin
from admin.routing_commands import routing

# These write the files of a new hub or gateway.
_NEW = {"init", "amqp init"}


def commands(command: Any, name: str = "") -> Iterator[tuple[str, set[str]]]:
    """Yield the command, or those of the group, by name with their options."""
    parts = getattr(command, "commands", None)
    if parts is None:
        yield name, {option for parameter in command.params for option in parameter.opts}
        return
    for part, inner in parts.items():
        yield from commands(inner, f"{name} {part}".strip())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        (name, options)
        for app in (admin, routing)
        for name, options in commands(get_command(app))
        if name not in _NEW and options & {"--database", "--env"}
    ],
)
def test_command_that_opens_databases_takes_the_folders_of_every_kind_of_hub(
    name: str, options: set[str]
) -> None:
    assert {"--env", "--data-dir"} <= options, name
