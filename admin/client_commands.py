"""The commands `kopuro admin client create` and `revoke`: clients over HTTP, as an operator.

They use the same resources as `kopuro credential`, and the same rules: another operator may have to approve.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import typer

from kopuro_client.commands import credential
from kopuro_client.commands.fixed_values import ROLES, listed, one_of
from kopuro_client.commands.new_file import new_file
from kopuro_client.commands.session import Session, connected

_SECRET_BYTES = 32


def register(admin: typer.Typer) -> None:
    """Add the commands to `kopuro admin`."""
    client = typer.Typer(no_args_is_help=True, help="Operators: create and revoke clients.")
    client.command("create")(connected(create))
    client.command("revoke")(connected(credential.revoke))
    admin.add_typer(client, name="client")


def create(
    session: Session,
    principal: Annotated[str, typer.Argument(help="An organisation, or a member of the staff.")],
    role: Annotated[str, typer.Argument(callback=one_of(ROLES), help=f"{listed(ROLES)}.")],
    file: Annotated[Path, typer.Argument(help="New file (mode 0600) for the client's id and secret.")],
    client_id: Annotated[
        str | None,
        typer.Option(help="The client's id; by default the principal (for staff, without `kg.`)."),
    ] = None,
) -> None:
    """Create a client with a new secret, for a system that you run yourself.

    The id and secret go to FILE, in the form of an environment file; nothing secret is printed, and the hub
    gets the secret's digest only. For a partner use `kopuro credential issue` with the digest that the
    partner sends.
    """
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    client_id = client_id or default_client_id(principal, role)
    with new_file(file) as write:
        write(f"KOPURO_CLIENT_ID={client_id}\nKOPURO_CLIENT_SECRET={secret}\n".encode())
        # If the hub refuses, the file is removed.
        issued: Mapping[str, Any] = session.hub.administration.issue_client(
            principal, role, client_id=client_id, secret_sha256=sha256(secret.encode()).hexdigest()
        )
    credential.show_issued(session.out, issued)


def default_client_id(principal: str, role: str) -> str:
    """Return the id of a principal's client: `kg.aigul` for a partner, `aigul` for the staff.

    The directory takes no id of an organisation's form for the staff (its domain/separation.py).
    """
    hub, _, name = principal.partition(".")
    return name if name and role != "partner" and re.fullmatch("[a-z]{2}", hub) else principal
