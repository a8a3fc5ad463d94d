"""Operators' commands: `kopuro admin`.

Every start of `kopuro` loads this module, so each command imports its implementation only when it runs.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from admin.amqp_commands import register as register_amqp
from admin.backup_commands import register as register_backup
from admin.client_commands import register as register_client
from admin.command_options import Documents, EnvironmentDir, HubCode, HubDir
from admin.custody_command import register as register_custody
from admin.dead_letter_commands import register as register_dead_letters
from admin.doctor_command import register as register_doctor
from admin.moved_commands import moved
from admin.reconcile_command import register as register_reconcile
from admin.rotation_commands import register as register_rotation
from admin.setup_commands import register as register_setup
from kopuro_client.commands.fixed_values import ROLES, listed, one_of

if TYPE_CHECKING:
    from contracts.manifest import Manifest

# The earlier name.
dead_letters = moved("dead-letters", "admin dead-letters")

admin = typer.Typer(
    no_args_is_help=True,
    help="Operators: set up and maintain a hub.",
)


@admin.callback()
def _admin_group() -> None:
    """Operators: set up and maintain a hub."""


register_setup(admin)
register_rotation(admin)
register_doctor(admin)
register_backup(admin)
register_client(admin)
register_reconcile(admin)
register_custody(admin)
register_dead_letters(admin)
register_amqp(admin)

broker = typer.Typer(no_args_is_help=True, help="Operators: set up a hub's RabbitMQ broker.")
admin.add_typer(broker, name="broker")


@broker.callback()
def _broker_group() -> None:
    """Operators: set up a hub's RabbitMQ broker."""


@broker.command("definitions")
def write_broker_definitions(
    directory: Annotated[
        Path, typer.Argument(help="Directory for the files; created with mode 0700.", file_okay=False)
    ],
    hub: Annotated[str, typer.Option(help="The hub: a lower-case country code, as KOPURO_HUB.")],
    vhost: Annotated[str, typer.Option(help="The hub's virtual host at the broker.")] = "kopuro",
    as_json: Documents = False,
) -> None:
    """Write definitions.json for `rabbitmqctl import_definitions`, with one user for each service.

    It declares the hub's exchanges, queues and bindings, and gives each user only the rights that its service
    needs. Passwords go to one file per user (mode 0600); existing ones stay, so repeat the command after an
    upgrade.
    """
    from admin.broker_definitions import write_definitions
    from contracts.broker_rights import WATCH, user_name
    from contracts.topology import OPERATIONS
    from kopuro_client.commands.output import Output

    is_repeated = (directory / "definitions.json").exists()
    before = set(directory.glob("*.password")) if is_repeated else set()
    files = write_definitions(directory, hub=hub, vhost=vhost)
    out = Output(as_json=as_json)
    users = [
        {"service": user, "user": user_name(hub, user), "password_file": str(path)}
        for user, path in files.items()
    ]
    if as_json:
        out.document({"definitions": str(directory.resolve() / "definitions.json"), "users": users})
        return
    for user in users:
        out.text(f"{user['user']}: {user['password_file']}")
    out.note(f"run: rabbitmqctl import_definitions {shlex.quote(str(directory.resolve()))}/definitions.json")
    out.note(
        "each service's KOPURO_AMQP_URI names its own user; `operations` is for `kopuro admin dead-letters`, "
        "`watch` for KOPURO_BROKER_MANAGEMENT_URI"
    )
    own = "set it in KOPURO_AMQP_URI of {service}, and restart {service}"
    # Users of no service.
    uses = {
        OPERATIONS: "use it in KOPURO_AMQP_URI for `kopuro admin dead-letters`",
        WATCH: "set it in KOPURO_BROKER_MANAGEMENT_URI of the services, and restart them",
    }
    for user in users:
        if is_repeated and directory / Path(user["password_file"]).name not in before:
            out.note(
                f"{user['user']} has a new password: after the import run `rabbitmqctl "
                f"close_all_user_connections {user['user']} 'new password'`, since connections that were "
                f"opened with an earlier one stay open; then {uses.get(user['service'], own).format(**user)}"
            )


