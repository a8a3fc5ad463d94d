"""`kopuro approvals`: requests that a second person confirms or refuses."""

from __future__ import annotations

from typing import Annotated

import typer

from kopuro_client.commands.admission_words import APPROVAL_STATES, KINDS, field, note, worded
from kopuro_client.commands.fixed_values import STATES_OF_APPROVALS, listed, one_of
from kopuro_client.commands.language import LANGUAGE
from kopuro_client.commands.lists import AFTER, LIMIT, show_page
from kopuro_client.commands.printable import moment
from kopuro_client.commands.service_approval import effects_of_approval
from kopuro_client.commands.session import Session, connected

_APPROVAL = Annotated[str, typer.Argument(metavar="APPROVAL", help="The request's id.")]


def group() -> typer.Typer:
    """Return the commands under `kopuro approvals`."""
    commands = typer.Typer(
        no_args_is_help=True,
        help="Requests for clients, roles, keys, vetting, services and agreements that a second person "
        "confirms.",
    )
    commands.command("list")(connected(list_))
    commands.command("show")(connected(show))
    commands.command("approve")(connected(approve))
    commands.command("refuse")(connected(refuse))
    return commands


def list_(
    session: Session,
    state: Annotated[
        str, typer.Option(callback=one_of(STATES_OF_APPROVALS), help=f"{listed(STATES_OF_APPROVALS)}.")
    ] = "requested",
    after: AFTER = None,
    limit: LIMIT = None,
    language: LANGUAGE = "en",
) -> None:
    """List requests, oldest first; by default those that wait for a decision."""
    wanted = None if state == "all" else state
    show_page(
        session.out,
        session.hub.administration.approvals_page(state=wanted, after=after, limit=limit),
        columns=[
            field(name, language)
            for name in ("id", "kind", "subject", "state", "requested_by", "endorsed_by", "expires")
        ],
        row=lambda item: (
            item["id"],
            worded(KINDS, item["kind"], language),
            item["subject"],
            worded(APPROVAL_STATES, item["state"], language),
            item["requested_by"],
            item["endorsed_by"] or "",
            moment(item["expires_at"]),
        ),
        language=language,
    )


def show(session: Session, approval: _APPROVAL, language: LANGUAGE = "en") -> None:
    """Show a request as JSON, with exactly what takes effect when it is approved.

    For an open approval of a service it also says, on stderr, the present and the new needs, what is dropped
    and whether the organisation is suspended. --json prints the request only.
    """
    found = session.hub.administration.approval(approval)
    session.out.document(found)
    if not session.out.as_json and found["kind"] == "service" and found["state"] == "requested":
        change = found["change"]
        lines = effects_of_approval(
            session, change["organization"], change["service"], change["needs"], language
        )
        for line in lines:
            session.out.note(line)


def approve(session: Session, approval: _APPROVAL, language: LANGUAGE = "en") -> None:
    """Approve a request as its second person, so that it takes effect. Read it with `show` first.

    A partner's request for its own key needs two members of the staff; the first one endorses it.
    """
    decided = session.hub.administration.approve(approval)
    _decided(session, decided)
    if decided["state"] == "requested" and not session.out.as_json:
        session.out.note(note("endorsed", language))


def refuse(session: Session, approval: _APPROVAL) -> None:
    """Refuse a request, or withdraw it as its requester. It then has no effect."""
    _decided(session, session.hub.administration.refuse(approval))


def _decided(session: Session, approval: object) -> None:
    assert isinstance(approval, dict)
    if session.out.as_json:
        session.out.document(approval)
    else:
        session.out.text(approval["state"])
