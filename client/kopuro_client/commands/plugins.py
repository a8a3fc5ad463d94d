"""Plug-ins: commands that other distributions add by entry points of the group `kopuro.commands`.

An entry point is a `typer.Typer` (a group of commands, under the entry point's name) or a plain
function (a command).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from importlib.metadata import EntryPoint
from typing import Final

import typer
from typer.main import get_command

GROUP: Final = "kopuro.commands"


def add_plugins(
    application: typer.Typer,
    entry_points: Iterable[EntryPoint],
    *,
    taken: Collection[str],
    complain: Callable[[str], None],
) -> frozenset[str]:
    """Add the plug-ins' commands and return their names.

    Skips a plug-in that fails to load, with one complaint, and adds the others.

    taken: names that no plug-in may have.
    """
    names = set(taken)
    for entry_point in sorted(entry_points, key=lambda found: found.name):
        try:
            if entry_point.name in names:
                raise ValueError("the name is taken")
            commands = _commands(entry_point)
            get_command(commands)  # fails here if typer cannot build it, not later for every command
        except (Exception, SystemExit) as error:  # noqa: BLE001  # other people's code may raise anything
            detail = " ".join(str(error).split())
            complain(f"kopuro: skipped the plug-in {entry_point.name!r}: {type(error).__name__}: {detail}")
            continue
        names.add(entry_point.name)
        application.add_typer(commands)
    return frozenset(names - set(taken))


def _commands(entry_point: EntryPoint) -> typer.Typer:
    found = entry_point.load()
    commands = typer.Typer()
    if isinstance(found, typer.Typer):
        commands.add_typer(found, name=entry_point.name)
    elif callable(found):
        commands.command(entry_point.name)(found)
    else:
        raise TypeError("neither a typer.Typer nor a function")
    return commands
