"""The commands `kopuro admin amqp`: organisations that use AMQP, their broker users and their clients.

Access needs both: a client of the gateway at the directory, which another operator may have to approve, and a
user at the partners' broker. The gateway gives the user its permissions only while the hub admits the client.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kopuro_client.commands.session import Session, connected
from kopuro_client.errors import PROBLEM, InvalidArgumentError, RefusedError, UnavailableError

if TYPE_CHECKING:
    from admin.embedded_broker import BrokerIdentity
    from kopuro_client.commands.output import Output
    from services.gateway.adapters.management_users import ManagementUsers

_PASSWORD_BYTES = 32
# The embedded hub's (`sandbox.hub_files`).
_HUB = "kg"

_ORGANIZATION = Annotated[str, typer.Argument(help="The organisation's id.")]
_MANAGEMENT = Annotated[
    str | None,
    typer.Option(
        envvar="KOPURO_BROKER_MANAGEMENT_URI",
        help="Management API of the partners' broker, with an administrator's name and password.",
    ),
]
_DATA_DIR = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Data directory of an embedded hub (`kopuro up --amqp`).", file_okay=False
    ),
]
_HASH = Annotated[
    str | None,
    typer.Option(
        "--password-hash",
        help="RabbitMQ's salted SHA-256 of the organisation's own password; by default one is made here.",
    ),
]


def register(admin: typer.Typer) -> None:
    """Add the commands to `kopuro admin`."""
    amqp = typer.Typer(no_args_is_help=True, help="Operators: let organisations connect over AMQP.")
    amqp.command("init")(init_gateway)
    amqp.command("connect")(connected(connect))
    amqp.command("password")(password)
    amqp.command("disconnect")(connected(disconnect))
    admin.add_typer(amqp, name="amqp")


def init_gateway(
    directory: Annotated[
        Path, typer.Argument(help="Directory for the files; created with mode 0700.", file_okay=False)
    ],
    hub: Annotated[str, typer.Option(help="Country code of the hub, two lower-case letters.")],
    broker: Annotated[str, typer.Option(help="The partners' broker: amqps://HOST:5671, without a user.")],
    management: Annotated[str, typer.Option(help="Its management API: https://HOST:15671, without a user.")],
    discovery: Annotated[Path, typer.Option(help="The hub's discovery document.", dir_okay=False)],
) -> None:
    """Write the files of a gateway: its key, its environment file, and its broker's definitions.

    Import partners-definitions.json at the partners' broker (`rabbitmqctl import_definitions`), then start
    `python -m runtime services.gateway` with gateway.env. A file that exists is kept.
    """
    from admin.gateway_files import GatewayPlan, write_gateway_files
    from kopuro_client.commands.output import Output

    plan = GatewayPlan(hub=hub, broker=broker, management=management, discovery=discovery.resolve())
    out = Output(as_json=False)
    for file in write_gateway_files(directory, plan):
        out.text(str(file))


def connect(
    session: Session,
    organization: _ORGANIZATION,
    gateway_key: Annotated[
        Path | None,
        typer.Option(
            envvar="KOPURO_GATEWAY_KEY", help="The gateway's key (JWK); only its public half is sent."
        ),
    ] = None,
    management_uri: _MANAGEMENT = None,
    password_hash: _HASH = None,
    revision: Annotated[
        int | None,
        typer.Option(help="Revision of the gateway's client, to connect again after a revocation."),
    ] = None,
    data_dir: _DATA_DIR = None,
) -> None:
    """Let an organisation connect over AMQP. The password is shown only now.

    Registers the gateway's client for the organisation; another operator may have to approve it. Until then
    the broker refuses the user.
    """
    from services.gateway.domain.partner import client_of

    key = _gateway_key(gateway_key, data_dir)
    users = _users(management_uri, data_dir)
    made, stored = _made(password_hash)
    try:
        issued: Any = session.hub.administration.issue_client(
            organization, "partner", client_id=client_of(organization), keys=[key], revision=revision
        )
    except RefusedError as refused:
        if refused.type == f"{PROBLEM}precondition-required":
            session.out.note(
                f"{organization} has a client of the gateway already. `kopuro admin amqp password "
                f"{organization}` replaces its password; to connect it again after a revocation, give "
                f"--revision (`kopuro credential list` shows it)"
            )
        raise
    _put(users, organization, stored)
    if "state" in issued:
        session.out.note(
            f"requested; another operator approves it with `kopuro approvals approve {issued['id']}`"
        )
    _show(session.out, organization, made, data_dir)


def password(
    organization: _ORGANIZATION,
    management_uri: _MANAGEMENT = None,
    password_hash: _HASH = None,
    data_dir: _DATA_DIR = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")] = False,
) -> None:
    """Replace an organisation's password at the broker. Open connections stay; the old one ends at once."""
    from kopuro_client.commands.output import Output

    made, stored = _made(password_hash)
    _put(_users(management_uri, data_dir), organization, stored)
    _show(Output(as_json=as_json), organization, made, data_dir)


