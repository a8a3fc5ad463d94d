"""The command `kopuro admin reconcile`.

Every start of `kopuro` loads this module, so each command imports its implementation only when it runs.
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from admin.command_options import EnvironmentDir, HubDir


def register(admin: typer.Typer) -> None:
    """Add the command to `kopuro admin`."""
    admin.command("reconcile")(reconcile)


def reconcile(
    data_dir: HubDir = None,
    env_dir: EnvironmentDir = None,
    settled: Annotated[
        float, typer.Option(help="Ignore what changed within the last SECONDS.", metavar="SECONDS", min=0)
    ] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object per line.")] = False,
) -> None:
    """Compare the log with the services' databases and list the differences (exit status 1 if any).

    The databases are those of --env, of --data-dir, or of KOPURO_DATABASE_TEMPLATE.
    """
    from admin.hub_databases import hub_databases
    from admin.reconciliation.reconcile import database_urls, run

    if env_dir is not None:
        places = hub_databases(env_dir, data_dir, os.environ)
        raise typer.Exit(
            run(
                {service: place.url for service, place in places.items()},
                settled_seconds=settled,
                as_json=as_json,
                tls={service: place.tls for service, place in places.items()},
            )
        )
    try:
        urls = database_urls(data_dir, os.environ)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--data-dir") from None
    raise typer.Exit(run(urls, settled_seconds=settled, as_json=as_json))
