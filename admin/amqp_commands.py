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
from kopuro_client.errors import InvalidArgumentError, RefusedError

if TYPE_CHECKING:
    from services.gateway.adapters.management_users import ManagementUsers

_PASSWORD_BYTES = 32

_ORGANIZATION = Annotated[str, typer.Argument(help="The organisation's id.")]
_MANAGEMENT = Annotated[
    str,
    typer.Option(
        envvar="KOPURO_BROKER_MANAGEMENT_URI",
        help="Management API of the partners' broker, with an administrator's name and password.",
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
    amqp.command("connect")(connected(connect))
    amqp.command("password")(connected(password))
    amqp.command("disconnect")(connected(disconnect))
    admin.add_typer(amqp, name="amqp")


def connect(
    session: Session,
    organization: _ORGANIZATION,
    gateway_key: Annotated[
        Path,
        typer.Option(
            envvar="KOPURO_GATEWAY_KEY", help="The gateway's key (JWK); only its public half is sent."
        ),
    ],
    management_uri: _MANAGEMENT,
    password_hash: _HASH = None,
) -> None:
    """Let an organisation connect over AMQP. The password is shown only now.

    Registers the gateway's client for the organisation; another operator may have to approve it. Until then
    the broker refuses the user.
    """
    from services.gateway.domain.partner import client_of

    users = _users(management_uri)
    made, stored = _made(password_hash)
    issued: Any = session.hub.administration.issue_client(
        organization, "partner", client_id=client_of(organization), keys=[_public(gateway_key)]
    )
    _put(users, organization, stored)
    if "state" in issued:
        session.out.note(
            f"requested; another operator approves it with `kopuro approvals approve {issued['id']}`"
        )
    _show(session, organization, made)


def password(
    session: Session, organization: _ORGANIZATION, management_uri: _MANAGEMENT, password_hash: _HASH = None
) -> None:
    """Replace an organisation's password at the broker. Open connections stay; the old one ends at once."""
    made, stored = _made(password_hash)
    _put(_users(management_uri), organization, stored)
    _show(session, organization, made)


def disconnect(session: Session, organization: _ORGANIZATION, management_uri: _MANAGEMENT) -> None:
    """End an organisation's access over AMQP: revoke the gateway's client, delete the user and its queue.

    No message is lost: what is not acknowledged stays in the mailbox.
    """
    from services.gateway.domain.partner import client_of
    from services.gateway.ports import UserConflict

    # Other commands revoke the client too; a client that is not there needs no revocation.
    try:
        session.hub.administration.revoke_client(client_of(organization))
    except RefusedError as refused:
        if refused.status != 404:
            raise
    try:
        _users(management_uri).remove(organization)
    except UserConflict:
        raise InvalidArgumentError(
            f"{organization} is a user at the broker that the gateway has not made"
        ) from None
    session.out.note("disconnected; the mailbox stays available over HTTP")


def _users(uri: str) -> ManagementUsers:
    from services.gateway.adapters.management_users import ManagementUsers

    return ManagementUsers(uri)


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
        raise InvalidArgumentError(str(error)) from error


def _conflict(organization: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"{organization} is a user at the broker that the gateway has not made")


def _show(session: Session, organization: str, made: str | None) -> None:
    from contracts.broker_rights import PARTNERS_VHOST
    from services.gateway.domain.partner import SUBMIT, queue_of

    shown = {
        "user": organization,
        "password": made,
        "vhost": PARTNERS_VHOST,
        "queue": queue_of(organization),
        "exchange": SUBMIT,
    }
    if session.out.as_json:
        session.out.document({name: value for name, value in shown.items() if value is not None})
        return
    session.out.text(organization)
    if made is not None:
        session.out.text(made)
        session.out.note("the password is shown only now")


def _public(file: Path) -> dict[str, Any]:
    try:
        key = json.loads(file.read_text(encoding="utf-8"))
        return {name: key[name] for name in ("kty", "crv", "x", "kid")}
    except (OSError, ValueError, KeyError, TypeError):
        # Not chained: the cause may quote the contents of the key file.
        raise InvalidArgumentError(f"{file} does not hold an Ed25519 key (JWK) with a kid") from None
