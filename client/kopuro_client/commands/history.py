"""`kopuro history`, `kopuro bundle`, `kopuro checkpoint` and `kopuro log-key`: the audit log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kopuro_client.commands.lists import AFTER, LIMIT, show_page
from kopuro_client.commands.new_file import new_file
from kopuro_client.commands.printable import moment
from kopuro_client.commands.session import Session


def history(
    session: Session,
    referral: Annotated[str | None, typer.Argument(help="Only this referral's.")] = None,
    organization: Annotated[str | None, typer.Option(help="Only this organisation's.")] = None,
    type_: Annotated[
        str | None,
        typer.Option("--type", help="Only this event type, such as kopuro.offer.opened.v1."),
    ] = None,
    since: Annotated[str | None, typer.Option("--from", help="From this time on (RFC 3339).")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Before this time (RFC 3339).")] = None,
    actor: Annotated[
        str | None, typer.Option(help="Only what this service, organisation or reader did.")
    ] = None,
    need: Annotated[str | None, typer.Option(help="Referrals with this need, or of this group.")] = None,
    region: Annotated[str | None, typer.Option(help="Referrals in this region or country.")] = None,
    origin: Annotated[str | None, typer.Option(help="Referrals of persons from this country.")] = None,
    corridor: Annotated[str | None, typer.Option(help="Origin and destination, such as KG-RU.")] = None,
    outcome: Annotated[str | None, typer.Option(help="What tells this outcome.")] = None,
    after: AFTER = None,
    limit: LIMIT = None,
) -> None:
    """Show what the audit log holds, and the tree it was read from."""
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
        Path | None, typer.Option(help="Where to write it; nothing is overwritten. [REFERRAL.json]")
    ] = None,
) -> None:
    """Export a referral's history with its proofs, for `kopuro verify bundle`."""
    file = Path(f"{referral}.json") if output is None else output
    with new_file(file) as write:  # before anything is asked, for an export is on record
        content = session.hub.bundle(referral)
        write(content)
    if session.out.as_json:
        session.out.document({"file": str(file), "bytes": len(content)})
    else:
        session.out.text(file)


def checkpoint(session: Session) -> None:
    """Print the audit log's latest checkpoint, a signed note. Needs no credentials."""
    note = session.hub.checkpoint()
    if session.out.as_json:
        session.out.document({"checkpoint": note})
    else:
        session.out.text(note.rstrip("\n"))


def log_key(session: Session) -> None:
    """Print the log's verifier key as the hub names it: compare it with one told by somebody else.

    Needs no credentials.
    """
    key = session.hub.log_key()
    if session.out.as_json:
        session.out.document({"log_key": key})
    else:
        session.out.text(key)
