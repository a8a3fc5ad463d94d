"""`kopuro case`: open and seal the person's data, on this machine only."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from kopuro_client.cases import CASE_FIELDS
from kopuro_client.commands.documents import rows, save_documents
from kopuro_client.commands.fixed_values import UNREADABLE_REASONS, one_of
from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import json_text, moment
from kopuro_client.commands.referral import REFERRAL, case_in_document, read_submission
from kopuro_client.commands.session import Session, connected
from kopuro_client.commands.submitted import IDEMPOTENCY_KEY, show_submitted
from kopuro_client.errors import (
    ClientError,
    InvalidArgumentError,
    RefusedError,
    UnreadableError,
    WrongKeyError,
)


def group() -> typer.Typer:
    """Return the commands under `kopuro case`."""
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
        bool, typer.Option("--sealed", help="Print the sealed case as JSON; do not open it.")
    ] = False,
    save_to: Annotated[
        Path | None,
        typer.Option(
            "--save-documents",
            metavar="DIR",
            help="Save the documents in this directory, as new files that only you can read.",
        ),
    ] = None,
) -> None:
    """Open the case of a referral you accepted. It is decrypted on this machine."""
    if sealed and save_to is not None:
        raise InvalidArgumentError("--save-documents and --sealed cannot be used together")
    if sealed:
        session.out.document({"referral_id": referral, "case": session.hub.sealed_case(referral)})
        return
    # Opened but not validated: an invalid case is shown too, so that the user can decide what to do with it.
    with _handed_back(session, referral), _reportable(referral):
        case = session.hub.open(session.hub.sealed_case(referral))
    if session.out.as_json:
        session.out.document({"referral_id": referral, "case": case})
    else:
        _show_case(session.out, case)
    if save_to is not None:
        saved = save_documents(case, save_to)
        for file in saved:
            session.out.note(f"saved {file}")
        if not saved:
            session.out.note("the case has no documents")


@contextmanager
def _handed_back(session: Session, referral_id: str) -> Iterator[None]:
    """After a refusal, say if the organisation handed the referral back, which ends its access."""
    try:
        yield
    except RefusedError:
        with suppress(ClientError):  # the refusal is what the user must know
            steps = session.hub.referral(referral_id)["timeline"]
            own = [
                step
                for step in steps
                if step["fact"] == "referral.handed_back" and step["organization"] == session.organization
            ]
            if own and session.organization is not None:
                session.out.note(
                    f"you handed this referral back on {moment(own[-1]['time'])}: its case is no longer yours"
                )
        raise


@contextmanager
def _reportable(referral: str) -> Iterator[None]:
    """Add to an error of opening a case the command that reports the case to its sender."""
    command = f"kopuro case unreadable {shlex.quote(referral)}"
    try:
        yield
    except UnreadableError as error:
        report = f"{error}; to ask its sender for it again: {command} --reason {error.reason}"
        raise UnreadableError(report, reason=error.reason) from error
    except WrongKeyError as error:
        raise WrongKeyError(
            f"{error}; open it with the key it is sealed to (--sealing-key FILE), or if you lost that key: "
            f"{command} --reason key_lost"
        ) from error


def _show_case(out: Output, case: Mapping[str, Any]) -> None:
    """Print every member, including fields that this version does not know."""
    out.fields(
        [
            ("name", case.get("name")),
            ("phones", case.get("phones")),
            ("safe contact", case.get("safe_contact")),
            *((name, _unknown(value)) for name, value in case.items() if name not in CASE_FIELDS),
        ]
    )
    if case.get("narrative"):
        out.blank()
        out.text(case["narrative"])
    if case.get("documents"):
        out.blank()
        out.table(("document", "kind", "bytes", "other fields"), rows(case["documents"]))


def _unknown(value: object) -> object:
    """Return a nested value as JSON, which is readable whatever its shape."""
    return json_text(value) if isinstance(value, (dict, list)) else value


def seal(
    session: Session,
    file: Annotated[str, typer.Argument(help="JSON file with a referral and its case; - for stdin.")],
) -> None:
    """Seal a referral's case to the organisation in "to", or to the hub if there is no "to".

    Prints the referral with the sealed case. Keep the output: you can submit it repeatedly under the same
    --idempotency-key, and it takes effect once.
    """
    facts, case, _ = read_submission(file)
    if case is None:
        raise InvalidArgumentError("the case is already sealed")
    with case_in_document():
        sealed = session.hub.seal(case, to=facts.get("to"))
    session.out.document({**facts, "case": sealed})


def unreadable(
    session: Session,
    referral: REFERRAL,
    reason: Annotated[
        str,
        typer.Option(
            callback=one_of(UNREADABLE_REASONS),
            help="cannot_decrypt, not_understood (the content is not a case) or key_lost (the private key "
            "is lost).",
        ),
    ] = "cannot_decrypt",
    note_from: Annotated[
        str | None,
        typer.Option(help="Report a note from this organisation instead of the case."),
    ] = None,
    idempotency_key: IDEMPOTENCY_KEY = None,
) -> None:
    """Report a case or note that you cannot read. The hub asks its sender to send it again."""
    accepted = session.hub.report_unreadable(
        referral, reason, note_from=note_from, idempotency_key=idempotency_key
    )
    show_submitted(session.out, accepted, "report recorded", then="its sender is asked to send it again")


def replace(
    session: Session,
    referral: REFERRAL,
    file: Annotated[str, typer.Argument(help="JSON file with the referral and its case; - for stdin.")],
) -> None:
    """Replace the case of your referral.

    Every organisation that has accepted it, or a part of it, gets the new case, and so do later acceptors.
    """
    _, case, _ = read_submission(file)
    if case is None:
        raise InvalidArgumentError(
            "the case is already sealed: give the unsealed case; this command seals it"
        )
    show_submitted(
        session.out,
        session.hub.replace_case(referral, case),
        "new case recorded",
        then="each acceptor gets it; the mailbox gets a message only if it is refused",
    )
