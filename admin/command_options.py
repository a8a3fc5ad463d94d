"""Options that several operators' commands share. Every start of `kopuro` loads this module."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HubDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Data directory of a hub that `kopuro up` started.", file_okay=False),
]
EnvironmentDir = Annotated[
    Path | None,
    typer.Option("--env", help="Directory with the services' environment files.", file_okay=False),
]
HubCode = Annotated[
    str | None,
    typer.Option(
        "--hub",
        help="The hub's country code; by default that of --data-dir (kg), of --env, KOPURO_HUB or kg.",
    ),
]
Documents = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]
