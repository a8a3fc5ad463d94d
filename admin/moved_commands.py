"""Earlier names of commands: each says the new name, with exit status 2."""

from __future__ import annotations

from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from kopuro_client.errors import InvalidArgumentError


def moved(earlier: str, name: str) -> typer.Typer:
    """Return a hidden group that refuses every subcommand. earlier, name: without `kopuro`."""

    def refuse() -> NoReturn:
        raise InvalidArgumentError(f"`kopuro {earlier}` is now `kopuro {name}`")

    class Moved(TyperGroup):
        def resolve_command(self, ctx: Any, args: list[str]) -> NoReturn:
            refuse()

    return typer.Typer(
        cls=Moved, callback=refuse, invoke_without_command=True, hidden=True, help=f"Moved: kopuro {name}"
    )
