"""What is printed for a 202: the id for the next command, and that the effect is still to come."""

from __future__ import annotations

from kopuro_client.commands.output import Output
from kopuro_client.records import Accepted


def show_submitted(out: Output, accepted: Accepted, what: str) -> None:
    """The id on stdout (or the API's JSON), the sentence on stderr."""
    if out.as_json:
        out.document(accepted)
    else:
        out.text(accepted["id"])
        out.note(f"{what}; the mailbox will say what came of it")
