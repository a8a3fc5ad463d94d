"""The server's commands in the client's group: `kopuro organization connect` and `disconnect`.

Access over AMQP needs both: a client of the gateway at the directory, which another operator may have to
approve, and a user at the partners' broker. The gateway gives the user its permissions only while the hub
admits the client.

Every start of `kopuro` loads this module, so each command imports its implementation only when it runs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from admin.partner_access import (
    DataDir,
    Management,
    Organization,
    PasswordHash,
    broker_faults,
    new_or_hashed,
    show_access,
    users_of,
)
from kopuro_client.commands.session import Session, connected
from kopuro_client.errors import PROBLEM, InvalidArgumentError, RefusedError

_OverAmqp = Annotated[bool, typer.Option("--amqp", help="Over RabbitMQ, by the gateway; required.")]


def connect(
    session: Session,
    organization: Organization,
    over_amqp: _OverAmqp = False,
    gateway_key: Annotated[
        Path | None,
        typer.Option(
            envvar="KOPURO_GATEWAY_KEY", help="The gateway's key (JWK); only its public half is sent."
        ),
    ] = None,
    management_uri: Management = None,
    password_hash: PasswordHash = None,
    revision: Annotated[
        int | None,
        typer.Option(help="Revision of the gateway's client, to connect again after a revocation."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Let an organisation connect over AMQP, as an operator. The password is shown only now.

    Registers the gateway's client for the organisation; another operator may have to approve it. Until then
    the broker refuses the user.
    """
    from services.gateway.domain.partner import client_of

    _require_amqp(over_amqp)
    key = _gateway_key(gateway_key, data_dir)
    users = users_of(management_uri, data_dir)
    made, stored = new_or_hashed(password_hash)
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
    with broker_faults(organization):
        users.put(organization, stored)
    if "state" in issued:
        session.out.note(
            f"requested; another operator approves it with `kopuro approvals approve {issued['id']}`"
        )
    show_access(session.out, organization, made, data_dir)


def disconnect(
    session: Session,
    organization: Organization,
    over_amqp: _OverAmqp = False,
    management_uri: Management = None,
    data_dir: DataDir = None,
) -> None:
    """End an organisation's access over AMQP: revoke the gateway's client, delete the user and its queue.

    No message is lost: what is not acknowledged stays in the mailbox.
    """
    from services.gateway.domain.partner import client_of

    _require_amqp(over_amqp)
    users = users_of(management_uri, data_dir)
    # Other commands revoke the client too; a client that is not there needs no revocation.
    try:
        session.hub.administration.revoke_client(client_of(organization))
    except RefusedError as refused:
        if refused.type != f"{PROBLEM}not-found":
            raise
    with broker_faults(organization):
        users.remove(organization)
    session.out.note("disconnected; the mailbox stays available over HTTP")


connect_organization = connected(connect)
disconnect_organization = connected(disconnect)


def _require_amqp(over_amqp: bool) -> None:
    if not over_amqp:
        raise InvalidArgumentError("give --amqp: every organisation is connected over HTTP already")


def _gateway_key(file: Path | None, data_dir: Path | None) -> dict[str, Any]:
    if data_dir is not None:
        file = data_dir / "keys" / "gateway.json"
    if file is None:
        raise InvalidArgumentError("give --data-dir, or --gateway-key (KOPURO_GATEWAY_KEY)")
    return _public(file)


def _public(file: Path) -> dict[str, Any]:
    try:
        key = json.loads(file.read_text(encoding="utf-8"))
        if key["crv"] == "Ed25519":
            return {name: key[name] for name in ("kty", "crv", "x", "kid")}
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not chained: the cause may quote the contents of the key file
    raise InvalidArgumentError(f"{file} does not hold an Ed25519 key (JWK) with a kid")
