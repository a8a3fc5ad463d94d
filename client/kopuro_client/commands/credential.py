"""`kopuro credential`: OAuth clients, whose secrets only their owners know."""

from __future__ import annotations

import datetime as dt
import secrets
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import typer

from kopuro_client.amqp_password import generate_amqp_password
from kopuro_client.client_key import generate_client_key
from kopuro_client.commands.act_words import question
from kopuro_client.commands.confirmation import YES, ask
from kopuro_client.commands.effect_words import effect
from kopuro_client.commands.fixed_values import ROLES, listed, one_of
from kopuro_client.commands.input_file import read_json
from kopuro_client.commands.language import LANGUAGE
from kopuro_client.commands.lists import AFTER, LIMIT, show_page
from kopuro_client.commands.new_file import write_new, write_secret
from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import json_text, moment
from kopuro_client.commands.session import Session, connected
from kopuro_client.errors import PROBLEM, InvalidArgumentError, RefusedError
from kopuro_client.records import RegisteredClient

_SECRET_BYTES = 32
_LOOK_SECONDS = 0.5
_CLIENT = Annotated[str, typer.Argument(metavar="CLIENT", help="The client's id.")]


def group() -> typer.Typer:
    """Return the commands under `kopuro credential`."""
    commands = typer.Typer(no_args_is_help=True, help="Make, issue, list and revoke client credentials.")
    commands.command("secret")(secret)
    commands.command("key")(key)
    commands.command("issue")(connected(issue))
    commands.command("list")(connected(list_))
    commands.command("rotate")(connected(rotate))
    commands.command("keys")(connected(keys))
    commands.command("amqp-password")(connected(amqp_password))
    commands.command("revoke-tokens")(connected(revoke_tokens))
    commands.command("revoke")(connected(revoke))
    commands.command("name-root")(connected(name_root))
    return commands


def secret(
    file: Annotated[
        Path, typer.Argument(help="New file for the secret; existing files are not overwritten.")
    ],
) -> None:
    """Make a client secret. Writes it to FILE and its SHA-256 digest to stdout.

    Give the digest to the hub's operators, and confirm it by telephone. Nobody else needs the secret
    itself.
    """
    made = secrets.token_urlsafe(_SECRET_BYTES)
    write_secret(file, made.encode(), public=sha256(made.encode()).hexdigest())


def key(
    file: Annotated[
        Path, typer.Argument(help="New file for the private key; existing files are not overwritten.")
    ],
    kid: Annotated[
        str | None,
        typer.Option(help="The key's id in the directory; by default today's date."),
    ] = None,
) -> None:
    """Make a key with which a client signs instead of showing a secret.

    Writes the private key to FILE, for KOPURO_CLIENT_KEY, and the public key as a JWK set to stdout, for
    `kopuro credential keys`, or for the operators who register a new client with it.
    """
    private, public = generate_client_key(kid or f"{dt.datetime.now(dt.UTC):%Y-%m-%d}")
    write_secret(file, (json_text(private) + "\n").encode(), public=json_text({"keys": [public]}, indent=2))


def issue(
    session: Session,
    principal: Annotated[str, typer.Argument(help="An organisation, or a member of the staff.")],
    role: Annotated[str, typer.Argument(callback=one_of(ROLES), help=f"{listed(ROLES)}.")],
    client_id: Annotated[
        str | None, typer.Option(help="The client's id; by default the principal's.")
    ] = None,
    secret_sha256: Annotated[
        str | None, typer.Option(help="Digest of the secret, from its owner (`kopuro credential secret`).")
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="JWK set of its public keys, from its owner (`kopuro credential key`), beside a secret or "
            "instead of one.",
        ),
    ] = None,
    revision: Annotated[
        int | None, typer.Option(help="Revision of the client whose secret and keys are replaced.")
    ] = None,
) -> None:
    """Register a client, or replace its secret and keys, as an operator.

    A second operator may have to approve it.
    """
    try:
        issued: Mapping[str, Any] = session.hub.administration.issue_client(
            principal,
            role,
            client_id=client_id,
            secret_sha256=secret_sha256,
            keys=None if keys is None else _public_keys(keys),
            revision=revision,
        )
    except RefusedError as refused:
        if refused.type == f"{PROBLEM}precondition-required":
            session.out.note(
                f"the client {client_id or principal} exists: to replace its secret and keys, give "
                "--revision with the revision that `kopuro credential list` shows"
            )
        raise
    show_issued(session.out, issued)


def show_issued(out: Output, issued: Mapping[str, Any]) -> None:
    """Print a new client's id and secret, or the id of the request for it."""
    if out.as_json:
        out.document(issued)
    elif "state" in issued:
        out.text(issued["id"])
        out.note("requested; another operator approves it with `kopuro approvals approve`")
    else:
        out.text(issued["client_id"])
        if (made := issued.get("client_secret")) is not None:
            out.text(made)
            out.note("the secret is shown only now")


