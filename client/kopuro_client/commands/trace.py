"""`kopuro trace`: the hops of a submission, message or referral, and whose turn it is."""

from __future__ import annotations

from typing import Annotated

import typer

from kopuro_client.commands.code_words import in_words
from kopuro_client.commands.exit_codes import ExitCode
from kopuro_client.commands.language import LANGUAGE
from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import moment
from kopuro_client.commands.sentence_lines import show_wrapped
from kopuro_client.commands.session import Session
from kopuro_client.commands.to_do_words import to_do
from kopuro_client.commands.trace_words import receipt_of, step_of, word
from kopuro_client.commands.whose_turn_words import reason_of, whose_turn
from kopuro_client.tracing.hop import Hop
from kopuro_client.tracing.next_action import Action
from kopuro_client.tracing.trace import Trace

_INDENT = "    "


def trace(
    session: Session,
    id_or_key: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="The id of a referral, a submission, an offer or a message of the mailbox, or the "
            "Idempotency-Key of a submission or a batch.",
        ),
    ],
    organization: Annotated[
        str | None, typer.Option(help="For staff: the organisation that used the Idempotency-Key.")
    ] = None,
    language: LANGUAGE = "en",
) -> None:
    """Show where a submission, message or referral is, and whose turn it is: yours, the hub's, another's.

    A party sees its own part. The reads of staff are recorded. A service that does not answer is named. The
    exit status is 3 if nothing is known under the id or key.
    """
    found = session.hub.trace(id_or_key, organization=organization, language=language)
    if session.out.as_json:
        session.out.document(found.as_json())
    else:
        show_trace(session.out, found, language)
    if found.next.action is Action.submit:
        # Other commands end with this status for an unknown id, and a script must notice it here too.
        raise typer.Exit(ExitCode.REFUSED)


def show_trace(out: Output, found: Trace, language: str) -> None:
    """Print the hops in the order of time, then whose turn it is, since when, until when, and what to do."""
    if found.hops:
        status = in_words("status", found.status, language) if found.status else None
        out.heading(word("hops", language), *filter(None, (found.referral, status)))
        for hop in found.hops:
            _show_hop(out, found, hop, language)
        out.blank()
    if found.silent:
        out.note(word("silent", language, services=", ".join(found.silent)))
    show_turn(out, found, language)


def show_turn(out: Output, found: Trace, language: str) -> None:
    """Print whose turn it is, why, and what to do next."""
    out.heading(whose_turn(found.next, language))
    show_wrapped(out, reason_of(found.next, language))
    # On one line, so that the commands in it can be copied.
    out.text(f"{word('next', language)} {to_do(found.next, language)}")


def _show_hop(out: Output, found: Trace, hop: Hop, language: str) -> None:
    step = step_of(hop.step, language)
    out.entry(
        moment(hop.time.isoformat().replace("+00:00", "Z")),
        f"{'> ' if found.is_asked(hop) else ''}{hop.service}",
        f"{hop.about}: {step}" if hop.about is not None else step,
        hop.organization or (word("coordinators", language) if hop.about is not None else None),
    )
    if hop.sentence is not None:
        show_wrapped(out, hop.sentence, first=_INDENT)
    receipt = [receipt_of(name, value, language) for name, value in hop.receipt.items()]
    if hop.published is not None:
        receipt.append(word("published" if hop.published else "unpublished", language))
    if hop.entry is not None:
        name = "entry" if hop.signed else "unsigned"
        receipt.append(word(name, language, entry=hop.entry, size=found.log_size))
    if receipt:
        show_wrapped(out, "; ".join(receipt), first=_INDENT)
