"""Output for a 202 response: the id for the next command, and a note that the effect is pending."""

from __future__ import annotations

from typing import Annotated

import typer

from kopuro_client.arguments import idempotency_key
from kopuro_client.commands.act_words import recorded
from kopuro_client.commands.output import Output
from kopuro_client.errors import InvalidArgumentError
from kopuro_client.records import Accepted


def checked_key(key: str | None) -> str | None:
    """Return the key. Refused here, before the hub is asked for anything."""
    if key is not None:
        try:
            idempotency_key(key)
        except InvalidArgumentError as error:
            raise typer.BadParameter(str(error)) from error
    return key


IDEMPOTENCY_KEY = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        callback=checked_key,
        help="Makes retries safe: requests with the same key take effect once.",
    ),
]
# The note of a decline or of a hand-back.
NOTE = Annotated[
    str | None, typer.Option(help="A note that only the referral's sender can read; it is sealed here.")
]


def refuse_key_with_note(note: str | None, key: str | None) -> None:
    """Raise InvalidArgumentError if both are given: each sealing of the note differs."""
    if note is not None and key is not None:
        raise InvalidArgumentError(
            "--idempotency-key cannot be given with --note, because each sealing yields another request: to "
            "repeat such an answer safely, use the library's seal_note and submit_statements"
        )


def show_submitted(
    out: Output, accepted: Accepted, what: str, *, then: str | None = None, language: str = "en"
) -> None:
    """Print the id on stdout (with --json the API's JSON), and on stderr what was recorded.

    then: what the caller can expect in the mailbox. By default a result, whether or not it is a refusal, in
    the language.
    """
    if out.as_json:
        out.document(accepted)
    else:
        out.text(accepted["id"])
        out.note(f"{what}; {then or recorded('result', language)}")
