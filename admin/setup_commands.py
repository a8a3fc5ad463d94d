"""The commands `kopuro admin init`, `migrate` and `load`, which set up a hub and its databases.

Every start of `kopuro` loads this module, so each command imports its implementation only when it runs.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from admin.command_options import Documents, EnvironmentDir, HubCode, HubDir

if TYPE_CHECKING:
    from admin.new_hub import Plan


def register(admin: typer.Typer) -> None:
    """Add the commands to `kopuro admin`."""
    admin.command("init")(init_hub)
    admin.command("migrate")(migrate)
    admin.command("load")(load)


def init_hub(
    directory: Annotated[
        Path, typer.Argument(help="Directory for the files; created with mode 0700.", file_okay=False)
    ],
    hub: Annotated[str, typer.Option(help="Country code of the hub, two lower-case letters.")],
    broker: Annotated[
        str | None, typer.Option(help="The broker: amqps://HOST:5671/VHOST, without a user.")
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(help="URL of the databases. In it, {service} stands for each service."),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            help="The public address, for example https://hub.example; with {service} in it, one for each."
        ),
    ] = None,
    operator: Annotated[
        list[str] | None,
        typer.Option(help="Name of a first operator. Give the option three times, for three operators."),
    ] = None,
    broker_ca: Annotated[
        Path | None, typer.Option(help="PEM file of the private CA that signed the broker's certificate.")
    ] = None,
    database_ca: Annotated[
        Path | None, typer.Option(help="PEM file of the private CA that signed PostgreSQL's certificate.")
    ] = None,
    management: Annotated[
        str | None,
        typer.Option(help="The broker's management API, without a user; services then compare the bindings."),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            help="Directory for the state of vault and audit, such as /var/lib/kopuro; by default DIR/state."
        ),
    ] = None,
    manifest_version: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=2**62,
            help="Version of the manifest. To replace a root key, give a higher one than the present one.",
        ),
    ] = None,
    as_json: Documents = False,
) -> None:
    """Create the keys of a new hub and its manifest; with --broker, --database and --url, all its files.

    Writes one private JWK file per key (mode 0600) and never overwrites a file. Files that every service
    reads have mode 0644: manifest, hub's public key, discovery document. `hub.json` is the root key that
    signs manifests: store it offline. Without the addresses, prints the environment variables that name the
    files. With them, also writes an environment file for each service, the broker's definitions with a user
    for each service, and the roles of the databases. It writes the discovery document and the first
    operators' clients too. A repeated run writes the files that are missing. Passwords and secrets go to
    files only.
    """
    from admin.key_files import keys_in, write_key_files
    from admin.new_hub import Plan
    from kopuro_client.commands.output import Output

    if re.fullmatch("[a-z]{2}", hub) is None:
        raise typer.BadParameter("Give two lower-case letters, for example kg.", param_hint="--hub")
    plan: Plan | None = None
    if broker and database and url:
        plan = Plan(
            hub=hub,
            broker=broker,
            database=database,
            url=url,
            operators=tuple(operator or ()),
            broker_ca=broker_ca,
            database_ca=database_ca,
            management=management,
            state=state,
        )
    elif any((broker, database, url, operator, broker_ca, database_ca, management, state)):
        raise typer.BadParameter("Give --broker, --database and --url together.")
    out = Output(as_json=as_json)
    if plan is not None and keys_in(directory):
        _check_hub(directory, hub)
        if manifest_version is not None:
            raise typer.BadParameter("The manifest exists and is kept.", param_hint="--manifest-version")
        out.note("the keys exist and are kept")
    else:
        keys = write_key_files(directory, hub, manifest_version=manifest_version or 1)
        _print_keys(directory, keys, out, is_quiet=plan is not None)
    if plan is not None:
        _write_files(directory, plan, out)
    root = directory.resolve() / "hub.json"
    if root.exists() and (not as_json or plan is not None):
        out.note(f"move {root} to a place that no service can read")


def _check_hub(directory: Path, hub: str) -> None:
    from admin.manifest_files import manifest_in
    from kopuro_client.errors import InvalidArgumentError

    if (present := manifest_in(directory).hub) != hub:
        raise InvalidArgumentError(f"{directory} has the keys of the hub {present}, not of {hub}")


def _print_keys(directory: Path, keys: object, out: object, *, is_quiet: bool) -> None:
    from admin.key_files import KeyFile
    from admin.manifest_files import HUB_KEY, MANIFEST
    from kopuro_client.commands.output import Output
    from kopuro_client.commands.printable import json_text

    assert isinstance(out, Output)
    assert isinstance(keys, tuple)
    if is_quiet:
        return
    written: tuple[KeyFile, ...] = keys
    common = {
        "KOPURO_MANIFEST": str(directory.resolve() / MANIFEST),
        "KOPURO_HUB_KEY": str(directory.resolve() / HUB_KEY),
    }
    if out.as_json:
        out.document(
            {
                "keys": [
                    {
                        "service": key.service,
                        "variable": key.variable,
                        "file": str(key.path),
                        "public_key": key.public,
                    }
                    for key in written
                ],
                "every_service": common,
            }
        )
        return
    out.text("# every service")
    for variable, value in common.items():
        out.text(f"{variable}={shlex.quote(value)}")
    for key in written:
        out.text(f"# {key.service}; public key: {json_text(key.public)}")
        if key.variable is not None:
            out.text(f"{key.variable}={shlex.quote(str(key.path))}")
    out.note("each service's user must be able to read its own key files, and no others")
    out.note("copy the vault's public key into the discovery document as `custody_key`")


def _write_files(directory: Path, plan: Plan, out: object) -> None:
    from admin.new_hub import write_hub_files
    from kopuro_client.commands.output import Output

    assert isinstance(out, Output)
    outcome = write_hub_files(directory, plan)
    if out.as_json:
        out.document(
            {
                "written": [str(file) for file in outcome.written],
                "kept": [str(file) for file in outcome.kept],
                "different": {str(file): names for file, names in outcome.different.items()},
            }
        )
    else:
        for word, files in (("wrote", outcome.written), ("kept", outcome.kept)):
            for file in files:
                out.text(f"{word} {file}")
    for file, names in outcome.different.items():
        out.note(f"{file} was kept; these options would give it another {', '.join(names)}")
    place = shlex.quote(str(directory.resolve()))
    out.note(f"next: rabbitmqctl import_definitions {place}/broker/definitions.json")
    out.note("      rabbitmqctl delete_user guest")
    if plan.uses_postgresql:
        out.note(f"      psql -f {place}/databases/roles.sql")
    out.note(f"      kopuro admin migrate --all --env {place}/env")
    if plan.operators:
        out.note(f"      kopuro admin load --env {place}/env --credentials {place}/operators.json")
        out.note(f"      rm {place}/operators.json")


def migrate(
    services: Annotated[list[str] | None, typer.Argument(help="Services whose databases to migrate.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Migrate the databases of all services.")] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Only list revisions; status 1 if any is not current.")
    ] = False,
    to: Annotated[
        str | None, typer.Option(help="Migrate one service up to this revision, not to the newest.")
    ] = None,
    env_dir: EnvironmentDir = None,
    data_dir: HubDir = None,
    as_json: Documents = False,
) -> None:
    """Migrate the services' databases to the schema of this build. Stop the services first.

    The databases are those of --env, of --data-dir, or of KOPURO_DATABASE_TEMPLATE. Running it again changes
    nothing. Schemas only go forward.
    """
    from admin.hub_databases import hub_databases
    from admin.schema_revisions import MigrationRefused, migrated, revision_of
    from kopuro_client.commands.exit_codes import ExitCode
    from kopuro_client.commands.output import Output

    databases = hub_databases(env_dir, data_dir, os.environ)
    chosen = list(databases) if every or (status and not services) else list(services or ())
    if not chosen or (every and services):
        raise typer.BadParameter("Name services, or give --all.")
    if unknown := [name for name in chosen if name not in databases]:
        raise typer.BadParameter(f"{unknown[0]} is not a service; the services are {', '.join(databases)}.")
    if to is not None and (len(chosen) > 1 or status):
        raise typer.BadParameter("--to needs exactly one service, and excludes --status.")
    out = Output(as_json=as_json)
    if not status:
        for name in chosen:
            try:
                applied = migrated(databases[name], to)
            except MigrationRefused as error:
                out.note(f"kopuro: {error}")
                raise typer.Exit(ExitCode.REFUSED) from None
            out.note(f"{name}: {', '.join(applied) if applied else 'nothing to do'}")
    revisions = [revision_of(databases[name]) for name in chosen]
    if as_json:
        items = [
            {"service": r.service, "revision": r.current, "newest": r.newest, "pending": list(r.pending)}
            for r in revisions
        ]
        out.document({"items": items})
    else:
        rows = ((r.service, r.current or "empty", r.newest, r.state) for r in revisions)
        out.table(("service", "revision", "newest", "state"), rows)
    if status and any(r.pending or r.is_of_another_build for r in revisions):
        raise typer.Exit(1)


def load(
    organizations: Annotated[
        Path | None, typer.Option(help="JSON list of organisations.", dir_okay=False)
    ] = None,
    agreements: Annotated[Path | None, typer.Option(help="JSON list of agreements.", dir_okay=False)] = None,
    credentials: Annotated[
        Path | None, typer.Option(help="JSON list of clients with their secrets.", dir_okay=False)
    ] = None,
    env_dir: EnvironmentDir = None,
    data_dir: HubDir = None,
    hub: HubCode = None,
) -> None:
    """Load records into the directory's database: all of them, or none if one is wrong.

    A record that is unchanged makes no revision, so loading again is harmless. Loading needs no second
    person, unlike a change over HTTP; its facts name the author `load`.
    """
    from admin.hub_databases import hub_database, hub_of
    from admin.service_database import service_database
    from kopuro_client.commands.exit_codes import ExitCode
    from services.directory.load import load as load_files

    given = {"organizations": organizations, "agreements": agreements, "credentials": credentials}
    files = {name: file for name, file in given.items() if file is not None}
    if not files:
        raise typer.BadParameter("Name at least one file.")
    place = hub_database("directory", env_dir, data_dir, os.environ)
    code = hub_of("directory", hub, env_dir, data_dir, os.environ)
    with service_database(place.url, place.tls) as database:
        status = load_files(database, code, files, sys.stdout, sys.stderr)
    if status:
        raise typer.Exit(ExitCode.REFUSED)
