"""`kopuro readers`: who read the facts of a referral."""

from __future__ import annotations

from typing import Annotated

import typer

from kopuro_client.commands.lists import AFTER, LIMIT, show_page
from kopuro_client.commands.printable import moment
from kopuro_client.commands.session import Session


def readers(
    session: Session,
    referral: Annotated[str, typer.Argument(help="The referral's id.")],
    after: AFTER = None,
    limit: LIMIT = None,
) -> None:
    """List who read a referral's facts, with client, role and filter. For staff and the parties."""
    show_page(
        session.out,
        session.hub.readers(referral, after=after, limit=limit),
        columns=("index", "time", "reader", "client", "roles", "read", "filter"),
        row=lambda read: (
            read["index"],
            moment(read["time"]),
            read["reader"],
            read["client_id"],
            ", ".join(read["roles"]),
            read["resource"] or read["type"],
            ", ".join(
                name if value is None else f"{name}={value}" for name, value in sorted(read["filter"].items())
            ),
        ),
    )
