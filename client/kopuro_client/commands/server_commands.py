"""Placeholders for the server's commands. Without the server, they say what to install."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

import typer

from kopuro_client.commands.plugins import place_of
from kopuro_client.errors import InvalidArgumentError

# Names of the server's entry points; `group.command` is a command in one of the client's groups.
NAMES: Final = (
    "up",
    "demo",
    "dead-letters",
    "audit",
    "admin",
    "routing",
    "organization.connect",
    "organization.disconnect",
)


def add_placeholders(
    application: typer.Typer, *, groups: Mapping[str, typer.Typer], taken: Collection[str]
) -> None:
    """Add a hidden command for each name that is not taken."""
    for full_name in NAMES:
        if full_name not in taken:
            parent, name = place_of(full_name, application, groups)
            parent.command(
                name,
                hidden=True,
                add_help_option=False,
                context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
            )(_refusing(full_name.replace(".", " ")))


def _refusing(name: str) -> Callable[[], None]:
    def refuse() -> None:
        raise InvalidArgumentError(
            f"`kopuro {name}` is a server command, and the server is not installed: "
            "run `pip install ./client .` in a checkout of Kopuro"
        )

    return refuse
