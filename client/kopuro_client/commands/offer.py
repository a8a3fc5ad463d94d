"""`kopuro offer`: answer what is offered to you."""

from __future__ import annotations

from typing import Annotated

import typer

from kopuro_client.commands.session import Session, connected
from kopuro_client.commands.submitted import show_submitted

OFFER = Annotated[str, typer.Argument(metavar="OFFER", help="The offer's id, as the mailbox names it.")]


def group() -> typer.Typer:
    """The commands under `kopuro offer`."""
    commands = typer.Typer(no_args_is_help=True, help="Answer offers.")
    commands.command("accept")(connected(accept))
    commands.command("decline")(connected(decline))
    return commands


def accept(session: Session, offer: OFFER) -> None:
    """Accept an offer. If it was in time, the case is released to you."""
    show_submitted(session.out, session.hub.accept(offer), "acceptance recorded")


def decline(
    session: Session,
    offer: OFFER,
    reason: Annotated[
        str,
        typer.Option(
            help="no_capacity, not_eligible, out_of_area, language, conflict_of_interest, "
            "needs_reassessment or other, which needs --note."
        ),
    ],
    note: Annotated[
        str | None,
        typer.Option(help="In words, sealed here: only the referral's sender reads them."),
    ] = None,
) -> None:
    """Decline an offer, with a reason: the next candidate is asked at once."""
    show_submitted(session.out, session.hub.decline(offer, reason, note=note), "answer recorded")
