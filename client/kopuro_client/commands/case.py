"""`kopuro case`: the person's data, opened and sealed on this machine only."""

from __future__ import annotations

from typing import Annotated

import typer

from kopuro_client.commands.printable import printable
from kopuro_client.commands.referral import REFERRAL, read_submission
from kopuro_client.commands.session import Session, connected
from kopuro_client.errors import InvalidArgumentError


def group() -> typer.Typer:
    """The commands under `kopuro case`."""
    commands = typer.Typer(no_args_is_help=True, help="Open and seal cases.")
    commands.command("show")(connected(show))
    commands.command("seal")(connected(seal))
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
