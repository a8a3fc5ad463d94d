"""Users of organisations at the partners' broker: where the broker is, their passwords, what operators see.

For `kopuro organization connect` and `disconnect`, and `kopuro admin amqp password`.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kopuro_client.errors import InvalidArgumentError, UnavailableError

if TYPE_CHECKING:
    from admin.embedded_broker import BrokerIdentity
    from kopuro_client.commands.output import Output
    from services.gateway.adapters.management_users import ManagementUsers

_PASSWORD_BYTES: Final = 32
# The embedded hub's (`sandbox.hub_files`).
_HUB: Final = "kg"

Organization = Annotated[str, typer.Argument(help="The organisation's id.")]
Management = Annotated[
    str | None,
    typer.Option(
        envvar="KOPURO_BROKER_MANAGEMENT_URI",
        help="Management API of the partners' broker, with an administrator's name and password. "
        "For a private CA set KOPURO_BROKER_CA.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Data directory of a hub that `kopuro up --amqp` started.", file_okay=False
    ),
]
PasswordHash = Annotated[
    str | None,
    typer.Option(
        "--password-hash",
        help="RabbitMQ's salted SHA-256 of the organisation's own password; by default one is made here.",
    ),
]


def users_of(uri: str | None, data_dir: Path | None) -> ManagementUsers:
    """Return the users of the partners' broker. Raises InvalidArgumentError without a usable address."""
    from runtime.tls import BROKER, UnusableTlsFiles, tls_files
    from services.gateway.adapters.management_users import ManagementUsers

    if data_dir is not None:
        return ManagementUsers(embedded(data_dir).management_uri(_HUB))
    if uri is None:
        raise InvalidArgumentError("give --data-dir, or --management-uri (KOPURO_BROKER_MANAGEMENT_URI)")
    try:
        return ManagementUsers(uri, tls=tls_files(BROKER, os.environ))
    except UnusableTlsFiles as error:
        raise InvalidArgumentError(str(error)) from None


def embedded(data_dir: Path) -> BrokerIdentity:
    """Return the broker of an embedded hub. Raises InvalidArgumentError if it has no gateway."""
    from admin.embedded_broker import BrokerFiles, BrokerIdentity

    file = BrokerFiles(root=data_dir / "broker").identity
    try:
        identity = BrokerIdentity.from_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        identity = None
    if identity is None or identity.management_port is None:
        raise InvalidArgumentError(f"{data_dir} is not a hub that `kopuro up --amqp` started")
    return identity


def new_or_hashed(password_hash: str | None) -> tuple[str | None, str]:
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


@contextmanager
def broker_faults(organization: str) -> Iterator[None]:
    """Raise the command's errors for those of `ManagementUsers`."""
    from runtime.messaging.ports import BrokerUnavailable
    from services.gateway.ports import UserConflict

    try:
        yield
    except UserConflict:
        raise InvalidArgumentError(
            f"{organization} is a user at the broker that the gateway has not made"
        ) from None
    except BrokerUnavailable as error:
        raise UnavailableError(str(error)) from error


def show_access(out: Output, organization: str, made: str | None, data_dir: Path | None) -> None:
    """Write what the organisation needs to connect. made: its new password, shown only now."""
    from admin.embedded_broker import LOOPBACK
    from contracts.broker_rights import PARTNERS_VHOST
    from services.gateway.domain.partner import exchange_of, queue_of

    shown = {
        "user": organization,
        "password": made,
        "vhost": PARTNERS_VHOST,
        "queue": queue_of(organization),
        "exchange": exchange_of(organization),
    }
    if data_dir is not None:
        shown["broker"] = f"{LOOPBACK}:{embedded(data_dir).amqp_port}"
    if out.as_json:
        out.document({name: value for name, value in shown.items() if value is not None})
        return
    out.text(organization)
    if made is not None:
        out.text(made)
        out.note("the password is shown only now")
    if data_dir is not None:
        out.note(f"the broker listens on {shown['broker']}, virtual host {PARTNERS_VHOST}")
