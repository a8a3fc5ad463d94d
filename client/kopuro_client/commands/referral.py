"""`kopuro referral`: submit, follow and close referrals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from kopuro_client.commands.act_words import question, recorded
from kopuro_client.commands.candidates import show_candidates
from kopuro_client.commands.confirmation import YES, ask
from kopuro_client.commands.explanation import show_decisions
from kopuro_client.commands.fixed_values import (
    CONSENT_INSTEAD,
    HAND_BACK_REASONS,
    OUTCOMES,
    PROGRESS,
    WITHDRAWAL_REASONS,
    listed,
    one_of,
)
from kopuro_client.commands.input_file import read_json_or_stdin
from kopuro_client.commands.known_organization import require_known
from kopuro_client.commands.language import LANGUAGE
from kopuro_client.commands.lists import AFTER, LIMIT, show_page
from kopuro_client.commands.preview import show_preview
from kopuro_client.commands.printable import moment
from kopuro_client.commands.referral_effects import effects_of_end
from kopuro_client.commands.session import Session, connected
from kopuro_client.commands.submitted import (
    IDEMPOTENCY_KEY,
    NOTE,
    checked_key,
    refuse_key_with_note,
    show_submitted,
)
from kopuro_client.commands.timeline import show_referral
from kopuro_client.errors import CaseError, InvalidArgumentError

REFERRAL = Annotated[str, typer.Argument(metavar="REFERRAL", help="The referral's id.")]


def group() -> typer.Typer:
    """Return the commands under `kopuro referral`."""
    commands = typer.Typer(no_args_is_help=True, help="Submit, follow and close referrals.")
    for command in (
        submit,
        preview,
        show,
        list_,
        withdraw,
        progress,
        complete,
        hand_back,
        note,
        revoke_consent,
        explain,
    ):
        commands.command(command.__name__.rstrip("_").replace("_", "-"))(connected(command))
    return commands


def submit(
    session: Session,
    file: Annotated[str, typer.Argument(help="JSON file with a referral and its case; - for stdin.")],
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            callback=checked_key,
            help="Makes retries safe: the request takes effect once per key. Requires a sealed case; "
            "see `kopuro case seal`.",
        ),
    ] = None,
    onward_from: Annotated[
        str | None,
        typer.Option(
            metavar="REFERRAL",
            help="The referral that you accepted and refer onward with this one. Needs a consent of its own.",
        ),
    ] = None,
) -> None:
    """Seal a referral's case and submit the referral. Prints its id.

    The file contains the referral's facts and a member "case": an object, which is sealed here, or a
    string, which is an already sealed case.
    """
    facts, case, sealed = read_submission(file)
    if idempotency_key is not None and sealed is None:
        raise InvalidArgumentError(
            "--idempotency-key requires a sealed case, because each sealing yields another request: "
            "first run `kopuro case seal`"
        )
    with case_in_document():
        accepted = session.hub.submit(
            facts, case=case, sealed=sealed, onward_from=onward_from, idempotency_key=idempotency_key
        )
    show_submitted(
        session.out, accepted, "referral submitted", then="the answers to it will arrive in the mailbox"
    )


def preview(
    session: Session,
    file: Annotated[str, typer.Argument(help="JSON file with a referral; - for stdin.")],
    language: LANGUAGE = "en",
) -> None:
    """Show how many organisations could take a referral if it were submitted now.

    Nothing is stored, and no case is sent. Organisations are counted in bands (0, 1-4, 5-19, 20+). To learn
    what one more opt-in would change, ask the person and add the kind to "opt_in_kinds": the preview says
    nothing about kinds that are not in that list.
    """
    show_preview(session.out, session.hub.preview(read_json_or_stdin(file)), language)


def show(session: Session, referral: REFERRAL) -> None:
    """Show a referral's state, offers and timeline."""
    found = session.hub.referral(referral)
    if session.out.as_json:
        session.out.document(found)
    else:
        show_referral(session.out, found)


def list_(
    session: Session,
    status: Annotated[
        str | None,
        typer.Option(help="Only referrals in this state that you sent, accepted, or are offered now."),
    ] = None,
    after: AFTER = None,
    limit: LIMIT = None,
) -> None:
    """List the referrals that you sent or accepted, a page at a time."""
    show_page(
        session.out,
        session.hub.referrals_page(status=status, after=after, limit=limit),
        columns=("id", "status", "urgency", "region", "needs", "sender", "acceptor", "updated"),
        row=lambda item: (
            item["id"],
            item["status"],
            item["urgency"],
            item["region"],
            item["needs"],
            item["sender"],
            item["acceptor"],
            moment(item["updated_at"]),
        ),
    )


def withdraw(
    session: Session,
    referral: REFERRAL,
    reason: Annotated[
        str,
        typer.Option(
            callback=one_of(WITHDRAWAL_REASONS, instead=CONSENT_INSTEAD),
            help=f"{listed(WITHDRAWAL_REASONS)}{CONSENT_INSTEAD}.",
        ),
    ],
    yes: YES = False,
    idempotency_key: IDEMPOTENCY_KEY = None,
    language: LANGUAGE = "en",
) -> None:
    """Withdraw a referral you sent."""
    ask(
        session.out,
        lambda: effects_of_end(session.hub.referral(referral), language, erases=False),
        question("withdraw", language),
        language,
        yes=yes,
    )
    withdrawn = session.hub.withdraw(referral, reason, idempotency_key=idempotency_key)
    show_submitted(session.out, withdrawn, recorded("withdraw", language), language=language)


