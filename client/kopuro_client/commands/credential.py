"""`kopuro credential`: OAuth clients, whose secrets only their owners know."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import typer

from kopuro_client.commands.lists import AFTER, LIMIT, show_page
from kopuro_client.commands.new_file import write_secret
from kopuro_client.commands.session import Session, connected

_SECRET_BYTES = 32
_CLIENT = Annotated[str, typer.Argument(metavar="CLIENT", help="The client's id.")]


def group() -> typer.Typer:
    """Return the commands under `kopuro credential`."""
    commands = typer.Typer(no_args_is_help=True, help="Make, issue, list and revoke client credentials.")
    commands.command("secret")(secret)
    commands.command("issue")(connected(issue))
    commands.command("list")(connected(list_))
    commands.command("revoke")(connected(revoke))
    return commands


def secret(
    file: Annotated[
        Path, typer.Argument(help="New file for the secret; existing files are not overwritten.")
    ],
) -> None:
    """Make a client secret. Writes it to FILE and its SHA-256 digest to stdout.

    Give the digest to the hub's operators, and read it to them once more by telephone. Nobody needs the
    secret itself.
    """
    made = secrets.token_urlsafe(_SECRET_BYTES)
    write_secret(file, made.encode(), public=sha256(made.encode()).hexdigest())


def issue(
    session: Session,
    principal: Annotated[str, typer.Argument(help="The organisation, or the member of the staff.")],
    role: Annotated[str, typer.Argument(help="partner, coordinator, auditor or operator.")],
    client_id: Annotated[
        str | None, typer.Option(help="The client's id; by default the principal's.")
    ] = None,
    secret_sha256: Annotated[
        str | None, typer.Option(help="Digest of the secret, from its owner (`kopuro credential secret`).")
    ] = None,
    revision: Annotated[
        int | None, typer.Option(help="Revision of the client whose secret is replaced.")
    ] = None,
) -> None:
    """Register a client, or replace its secret, as an operator. A second operator may have to approve."""
    issued: Mapping[str, Any] = session.hub.administration.issue_client(
        principal, role, client_id=client_id, secret_sha256=secret_sha256, revision=revision
    )
    if session.out.as_json:
        session.out.document(issued)
    elif "state" in issued:
        session.out.text(issued["id"])
        session.out.note("requested; another operator approves it with `kopuro approvals approve`")
    else:
        session.out.text(issued["client_id"])
        if (made := issued.get("client_secret")) is not None:
            session.out.text(made)
            session.out.note("the secret is shown only now")


def list_(session: Session, after: AFTER = None, limit: LIMIT = None) -> None:
    """List clients: every one for an operator, your own for an organisation."""
    show_page(
        session.out,
        session.hub.administration.clients_page(after=after, limit=limit),
        columns=("client", "principal", "roles", "live", "revision"),
        row=lambda item: (
            item["client_id"],
            item["principal"],
            item["roles"],
            "live" if item["live"] else "revoked",
            item["revision"],
        ),
    )


def revoke(session: Session, client: _CLIENT) -> None:
    """Revoke a client at once: any as an operator, your own as an organisation."""
    revoked = session.hub.administration.revoke_client(client)
    if session.out.as_json:
        session.out.document(revoked)
    else:
        session.out.text(revoked["client_id"])
        session.out.note("revoked")