def list_(session: Session, after: AFTER = None, limit: LIMIT = None) -> None:
    """List clients: every one for an operator, your own for an organisation."""
    show_page(
        session.out,
        session.hub.administration.clients_page(after=after, limit=limit),
        columns=("client", "principal", "roles", "live", "root", "expires", "revision"),
        row=lambda item: (
            item["client_id"],
            item["principal"],
            item["roles"],
            "live" if item["live"] else "revoked",
            "root" if item["root"] else "",
            _first_expiry(item),
            item["revision"],
        ),
    )


def _first_expiry(client: RegisteredClient) -> str:
    """Return when the first of the client's secret and keys expires; empty if none does."""
    times = [client["secret_expires_at"], *(key.get("expires_at") for key in client["keys"])]
    return moment(min((one for one in times if one), key=dt.datetime.fromisoformat, default=""))


def rotate(
    session: Session,
    client: _CLIENT,
    secret_sha256: Annotated[
        str, typer.Option(help="Digest of the new secret (`kopuro credential secret`).")
    ],
    expires_at: Annotated[
        str | None,
        typer.Option(help="When the new secret expires (RFC 3339); by default never."),
    ] = None,
) -> None:
    """Replace the secret of your own client without an interruption: both are accepted for 24 hours."""
    rotated = session.hub.administration.rotate_secret(client, secret_sha256, expires_at=expires_at)
    if session.out.as_json:
        session.out.document(rotated)
    else:
        session.out.text(rotated["client_id"])
        until = rotated["previous_secret_until"]
        if until is not None:
            session.out.note(f"the previous secret is accepted until {moment(until)}")


def keys(
    session: Session,
    client: _CLIENT,
    file: Annotated[Path, typer.Argument(help="JWK set of all public keys that the client is to have.")],
) -> None:
    """Replace the public keys of your own client. A key that is left out ends at once, with its tokens."""
    changed = session.hub.administration.replace_client_keys(client, _public_keys(file))
    if session.out.as_json:
        session.out.document(changed)
    else:
        session.out.text("\n".join(str(one["kid"]) for one in changed["keys"]))


def amqp_password(
    session: Session,
    file: Annotated[
        Path, typer.Argument(help="New file for the password; existing files are not overwritten.")
    ],
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait until it is in force.")
    ] = 60.0,
) -> None:
    """Replace your organisation's password at the partners' broker, and write the new one to FILE.

    RabbitMQ has one password for a user: the present one ends when the new one is in force, within seconds,
    and open connections are closed. Programs that connect again with the new password lose no message.
    """
    password, password_hash = generate_amqp_password()
    write_new(file, password.encode())
    try:
        session.hub.administration.replace_amqp_password(password_hash)
    except RefusedError:
        file.unlink()
        raise
    # After any other error the file stays: the hub may have the request.
    deadline = time.monotonic() + wait
    while (waits := session.hub.administration.amqp_password_waits()) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    if session.out.as_json:
        session.out.document({"file": str(file), "waits": waits})
    elif waits:
        session.out.note(
            "the gateway has not applied the new password yet; until it does, the present one stays valid"
        )
    else:
        session.out.note("the new password is in force, and connections with the earlier one are closed")


def revoke_tokens(session: Session, client: _CLIENT) -> None:
    """End all tokens of a client within seconds; it gets new ones with its credentials."""
    ended = session.hub.administration.revoke_tokens(client)
    if session.out.as_json:
        session.out.document(ended)
    else:
        session.out.text(ended["client_id"])
        session.out.note("all tokens are revoked")


def revoke(session: Session, client: _CLIENT, yes: YES = False, language: LANGUAGE = "en") -> None:
    """Revoke a client at once. A client of an organisation revokes itself and those registered after it."""
    effects = [effect("client_ends", language, client=client)]
    ask(session.out, lambda: effects, question("revoke_client", language), language, yes=yes)
    revoked = session.hub.administration.revoke_client(client)
    if session.out.as_json:
        session.out.document(revoked)
    else:
        session.out.text(revoked["client_id"])
        session.out.note("revoked")


def name_root(session: Session, client: _CLIENT) -> None:
    """Make a client the root client of its organisation, as an operator. It may then revoke the others.

    The others cannot revoke it. If a second operator must approve this, the organisation's mailbox says so.
    """
    named: Mapping[str, Any] = session.hub.administration.name_root_client(client)
    if session.out.as_json:
        session.out.document(named)
    elif "requested_by" in named:
        session.out.text(named["id"])
        session.out.note("requested; another operator approves it with `kopuro approvals approve`")
    else:
        session.out.text(named["client_id"])
        session.out.note("named; it comes before the organisation's other clients")


def _public_keys(file: Path) -> list[dict[str, Any]]:
    """Return the keys of a JWK set. Raises InvalidArgumentError for another form and for a private key."""
    listed = read_json(file).get("keys")
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise InvalidArgumentError(f'{file} is not a JWK set: {{"keys": [...]}}')
    if any("d" in one for one in listed):
        raise InvalidArgumentError(f"{file} has a private key; send the public keys only")
    return listed
