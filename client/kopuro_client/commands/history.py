"""`kopuro history`, `kopuro bundle`, `kopuro checkpoint` and `kopuro log-key`: read the audit log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kopuro_client.commands.known_organization import require_known
from kopuro_client.commands.lists import AFTER, LIMIT, SINCE, UNTIL, show_page
from kopuro_client.commands.new_file import new_file
from kopuro_client.commands.printable import moment
from kopuro_client.commands.session import Session


def history(
    session: Session,
    referral: Annotated[str | None, typer.Argument(help="Only entries about this referral.")] = None,
    organization: Annotated[str | None, typer.Option(help="Only entries about this organisation.")] = None,
    type_: Annotated[
        str | None,
        typer.Option("--type", help="Only this event type, such as kopuro.offer.opened.v1."),
    ] = None,
    since: SINCE = None,
    until: UNTIL = None,
    actor: Annotated[
        str | None,
        typer.Option(
            help="Only actions of this service, organisation or member of the staff (no client's id)."
        ),
    ] = None,
    need: Annotated[
        str | None, typer.Option(help="Only referrals with this need, or a need of this group.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="Only referrals in this region or country.")] = None,
    origin: Annotated[str | None, typer.Option(help="Only referrals of persons from this country.")] = None,
    corridor: Annotated[
        str | None, typer.Option(help="Only this origin and destination country, such as KG-RU.")
    ] = None,
    outcome: Annotated[str | None, typer.Option(help="Only entries that report this outcome.")] = None,
    after: AFTER = None,
    limit: LIMIT = None,
) -> None:
    """List the audit log's entries and name the tree they were read from."""
    page = session.hub.history(
        referral=referral,
        organization=organization,
        event_type=type_,
        since=since,
        until=until,
        actor=actor,
        need=need,
        region=region,
        origin=origin,
        corridor=corridor,
        outcome=outcome,
        after=after,
        limit=limit,
    )
    if not page["items"]:
        require_known(session, organization)
    show_page(
        session.out,
        page,
        columns=("index", "time", "type", "actor", "referral", "organisation"),
        row=lambda entry: (
            entry["index"],
            moment(entry["time"]),
            entry["type"],
            entry["actor"],
            entry["referral_id"],
            entry["organization"],
        ),
    )
    head = page.get("checkpoint")
    if head and not session.out.as_json:
        session.out.note(f"read from {head['origin']}, {head['size']} entries, root {head['root']}")


def bundle(
    session: Session,
    referral: Annotated[str, typer.Argument(help="The referral's id.")],
    output: Annotated[
        Path | None,
        typer.Option(help="Output file, REFERRAL.json by default; existing files are not overwritten."),
    ] = None,
) -> None:
    """Export a referral's history with its proofs, for `kopuro verify bundle`."""
    file = Path(f"{referral}.json") if output is None else output
    with new_file(file) as write:  # before the request, because the hub records exports
        content = session.hub.bundle(referral)
        write(content)
    if session.out.as_json:
        session.out.document({"file": str(file), "bytes": len(content)})
    else:
        session.out.text(file)


def checkpoint(session: Session) -> None:
    """Print the audit log's latest checkpoint (a signed note). Needs no credentials."""
    note = session.hub.checkpoint()
    if session.out.as_json:
        session.out.document({"checkpoint": note})
    else:
        session.out.text(note.rstrip("\n"))


def log_key(session: Session) -> None:
    """Print the log's verifier key as the hub publishes it. Needs no credentials.

    Compare it with the key that you got from another source.
    """
    key = session.hub.log_key()
    if session.out.as_json:
        session.out.document({"log_key": key})
    else:
        session.out.text(key)
