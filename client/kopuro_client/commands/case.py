"""`kopuro case`: the person's data, opened and sealed on this machine only."""

from __future__ import annotations

from typing import Annotated

import typer

from kopuro_client.commands.printable import printable
from kopuro_client.commands.referral import REFERRAL, read_submission
from kopuro_client.commands.session import Session, connected
from kopuro_client.commands.submitted import show_submitted
from kopuro_client.errors import InvalidArgumentError


def group() -> typer.Typer:
    """The commands under `kopuro case`."""
    commands = typer.Typer(no_args_is_help=True, help="Open and seal cases.")
    commands.command("show")(connected(show))
    commands.command("seal")(connected(seal))
    commands.command("unreadable")(connected(unreadable))
    commands.command("replace")(connected(replace))
    return commands


def show(
    session: Session,
    referral: REFERRAL,
    sealed: Annotated[
        bool, typer.Option("--sealed", help="With --json: the API's answer, the case still sealed.")
    ] = False,
) -> None:
    """Open the case of a referral you accepted. It is opened here: nobody else can read it."""
    if sealed:
        session.out.document({"referral_id": referral, "case": session.hub.sealed_case(referral)})
        return
    case = session.hub.case(referral)
    if session.out.as_json:
        session.out.document({"referral_id": referral, "case": case})
        return
    session.out.fields(
        [
            ("name", case.get("name")),
            ("phones", case.get("phones")),
            ("safe contact", case.get("safe_contact")),
        ]
    )
    if case.get("narrative"):
        session.out.blank()
        session.out.text(printable(case["narrative"]))
    documents = [entry for entry in case.get("documents") or [] if isinstance(entry, dict)]
    if documents:
        session.out.blank()
        session.out.table(
            ("document", "kind"),
            ((entry.get("name"), entry.get("media_type")) for entry in documents),
        )


def seal(
    session: Session,
    file: Annotated[str, typer.Argument(help="A referral with its case, as JSON; - for stdin.")],
) -> None:
    """Print the referral with its case sealed: for the organisation in "to", else for the hub.

    Keep what is printed: submitted again under the same --idempotency-key, it takes effect once.
    """
    facts, case, _ = read_submission(file)
    if case is None:
        raise InvalidArgumentError("the case is sealed already")
    session.out.document({**facts, "case": session.hub.seal(case, to=facts.get("to"))})


def unreadable(
    session: Session,
    referral: REFERRAL,
    reason: Annotated[
        str,
        typer.Option(
            help="cannot_decrypt, not_understood (it is no case), or key_lost (the private key is gone)."
        ),
    ] = "cannot_decrypt",
    note_from: Annotated[
        str | None,
        typer.Option(help="Report a note by this organisation instead of the case."),
    ] = None,
) -> None:
    """Report that you cannot read a referral's case, or a note: its sender is asked to send it again."""
    accepted = session.hub.report_unreadable(referral, reason, note_from=note_from)
    show_submitted(session.out, accepted, "report recorded")


def replace(
    session: Session,
    referral: REFERRAL,
    file: Annotated[str, typer.Argument(help="The referral with its case, as JSON; - for stdin.")],
) -> None:
    """Send the case of a referral you sent again, sealed to the organisation that accepted it."""
    _, case, _ = read_submission(file)
    if case is None:
        raise InvalidArgumentError("the case is sealed already: give it in the open, it is sealed here")
    show_submitted(session.out, session.hub.replace_case(referral, case), "new case recorded")