@broker.command("remove-strays")
def remove_broker_strays(
    uri: Annotated[
        str,
        typer.Option(
            "--management-uri",
            envvar="KOPURO_BROKER_ADMINISTRATOR_URI",
            help="The management API, with an administrator's name and password. "
            "For a private CA set KOPURO_BROKER_CA.",
        ),
    ],
    vhost: Annotated[str, typer.Option(help="The hub's virtual host at the broker.")] = "kopuro",
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; by default they are only listed.")] = False,
    as_json: Documents = False,
) -> None:
    """Remove exchanges, queues and bindings that the hub does not declare, after an import of definitions.

    Somebody who had a service's password may have declared some, and they stay when the password is
    replaced. Those of an earlier build stay too. The exit status is 1 if some are left.
    """
    from admin.broker_strays import strays_at
    from kopuro_client.commands.output import Output
    from kopuro_client.errors import UnavailableError
    from runtime.messaging.ports import BrokerUnavailable

    try:
        found = strays_at(uri, vhost, remove=yes)
    except BrokerUnavailable as error:
        raise UnavailableError(str(error)) from error
    out = Output(as_json=as_json)
    for one in found:
        if as_json:
            out.document({"kind": one.kind, "name": one.name, "removed": yes})
        else:
            out.text(f"{one}: removed" if yes else str(one))
    if found and not yes:
        out.note("repeat the command with --yes to remove them")
        raise typer.Exit(1)


@admin.command("evidence")
def show_evidence(
    referral_id: Annotated[str, typer.Argument(metavar="REFERRAL", help="The referral's id.")],
    database: Annotated[
        str | None,
        typer.Option(
            help="The vault's database; by default that of --data-dir, --env, KOPURO_DATABASE_URL or "
            "KOPURO_DATABASE_TEMPLATE."
        ),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            help="Directory with hub.public.json and the manifest of that time; by default the present ones "
            "of --data-dir or --env.",
            file_okay=False,
        ),
    ] = None,
    env_dir: EnvironmentDir = None,
    data_dir: HubDir = None,
) -> None:
    """Verify the signed facts on which the vault acted for a referral, and print them as JSON.

    The exit status is 1 if a signature does not verify, and 2 if there is no evidence.
    """
    from admin.evidence import evidence_of, manifest_for
    from admin.hub_databases import database_of
    from admin.service_database import service_database
    from contracts.identifiers import UUID_PATTERN
    from kopuro_client.commands.counts import count
    from kopuro_client.commands.output import Output
    from kopuro_client.errors import InvalidArgumentError

    if re.fullmatch(UUID_PATTERN, referral_id) is None:
        raise InvalidArgumentError("REFERRAL must be a lower-case UUID")
    place = database_of("vault", database, env_dir, data_dir, os.environ)
    manifest = manifest_for(keys, env_dir, data_dir)
    with service_database(place.url, place.tls) as opened:
        found = evidence_of(referral_id, opened, manifest)
    out = Output(as_json=True)
    for one in found:
        out.document(one.document())
    if not found:
        raise InvalidArgumentError(
            f"no evidence: the vault has acted on no acceptance and no closing of the referral {referral_id}"
        )
    bad = sum(one.problem is not None for one in found)
    if bad:
        out.note(
            f"{bad} of {count(len(found), 'signed fact')} not verified: see `problem`; for a key that was "
            "removed since, give --keys with the manifest of that time"
        )
        raise typer.Exit(1)
    out.note(f"verified: {count(len(found), 'signed fact')}, with version {manifest.version} of the manifest")


