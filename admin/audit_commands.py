"""What audit adds to the `kopuro` command: `kopuro audit reconcile`.

Loaded at every start of the command, so the work is imported only when it is asked for.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

audit = typer.Typer(help="Operators: check the audit log against the services.", no_args_is_help=True)


@audit.callback()
def _group() -> None:
    """Operators: check the audit log against the services."""


@audit.command()
def reconcile(
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Of a hub that `kopuro up` started.", file_okay=False)
    ] = None,
    settled: Annotated[
        float, typer.Option(help="Leave out what moved within so many seconds.", min=0)
    ] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Compare the log with what each service holds, and name the differences (exit 1 when there are any)."""
    from admin.reconciliation.reconcile import database_urls, run

    try:
        urls = database_urls(data_dir, os.environ)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--data-dir") from None
    raise typer.Exit(run(urls, settled_seconds=settled, as_json=as_json))
