"""`kopuro coordination`: place referrals, and withdraw them for organisations that cannot."""

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
        no_args_is_help=True,
        help="For coordinators: place referrals, and withdraw them for organisations that cannot.",
    )
    commands.command("unplaced")(connected(unplaced))
    commands.command("place")(connected(place))
    commands.command("withdraw")(connected(withdraw))
    commands.command("revoke-consent")(connected(revoke_consent))
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


ACTS_FOR = Annotated[
    str, typer.Argument(help="The organisation you act for: excluded from the hub, or without a live client.")
]


def withdraw(
    session: Session,
    referral: REFERRAL,
    organization: ACTS_FOR,
    reason: Annotated[
        str, typer.Option(help="person_declined, placed_elsewhere, entered_in_error or other.")
    ],
) -> None:
    """Withdraw a referral for its sender, which cannot do it itself."""
    show_submitted(
        session.out, session.hub.withdraw_for(referral, organization, reason), "withdrawal recorded"
    )


def revoke_consent(session: Session, referral: REFERRAL, organization: ACTS_FOR) -> None:
    """Record that the person withdrew the consent, for the sender or the acceptor.

    The referral ends, and its case and the content of its history are erased.
    """
    submitted = session.hub.withdraw_for(referral, organization, "consent_revoked")
    show_submitted(session.out, submitted, "withdrawal of consent recorded")
