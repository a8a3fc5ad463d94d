"""What is printed for a 202: the id for the next command, and that the effect is still to come."""

from __future__ import annotations

from typing import Annotated

import typer

from kopuro_client.commands.output import Output
from kopuro_client.records import Accepted

IDEMPOTENCY_KEY = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="Makes a repetition harmless: said twice with the same key, it takes effect once.",
    ),
]


def show_submitted(out: Output, accepted: Accepted, what: str) -> None:
    """The id on stdout (or the API's JSON), the sentence on stderr."""
    if out.as_json:
        out.document(accepted)
    else:
        out.text(accepted["id"])
        out.note(f"{what}; the mailbox will say what came of it")
