"""Operators' commands: `kopuro dead-letters` and `kopuro admin`.

Every start of `kopuro` loads this module, so each command imports its implementation only when it runs.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from admin.amqp_commands import register as register_amqp
from admin.backup_commands import register as register_backup
from admin.client_commands import register as register_client
from admin.doctor_command import register as register_doctor
from admin.rotation_commands import register as register_rotation
from admin.setup_commands import register as register_setup

if TYPE_CHECKING:
    from admin.dead_letters import DeadLetterCommands
    from contracts.manifest import Manifest

dead_letters = typer.Typer(
    no_args_is_help=True,
    help="Operators: inspect, replay or discard messages that a service could not process.",
    epilog="The commands use the broker of --data-dir, or else the one that KOPURO_AMQP_URI names "
    "(with KOPURO_BROKER_CA for a private CA). "
    "A queue is open to one operator at a time; a second operator waits for a few seconds.",
)


Consumer = Annotated[str, typer.Argument(help="Consumer: its dead-letter queue's name without `.parked`.")]

MessageId = Annotated[str, typer.Argument(help="The message's id, from the list.")]
Number = Annotated[
    int | None, typer.Option(min=1, help="Number in the list; needed where different messages share an id.")
]


HubDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Data directory of an embedded hub.", file_okay=False)
]


Documents = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]


@dead_letters.command("list")
def list_dead_letters(
    consumer: Annotated[str | None, typer.Option(help="Show only this consumer's dead letters.")] = None,
    data_dir: HubDir = None,
    as_json: Documents = False,
) -> None:
    """List dead letters: consumer, type, reason and time first seen, never their content."""
    _dead_letter_commands(data_dir, as_json=as_json).list(consumer)


@dead_letters.command("show")
def show_dead_letter(
    consumer: Consumer,
    message_id: MessageId,
    number: Number = None,
    with_data: Annotated[
        bool, typer.Option("--data", help="Include the payload (never sealed content); the log records it.")
    ] = False,
    data_dir: HubDir = None,
    as_json: Documents = False,
) -> None:
    """Show one dead letter: its envelope, its reason and the queue it came from."""
    _dead_letter_commands(data_dir, as_json=as_json).show(
        consumer, message_id, number=number, with_data=with_data
    )


@dead_letters.command("replay")
def replay_dead_letters(
    consumer: Consumer,
    message_id: Annotated[
        str | None, typer.Argument(help="The message's id; without it, give --all.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Replay every dead letter of the consumer, in order.")
    ] = False,
    reason_contains: Annotated[
        str, typer.Option(help="With --all: replay only messages whose reason contains this text.")
    ] = "",
    number: Number = None,
    data_dir: HubDir = None,
    as_json: Documents = False,
) -> None:
    """Return messages to the queues they came from, once their cause is fixed.

    An interruption loses no message. A message that is replayed twice takes effect once.
    """
    if every == (message_id is not None):
        raise typer.BadParameter("Give either a MESSAGE_ID or --all.")
    commands = _dead_letter_commands(data_dir, as_json=as_json)
    if message_id is None:
        if number is not None:
            raise typer.BadParameter("--number needs a MESSAGE_ID.")
        commands.replay_all(consumer, reason_contains=reason_contains)
    else:
        if reason_contains:
            raise typer.BadParameter("--reason-contains needs --all.")
        commands.replay(consumer, message_id, number=number)


@dead_letters.command("discard")
def discard_dead_letter(
    consumer: Consumer,
    message_id: MessageId,
    number: Number = None,
    sure: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    data_dir: HubDir = None,
    as_json: Documents = False,
) -> None:
    """Delete a dead letter permanently."""
    _dead_letter_commands(data_dir, as_json=as_json).discard(consumer, message_id, number=number, sure=sure)


def _dead_letter_commands(data_dir: Path | None, *, as_json: bool) -> DeadLetterCommands:
    from admin.dead_letters import DeadLetterCommands
    from kopuro_client.commands.output import Output

    return DeadLetterCommands(Output(as_json=as_json), data_dir, os.environ)


admin = typer.Typer(
    no_args_is_help=True,
    help="Operators: set up a hub, keep it in order.",
    epilog="Dead letters: kopuro dead-letters. Comparing the log with the databases: kopuro audit reconcile.",
)


@admin.callback()
def _admin_group() -> None:
    """Operators: set up a hub, keep it in order."""


register_setup(admin)
register_rotation(admin)
register_doctor(admin)
register_backup(admin)
register_client(admin)
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
    from contracts.broker_rights import user_name
    from kopuro_client.commands.output import Output

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
        "each service's KOPURO_AMQP_URI names its own user; `operations` is for `kopuro dead-letters`, "
        "`watch` for KOPURO_BROKER_MANAGEMENT_URI"
    )


@admin.command("evidence")
def show_evidence(
    referral_id: Annotated[str, typer.Argument(metavar="REFERRAL")],
    database: Annotated[str, typer.Option(envvar="KOPURO_DATABASE_URL", help="The vault's database.")],
    keys: Annotated[
        Path,
        typer.Option(help="Directory with hub.public.json and the manifest of that time.", file_okay=False),
    ],
) -> None:
    """Verify the signed facts on which the vault acted for a referral, and print them as JSON lines.

    The exit status is 1 if a signature does not verify.
    """
    from admin.evidence import evidence_of
    from kopuro_client.commands.output import Output

    found = evidence_of(referral_id, database, keys)
    out = Output(as_json=True)
    for one in found:
        out.document(one.document())
    if any(one.problem is not None for one in found):
        raise typer.Exit(1)


@admin.command("keep-role")
def keep_role(
    principal: Annotated[str, typer.Argument(help="The organisation or the member of the staff.")],
    role: Annotated[str, typer.Argument(help="partner, coordinator, auditor or operator.")],
    database: Annotated[str, typer.Option(envvar="KOPURO_DATABASE_URL", help="The directory's database.")],
    hub: Annotated[str, typer.Option(envvar="KOPURO_HUB", help="The hub's country code.")] = "kg",
    client: Annotated[
        str | None, typer.Option(help="The client that a member of the staff keeps, where several fit.")
    ] = None,
) -> None:
    """Leave a principal of an earlier build one of its roles. Its clients without that role are revoked.

    The others' work goes to other people: issue them clients with `kopuro credential issue`. The log records
    each change. The directory may be running.
    """
    from admin.kept_role import keep_role_in
    from contracts.errors import Refused
    from kopuro_client.commands.output import Output

    try:
        changed = keep_role_in(database, hub, principal, role, client)
    except (Refused, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    out = Output(as_json=False)
    for one in changed:
        out.text(f"{one.id}: {', '.join(one.roles) if one.live else 'revoked'}")
    out.note(f"{len(changed)} clients changed")


manifest = typer.Typer(
    no_args_is_help=True, help="Operators: change a hub's signed list of services and keys."
)
admin.add_typer(manifest, name="manifest")

ManifestDir = Annotated[
    Path,
    typer.Argument(help="Directory with hub.json, hub.public.json and manifest.jws.", file_okay=False),
]


@manifest.command("show")
def show_manifest(directory: ManifestDir) -> None:
    """Verify the manifest and print it as JSON."""
    from admin.manifest_files import manifest_in

    _print_manifest(manifest_in(directory))


@manifest.command("add-key")
def add_manifest_key(directory: ManifestDir, service: str) -> None:
    """Create another signing key for a service and sign a manifest that lists it.

    The older keys stay listed: messages that they signed are still in queues.
    """
    from admin.manifest_files import add_key
    from kopuro_client.commands.output import Output

    changed, path = add_key(directory, service)
    _print_manifest(changed)
    out = Output(as_json=True)
    out.note(f"give every service the new manifest and restart it; then set KOPURO_SERVICE_KEY={path}")


@manifest.command("remove-key")
def remove_manifest_key(
    directory: ManifestDir, service: str, kid: Annotated[str, typer.Argument(help="The key's thumbprint.")]
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
