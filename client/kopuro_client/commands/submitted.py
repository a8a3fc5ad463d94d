"""Output for a 202 response: the id for the next command, and a note that the effect is pending."""

from __future__ import annotations

from typing import Annotated

import typer

from kopuro_client.commands.output import Output
from kopuro_client.records import Accepted

IDEMPOTENCY_KEY = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="Makes retries safe: requests with the same key take effect once.",
    ),
]


def show_submitted(out: Output, accepted: Accepted, what: str) -> None:
    """Print the id on stdout (with --json the API's JSON) and the sentence on stderr."""
    if out.as_json:
        out.document(accepted)
    else:
        out.text(accepted["id"])
        out.note(f"{what}; the result will arrive in the mailbox")