def disconnect(
    session: Session,
    organization: _ORGANIZATION,
    management_uri: _MANAGEMENT = None,
    data_dir: _DATA_DIR = None,
) -> None:
    """End an organisation's access over AMQP: revoke the gateway's client, delete the user and its queue.

    No message is lost: what is not acknowledged stays in the mailbox.
    """
    from runtime.messaging.ports import BrokerUnavailable
    from services.gateway.domain.partner import client_of
    from services.gateway.ports import UserConflict

    # Other commands revoke the client too; a client that is not there needs no revocation.
    try:
        session.hub.administration.revoke_client(client_of(organization))
    except RefusedError as refused:
        if refused.type != f"{PROBLEM}not-found":
            raise
    try:
        _users(management_uri, data_dir).remove(organization)
    except BrokerUnavailable as error:
        raise UnavailableError(str(error)) from error
    except UserConflict:
        raise InvalidArgumentError(
            f"{organization} is a user at the broker that the gateway has not made"
        ) from None
    session.out.note("disconnected; the mailbox stays available over HTTP")


def _users(uri: str | None, data_dir: Path | None) -> ManagementUsers:
    from services.gateway.adapters.management_users import ManagementUsers

    if data_dir is not None:
        uri = _embedded(data_dir).management_uri(_HUB)
    if uri is None:
        raise InvalidArgumentError("give --data-dir, or --management-uri (KOPURO_BROKER_MANAGEMENT_URI)")
    return ManagementUsers(uri)


def _embedded(data_dir: Path) -> BrokerIdentity:
    """Return the broker of an embedded hub. Raises InvalidArgumentError if it has no gateway."""
    from admin.embedded_broker import BrokerFiles, BrokerIdentity

    file = BrokerFiles(root=data_dir / "broker").identity
    try:
        identity = BrokerIdentity.from_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        identity = None
    if identity is None or identity.management_port is None:
        raise InvalidArgumentError(f"{data_dir} is no hub that `kopuro up --amqp` has started")
    return identity


def _gateway_key(file: Path | None, data_dir: Path | None) -> dict[str, Any]:
    if data_dir is not None:
        file = data_dir / "keys" / "gateway.json"
    if file is None:
        raise InvalidArgumentError("give --data-dir, or --gateway-key (KOPURO_GATEWAY_KEY)")
    return _public(file)


def _made(password_hash: str | None) -> tuple[str | None, str]:
    """Return a new password, or None for one that the organisation made, and its stored form."""
    from services.gateway.domain.partner import hashed, is_hash

    if password_hash is not None:
        if not is_hash(password_hash):
            raise InvalidArgumentError(
                "--password-hash is not base64 of four bytes of salt and a SHA-256 digest"
            )
        return None, password_hash
    made = secrets.token_urlsafe(_PASSWORD_BYTES)
    return made, hashed(made, secrets.token_bytes(4))


def _put(users: ManagementUsers, organization: str, stored: str) -> None:
    from runtime.messaging.ports import BrokerUnavailable
    from services.gateway.ports import UserConflict

    try:
        users.put(organization, stored)
    except UserConflict:
        raise InvalidArgumentError(
            f"{organization} is a user at the broker that the gateway has not made"
        ) from None
    except BrokerUnavailable as error:
        raise UnavailableError(str(error)) from error


def _conflict(organization: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"{organization} is a user at the broker that the gateway has not made")


def _show(out: Output, organization: str, made: str | None, data_dir: Path | None) -> None:
    from admin.embedded_broker import LOOPBACK
    from contracts.broker_rights import PARTNERS_VHOST
    from services.gateway.domain.partner import SUBMIT, queue_of

    shown = {
        "user": organization,
        "password": made,
        "vhost": PARTNERS_VHOST,
        "queue": queue_of(organization),
        "exchange": SUBMIT,
    }
    if data_dir is not None:
        shown["broker"] = f"{LOOPBACK}:{_embedded(data_dir).amqp_port}"
    if out.as_json:
        out.document({name: value for name, value in shown.items() if value is not None})
        return
    out.text(organization)
    if made is not None:
        out.text(made)
        out.note("the password is shown only now")
    if data_dir is not None:
        out.note(f"the broker listens on {shown['broker']}, virtual host {PARTNERS_VHOST}")


def _public(file: Path) -> dict[str, Any]:
    try:
        key = json.loads(file.read_text(encoding="utf-8"))
        if key["crv"] == "Ed25519":
            return {name: key[name] for name in ("kty", "crv", "x", "kid")}
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not chained: the cause may quote the contents of the key file
    raise InvalidArgumentError(f"{file} does not hold an Ed25519 key (JWK) with a kid")
