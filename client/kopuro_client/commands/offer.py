"""`kopuro offer`: accept or decline offers."""

from __future__ import annotations

from typing import Annotated

import typer

from kopuro_client.commands.fixed_values import DECLINE_REASONS, listed, one_of
from kopuro_client.commands.session import Session, connected
from kopuro_client.commands.submitted import IDEMPOTENCY_KEY, NOTE, refuse_key_with_note, show_submitted

OFFER = Annotated[str, typer.Argument(metavar="OFFER", help="The offer's id, from the mailbox's message.")]


def group() -> typer.Typer:
    """Return the commands under `kopuro offer`."""
    commands = typer.Typer(no_args_is_help=True, help="Accept or decline offers.")
    commands.command("accept")(connected(accept))
    commands.command("decline")(connected(decline))
    return commands


def accept(session: Session, offer: OFFER, idempotency_key: IDEMPOTENCY_KEY = None) -> None:
    """Accept an offer. If your answer is in time, the case is released to you."""
    accepted = session.hub.accept(offer, idempotency_key=idempotency_key)
    show_submitted(session.out, accepted, "acceptance recorded")


def decline(
    session: Session,
    offer: OFFER,
    reason: Annotated[
        str,
        typer.Option(callback=one_of(DECLINE_REASONS), help=f"{listed(DECLINE_REASONS)} (requires --note)."),
    ],
    note: NOTE = None,
    idempotency_key: IDEMPOTENCY_KEY = None,
) -> None:
    """Decline an offer with a reason. The hub offers the referral to the next candidate at once."""
    refuse_key_with_note(note, idempotency_key)
    declined = session.hub.decline(offer, reason, note=note, idempotency_key=idempotency_key)
    show_submitted(
        session.out, declined, "answer recorded", then="the mailbox gets a message only if it is refused"
    )
