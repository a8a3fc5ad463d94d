"""Placeholders for the server's commands. Without the server, they say what to install."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

import typer

from kopuro_client.errors import InvalidArgumentError

NAMES: Final = ("up", "demo", "admin", "routing")


def add_placeholders(application: typer.Typer, *, taken: Collection[str]) -> None:
    """Add a hidden command for each name that is not taken."""
    for name in NAMES:
        if name not in taken:
            application.command(
                name,
                hidden=True,
                add_help_option=False,
                context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
            )(_refusing(name))


def _refusing(name: str) -> Callable[[], None]:
    def refuse() -> None:
        raise InvalidArgumentError(
            f"`kopuro {name}` is a server command, and the server is not installed: "
            "run `pip install ./client .` in a checkout of Kopuro"
        )

    return refuse
