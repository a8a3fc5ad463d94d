"""`kopuro coordination`: place referrals that no organisation accepted."""

from __future__ import annotations

from typing import Annotated

import typer

from kopuro_client.commands.lists import AFTER, LIMIT, show_page
from kopuro_client.commands.printable import moment
from kopuro_client.commands.referral import REFERRAL
from kopuro_client.commands.session import Session, connected
from kopuro_client.commands.submitted import IDEMPOTENCY_KEY, show_submitted


def group() -> typer.Typer:
    """Return the commands under `kopuro coordination`."""
    commands = typer.Typer(
        no_args_is_help=True, help="For coordinators: place referrals that no organisation accepted."
    )
    commands.command("unplaced")(connected(unplaced))
    commands.command("place")(connected(place))
    return commands


def unplaced(session: Session, after: AFTER = None, limit: LIMIT = None) -> None:
    """List the referrals that are waiting for a coordinator."""
    show_page(
        session.out,
        session.hub.unplaced_page(after=after, limit=limit),
        columns=("id", "urgency", "region", "needs", "since", "reason"),
        row=lambda item: (
            item["id"],
            item["urgency"],
            item["region"],
            item["needs"],
            moment(item["since"]),
            item["reason"],
        ),
    )


def place(
    session: Session,
    referral: REFERRAL,
    organization: Annotated[str, typer.Argument(help="The organisation to offer the referral to.")],
    idempotency_key: IDEMPOTENCY_KEY = None,
) -> None:
    """Offer an unplaced referral to an organisation."""
    placed = session.hub.place(referral, organization, idempotency_key=idempotency_key)
    show_submitted(session.out, placed, "placement recorded")