@admin.command("keep-role")
def keep_role(
    principal: Annotated[str, typer.Argument(help="An organisation, or a member of the staff.")],
    role: Annotated[str, typer.Argument(callback=one_of(ROLES), help=f"{listed(ROLES)}.")],
    database: Annotated[
        str | None,
        typer.Option(
            help="The directory's database; by default that of --data-dir, --env, KOPURO_DATABASE_URL or "
            "KOPURO_DATABASE_TEMPLATE."
        ),
    ] = None,
    env_dir: EnvironmentDir = None,
    data_dir: HubDir = None,
    hub: HubCode = None,
    client: Annotated[
        str | None,
        typer.Option(help="The client that the staff member keeps; required if several have the role."),
    ] = None,
) -> None:
    """Reduce a principal with several roles, which earlier builds admitted, to one role.

    Its clients without that role are revoked. For the other roles, issue clients to other people with
    `kopuro credential issue`. The log records each change. The directory may be running.
    """
    from admin.hub_databases import database_of, hub_of
    from admin.kept_role import keep_role_in
    from admin.service_database import service_database
    from contracts.errors import Refused
    from kopuro_client.commands.counts import count
    from kopuro_client.commands.output import Output

    place = database_of("directory", database, env_dir, data_dir, os.environ)
    code = hub_of("directory", hub, env_dir, data_dir, os.environ)
    try:
        with service_database(place.url, place.tls) as opened:
            changed = keep_role_in(opened, code, principal, role, client)
    except (Refused, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    out = Output(as_json=False)
    for one in changed:
        out.text(f"{one.id}: {', '.join(one.roles) if one.live else 'revoked'}")
    out.note(f"{count(len(changed), 'client')} changed")


manifest = typer.Typer(
    no_args_is_help=True, help="Operators: change a hub's signed list of services and keys."
)
admin.add_typer(manifest, name="manifest")

ManifestDir = Annotated[
    Path,
    typer.Argument(help="Directory with hub.json, hub.public.json and manifest.jws.", file_okay=False),
]
ServiceOfKey = Annotated[str, typer.Argument(help="The service that signs with the key, such as intake.")]


@manifest.command("show")
def show_manifest(directory: ManifestDir) -> None:
    """Verify the manifest and print it as JSON."""
    from admin.manifest_files import manifest_in

    _print_manifest(manifest_in(directory))


@manifest.command("add-key")
def add_manifest_key(
    directory: ManifestDir,
    service: ServiceOfKey,
    present: Annotated[
        Path | None,
        typer.Option(
            "--key",
            help="List the key in this file instead, such as one that was removed by mistake.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
) -> None:
    """Create another signing key for a service and sign a manifest that lists it.

    The older keys stay listed: messages that they signed are still in queues.
    """
    from admin.manifest_files import add_key, list_key
    from kopuro_client.commands.output import Output

    if present is None:
        changed, path = add_key(directory, service)
    else:
        changed, path = list_key(directory, service, present), present
    _print_manifest(changed)
    out = Output(as_json=True)
    new, *earlier = changed.services[service].keys
    if present is not None:
        out.note(f"listed {earlier[-1].kid}; give every service the new manifest")
        return
    out.note(f"the new key of {service} is {new.kid}; earlier: {', '.join(key.kid for key in earlier)}")
    out.note(f"give every service the new manifest; then put {path} in the place of KOPURO_SERVICE_KEY")


# A thumbprint may begin with a hyphen.
@manifest.command("remove-key", context_settings={"ignore_unknown_options": True})
def remove_manifest_key(
    directory: ManifestDir,
    service: ServiceOfKey,
    kid: Annotated[str, typer.Argument(help="The key's thumbprint.")],
) -> None:
    """Sign a manifest without one of a service's keys. Messages that it signed are no longer accepted."""
    from admin.manifest_files import remove_key

    _print_manifest(remove_key(directory, service, kid))


@manifest.command("set-user")
def set_manifest_user(
    directory: ManifestDir,
    service: Annotated[str, typer.Argument(help="A service, or `operations` for operators' commands.")],
    user: Annotated[str, typer.Argument(help="The broker user of the service.")],
) -> None:
    """Sign a manifest with another broker user for a service."""
    from admin.manifest_files import set_users

    _print_manifest(set_users(directory, {service: user}))


def _print_manifest(shown: Manifest) -> None:
    import json

    from kopuro_client.commands.output import Output

    Output(as_json=True).document(json.loads(shown.payload()))
