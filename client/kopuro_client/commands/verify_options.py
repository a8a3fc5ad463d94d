"""The options of `kopuro verify`, and the checkpoints that it remembers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from kopuro_client.errors import InvalidArgumentError
from kopuro_client.tlog.memory import Memory

LOG_KEY = Annotated[
    str | None,
    typer.Option(
        help="The log's verifier key, or a file that contains it. Get it from a source other than the hub."
    ),
]
POLICY = Annotated[
    Path | None,
    typer.Option(help="Policy file: logs, witnesses and the quorum of cosignatures (C2SP tlog-policy)."),
]
STATE = Annotated[
    Path | None,
    typer.Option(help="Directory for the last verified checkpoints; by default under XDG_STATE_HOME."),
]
AS_JSON = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def memory_at(state: Path | None) -> Memory:
    """Return the memory in the directory, by default the one of the user. Raises InvalidArgumentError."""
    if state is not None and os.path.exists(state) and not os.path.isdir(state):
        raise InvalidArgumentError(f"{state} is not a directory")
    return Memory.at_home(os.environ) if state is None else Memory(state)
