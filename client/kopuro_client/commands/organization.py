"""`kopuro organization`: read the directory's records and change your own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from kopuro_client.commands.input_file import read_json
from kopuro_client.commands.session import Session, connected

_ORGANIZATION = Annotated[str, typer.Argument(help="The organisation's id, such as kg.osh-legal-aid.")]


def group() -> typer.Typer:
    """Return the commands under `kopuro organization`."""
    commands = typer.Typer(no_args_is_help=True, help="Read the directory's records; change your own.")
    commands.command("show")(connected(show))
    commands.command("update")(connected(update))
    return commands


def show(session: Session, organization: _ORGANIZATION) -> None:
    """Show an organisation's record as JSON, with its revision."""
    session.out.document(session.hub.organization(organization))


def update(
    session: Session,
    organization: _ORGANIZATION,
    file: Annotated[
        Path,
        typer.Argument(help="JSON merge patch file: the members to change; null removes a member."),
    ],
    revision: Annotated[
        int | None,
        typer.Option(help="Revision that you read; the change is refused if the record has a later one."),
    ] = None,
) -> None:
    """Change members of your organisation's record. Members that the file omits stay unchanged."""
    changes = read_json(file)
    # Read even if a revision is given: the hub answers a change that changes nothing like any other.
    before = session.hub.organization(organization)["revision"]
    changed: Mapping[str, Any] = session.hub.update_organization(
        organization, changes, revision=before if revision is None else revision
    )
    if session.out.as_json:
        session.out.document(changed)
    elif "state" in changed:
        session.out.text(changed["id"])
        session.out.note("requested; another operator approves it with `kopuro approvals approve`")
    else:
        session.out.text(changed["revision"])
        session.out.note(
            "unchanged; the record already has these values"
            if changed["revision"] == before
            else "changed; routing uses the new record from now on"
        )
