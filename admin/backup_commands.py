"""The commands `kopuro admin backup` and `kopuro admin restore`."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Annotated

import typer

from admin.command_options import Documents, EnvironmentDir, HubDir
from kopuro_client.commands.counts import count


def register(admin: typer.Typer) -> None:
    """Add the commands to `kopuro admin`."""
    admin.command("backup")(backup)
    admin.command("restore")(restore)


def backup(
    target: Annotated[Path, typer.Argument(help="New directory for the backup.", file_okay=False)],
    env_dir: EnvironmentDir = None,
    data_dir: HubDir = None,
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait until the hub is quiet.")
    ] = 60.0,
    as_json: Documents = False,
) -> None:
    """Copy all databases and the published log of a running hub, as of one moment.

    The copies show one moment only if no message was in transit while they were made, so the command
    waits until none is. On a busy hub close the proxy to partners first. The backup contains neither the key
    files nor the vault's own keys, so nobody can open a case in custody with it.
    """
    from admin.backup.hub_places import hub_places
    from admin.backup.take import NeverQuiet, dead_letters, take_backup
    from kopuro_client.commands.exit_codes import ExitCode
    from kopuro_client.commands.output import Output

    out = Output(as_json=as_json)
    places = hub_places(env_dir, data_dir, os.environ)
    try:
        record = take_backup(places, target, wait=wait)
    except NeverQuiet as error:
        out.note(
            f"kopuro: the hub was not quiet within {wait:.0f} s ({error}); close the proxy to partners first"
        )
        raise typer.Exit(ExitCode.UNAVAILABLE) from None
    left = dead_letters(places)
    if as_json:
        out.document({"backup": str(target.resolve()), "log_size": record.log_size, "dead_letters": left})
    else:
        out.text(target.resolve())
    out.note(f"six databases and {record.log_size} entries of the log, at {record.at:%Y-%m-%d %H:%M:%S} UTC")
    out.note(f"not in the backup: the key files and the vault's own keys ({places.vault_keys})")
    if left:
        out.note(f"{left} dead letters are only at the broker, not in the backup: replay or discard them")


def restore(
    source: Annotated[Path, typer.Argument(help="Directory of a backup.", file_okay=False, exists=True)],
    env_dir: EnvironmentDir = None,
    data_dir: HubDir = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(help="File with a checkpoint that a witness, mirror or auditor has; may be repeated."),
    ] = None,
    without_vault_keys: Annotated[
        bool,
        typer.Option("--without-vault-keys", help="The vault's keys are lost: give up cases in custody."),
    ] = False,
    as_json: Documents = False,
) -> None:
    """Restore a backup into empty databases, while the hub is stopped and its broker is empty.

    First put back the key files, and the surviving file of the vault's own keys. A backup that is older than
    a published checkpoint is refused, because the log would fork. A file of the vault's keys that is older
    than the backup is refused too, because it would open cases that were erased.
    """
    from admin.backup.hub_places import hub_places
    from admin.backup.restore import RestoreRefused, restore_backup
    from kopuro_client.commands.exit_codes import ExitCode
    from kopuro_client.commands.output import Output

    out = Output(as_json=as_json)
    try:
        restored = restore_backup(
            hub_places(env_dir, data_dir, os.environ),
            source,
            checkpoints=tuple(checkpoint or ()),
            without_vault_keys=without_vault_keys,
            now=dt.datetime.now(dt.UTC),
        )
    except RestoreRefused as error:
        out.note(f"kopuro: {error}")
        raise typer.Exit(ExitCode.REFUSED) from None
    if as_json:
        out.document({"log_size": restored.record.log_size, "erased": list(restored.erased)})
    else:
        for referral_id in restored.erased:
            out.text(referral_id)
    out.note(f"restored the hub of {restored.record.at:%Y-%m-%d %H:%M:%S} UTC")
    if restored.erased:
        out.note(
            f"the cases of {count(len(restored.erased), 'referral')} were erased after the backup and stay "
            "erased. Ask the parties of these referrals, and withdraw them (`kopuro coordination withdraw`)"
        )
    out.note("start the services, then compare the log with the databases: kopuro admin reconcile")
