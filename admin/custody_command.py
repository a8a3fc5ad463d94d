"""The command `kopuro admin count-custody`.

Every start of `kopuro` loads this module, so each command imports its implementation only when it runs.
"""

from __future__ import annotations

import os

import typer

from admin.command_options import Documents, EnvironmentDir, HubDir


def register(admin: typer.Typer) -> None:
    """Add the command to `kopuro admin`."""
    admin.command("count-custody")(count_custody)


def count_custody(
    data_dir: HubDir = None,
    env_dir: EnvironmentDir = None,
    as_json: Documents = False,
) -> None:
    """Count the cases in custody from before intake counted them, for KOPURO_CUSTODY_MIB.

    Run it once after an upgrade from a build without this bound. It may be repeated while the hub runs. The
    databases are those of --env, of --data-dir, or of KOPURO_DATABASE_TEMPLATE.
    """
    from admin import custody_count
    from admin.hub_databases import hub_databases
    from admin.service_database import service_database
    from kopuro_client.commands.counts import count
    from kopuro_client.commands.output import Output

    places = hub_databases(env_dir, data_dir, os.environ)
    vault, intake = places["vault"], places["intake"]
    with service_database(vault.url, vault.tls) as kept, service_database(intake.url, intake.tls) as counts:
        counted = custody_count.count_custody(kept, counts)
    out = Output(as_json=as_json)
    if as_json:
        out.document({"counted": counted})
    else:
        out.text(f"{count(counted, 'earlier case')} counted")