def progress(
    session: Session,
    referral: REFERRAL,
    status: Annotated[
        str, typer.Argument(callback=one_of(PROGRESS), help=f"{listed(PROGRESS)}.")
    ] = "in_progress",
    idempotency_key: IDEMPOTENCY_KEY = None,
) -> None:
    """Report progress on a referral you accepted."""
    reported = session.hub.progress(referral, status, idempotency_key=idempotency_key)
    show_submitted(session.out, reported, "progress recorded")


def complete(
    session: Session,
    referral: REFERRAL,
    outcome: Annotated[
        str,
        typer.Argument(callback=one_of(OUTCOMES), help=f"{listed(OUTCOMES)}."),
    ],
    idempotency_key: IDEMPOTENCY_KEY = None,
) -> None:
    """Report the outcome of a referral you accepted."""
    completed = session.hub.complete(referral, outcome, idempotency_key=idempotency_key)
    show_submitted(session.out, completed, "outcome recorded")


def hand_back(
    session: Session,
    referral: REFERRAL,
    reason: Annotated[
        str,
        typer.Option(
            callback=one_of(HAND_BACK_REASONS), help=f"{listed(HAND_BACK_REASONS)} (requires --note)."
        ),
    ],
    note: NOTE = None,
    idempotency_key: IDEMPOTENCY_KEY = None,
) -> None:
    """Hand back a referral you accepted. The hub asks the next candidates; you lose access to the case."""
    refuse_key_with_note(note, idempotency_key)
    handed_back = session.hub.hand_back(referral, reason, note=note, idempotency_key=idempotency_key)
    show_submitted(
        session.out,
        handed_back,
        "hand-back recorded",
        then="the mailbox confirms or refuses it",
    )


def note(
    session: Session,
    referral: REFERRAL,
    text: Annotated[str, typer.Argument(help="The note; it is sealed before it is sent.")],
    to: Annotated[
        str | None,
        typer.Option(help="The receiving organisation; with --as, the other party by default."),
    ] = None,
) -> None:
    """Send a sealed note to the other party of a referral."""
    receiver = to or _other_party(session, referral)
    show_submitted(
        session.out,
        session.hub.note(referral, text, to=receiver),
        f"note for {receiver} recorded",
        then="the mailbox gets a message only if it is refused or cannot be read",
    )


def revoke_consent(
    session: Session,
    referral: REFERRAL,
    yes: YES = False,
    idempotency_key: IDEMPOTENCY_KEY = None,
    language: LANGUAGE = "en",
) -> None:
    """Record that the person has revoked the consent. The case and the history's content are erased."""
    ask(
        session.out,
        lambda: effects_of_end(session.hub.referral(referral), language, erases=True),
        question("revoke", language),
        language,
        yes=yes,
    )
    revoked = session.hub.revoke_consent(referral, idempotency_key=idempotency_key)
    show_submitted(session.out, revoked, recorded("revoke", language), language=language)


def explain(
    session: Session,
    referral: REFERRAL,
    why_not: Annotated[
        str | None,
        typer.Option(
            metavar="ORGANISATION",
            help="Say which rules exclude this organisation now, even if it was not a candidate. For "
            "coordinators and auditors.",
        ),
    ] = None,
    language: LANGUAGE = "en",
) -> None:
    """Explain the routing decisions: who was asked in which order and why, and why others were not.

    --json prints the result of every rule for every candidate.
    """
    if why_not is not None:
        found = session.hub.candidates(referral, organization=why_not)
        if not found["candidates"]:
            require_known(session, why_not)
        show_candidates(session.out, found, language)
        return
    decisions = session.hub.decision(referral)
    if session.out.as_json:
        session.out.document(decisions)
    else:
        show_decisions(session.out, decisions, language)


def read_submission(file: str) -> tuple[dict[str, Any], dict[str, Any] | None, str | None]:
    """Return the facts, the unsealed case and the sealed case; one of the latter two is None.

    Raises InvalidArgumentError if the file is unreadable or has no case.
    """
    document = read_json_or_stdin(file)
    case = document.pop("case", None)
    if isinstance(case, dict):
        return document, case, None
    if isinstance(case, str):
        return document, None, case
    source = "stdin" if file == "-" else file
    raise InvalidArgumentError(f'{source} has no "case": it must be an object, or a sealed case as a string')


@contextmanager
def case_in_document() -> Iterator[None]:
    """Rebase a CaseError's pointers onto the document's member "case"."""
    try:
        yield
    except CaseError as error:
        raise error.below("/case") from error


def _other_party(session: Session, referral_id: str) -> str:
    if session.organization is None:
        raise InvalidArgumentError("the note's receiver is unknown: give --to ORGANISATION")
    found = session.hub.referral(referral_id)
    others = {found["sender"], found["acceptor"]} - {session.organization, None}
    if len(others) != 1:
        raise InvalidArgumentError("the referral has no other party yet: no organisation has accepted it")
    return str(others.pop())
