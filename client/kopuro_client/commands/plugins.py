"""Plug-ins: commands that other distributions add by entry points of the group `kopuro.commands`.

An entry point is a `typer.Typer` (a group of commands, under the entry point's name) or a plain
function (a command). The name `organization.connect` adds the command `connect` to the client's group
`organization`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib.metadata import EntryPoint
from typing import Final

import typer
from typer.main import get_command

GROUP: Final = "kopuro.commands"


def add_plugins(
    application: typer.Typer,
    entry_points: Iterable[EntryPoint],
    *,
    groups: Mapping[str, typer.Typer],
    taken: Collection[str],
    complain: Callable[[str], None],
    only: str | None = None,
) -> frozenset[str]:
    """Add the plug-ins' commands and return the names of their entry points.

    Skips a plug-in that fails to load, with one complaint, and adds the others.

    groups: the client's groups by name. taken: names at the top level that no plug-in may have.
    only: the first word of a command line. A plug-in of another one is checked and not added: building its
    commands takes most of the time.
    """
    names = {*taken, *own_commands(groups)}
    added = set()
    for entry_point in sorted(entry_points, key=lambda found: found.name):
        try:
            if entry_point.name in names:
                raise ValueError("the name is taken")
            parent, name = place_of(entry_point.name, application, groups)
            commands = _commands(entry_point, name)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # other people's code may raise anything
            detail = " ".join(str(error).split())
            complain(f"kopuro: skipped the plug-in {entry_point.name!r}: {type(error).__name__}: {detail}")
            continue
        names.add(entry_point.name)
        added.add(entry_point.name)
        if only is None or only == entry_point.name.partition(".")[0]:
            parent.add_typer(commands)
    return frozenset(added)


def place_of(
    name: str, application: typer.Typer, groups: Mapping[str, typer.Typer]
) -> tuple[typer.Typer, str]:
    """Return where a command belongs, and its name there. Raises ValueError for an unknown group."""
    group, dot, command = name.partition(".")
    if not dot:
        return application, name
    if group not in groups:
        raise ValueError(f"there is no command group {group!r}")
    return groups[group], command


def own_commands(groups: Mapping[str, typer.Typer]) -> set[str]:
    """Return the commands of the groups as `group.command`."""
    return {
        f"{name}.{command.name}" for name, group in groups.items() for command in group.registered_commands
    }


@functools.cache
def _commands(entry_point: EntryPoint, name: str) -> typer.Typer:
    """Return a plug-in's commands. A program that runs many command lines loads and checks them once."""
    found = entry_point.load()
    commands = typer.Typer()
    if isinstance(found, typer.Typer):
        commands.add_typer(found, name=name)
    elif callable(found):
        commands.command(name)(found)
    else:
        raise TypeError("neither a typer.Typer nor a function")
    get_command(commands)  # fails here if typer cannot build it, not later for every command
    return commands
