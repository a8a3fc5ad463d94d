"""The command `kopuro admin doctor`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

from admin.command_options import Documents, EnvironmentDir, HubDir


def register(admin: typer.Typer) -> None:
    """Add the command to `kopuro admin`."""
    admin.command("doctor")(doctor)


def doctor(
    env_dir: EnvironmentDir = None,
    data_dir: HubDir = None,
    definitions: Annotated[
        Path | None,
        typer.Option(
            help="File of `rabbitmqctl export_definitions`, to compare users and rights.", dir_okay=False
        ),
    ] = None,
    as_json: Documents = False,
) -> None:
    """Find what is wrong with a hub, and say what to do about it.

    Looks at settings, files and their modes, keys, manifest, discovery document, TLS, broker, databases,
    schemas, clocks, disk space, versions, outboxes, the log, and each service's /readyz. Changes nothing.
    The exit status is 1 if there is a fault, 0 if there are only warnings.
    """
    from admin.doctor.checks import examined
    from admin.doctor.findings import Severity
    from admin.doctor.observe import observe
    from admin.environment_files import EMBEDDED
    from kopuro_client.commands.counts import count
    from kopuro_client.commands.output import Output

    if (env_dir is None) == (data_dir is None):
        raise typer.BadParameter("give either --env or --data-dir")
    folder = env_dir if data_dir is None else data_dir / EMBEDDED
    assert folder is not None
    now, is_embedded = dt.datetime.now(dt.UTC), data_dir is not None
    found = examined(observe(folder, definitions=definitions, now=now, is_embedded=is_embedded))
    out = Output(as_json=as_json)
    if as_json:
        out.document(
            {
                "items": [
                    {
                        "severity": one.severity.value,
                        "check": one.check,
                        "subject": one.subject,
                        "what": one.what,
                        "remedy": one.remedy,
                    }
                    for one in found
                ]
            }
        )
    else:
        for one in found:
            out.text(f"{one.severity.value}: {one.subject}: {one.what} [{one.check}]")
            out.text(f"    {one.remedy}")
        if definitions is None:
            out.note("users' rights are not compared: give --definitions")
        faults = sum(one.severity is Severity.fault for one in found)
        out.note(f"{count(faults, 'fault')}, {count(len(found) - faults, 'warning')}")
    if any(one.severity is Severity.fault for one in found):
        raise typer.Exit(1)
