"""`kopuro organization`: records of the directory, membership of the network, approvals of services."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from kopuro_client.commands.act_words import question, recorded
from kopuro_client.commands.applications import applications, refuse_application, vet_application
from kopuro_client.commands.apply import apply
from kopuro_client.commands.code_words import in_words
from kopuro_client.commands.confirmation import YES, ask, confirm
from kopuro_client.commands.coordination_report import statement
from kopuro_client.commands.effect_words import effect
from kopuro_client.commands.exit_codes import ExitCode
from kopuro_client.commands.fixed_values import WITHDRAWALS_OF_APPROVAL, listed, one_of
from kopuro_client.commands.input_file import read_json
from kopuro_client.commands.language import LANGUAGE
from kopuro_client.commands.membership import ORGANIZATION, readmit, suspend, vet
from kopuro_client.commands.organization_capacity import capacity
from kopuro_client.commands.organization_list import list_
from kopuro_client.commands.organization_record import agreements_of, show_record
from kopuro_client.commands.service_approval import effects_of_approval
from kopuro_client.commands.session import Session, connected
from kopuro_client.paging import following
from kopuro_client.records import ApprovedService

_PAGE = 200
_SERVICE = Annotated[str, typer.Argument(help="The service's id.")]
_WITHDRAWN_FOR = Annotated[
    str,
    typer.Option(
        "--reason",
        callback=one_of(WITHDRAWALS_OF_APPROVAL),
        help=f"{listed(WITHDRAWALS_OF_APPROVAL)}; the organisation is notified, and it is recorded.",
    ),
]


def group() -> typer.Typer:
    """Return the commands under `kopuro organization`."""
    commands = typer.Typer(
        no_args_is_help=True,
        help="List and read records; change your own; apply to join; vet and suspend organisations; approve "
        "services.",
    )
    commands.command("list")(connected(list_))
    commands.command("show")(connected(show))
    commands.command("update")(connected(update))
    commands.command("capacity")(connected(capacity))
    commands.command("statement")(connected(statement))
    commands.command("vet")(connected(vet))
    commands.command("suspend")(connected(suspend))
    commands.command("readmit")(connected(readmit))
    commands.command("apply")(connected(apply, anonymous=True))
    commands.command("applications")(connected(applications))
    commands.command("vet-application")(connected(vet_application))
    commands.command("refuse-application")(connected(refuse_application))
    commands.command("approve-service")(connected(approve_service))
    commands.command("withdraw-approval")(connected(withdraw_approval))
    return commands


def show(session: Session, organization: ORGANIZATION, language: LANGUAGE = "en") -> None:
    """Show an organisation: its standing, services and agreements.

    --json prints its record, with the revision.
    """
    record = session.hub.organization(organization)
    if session.out.as_json:
        session.out.document(record)
        return
    agreements = following(lambda after: session.hub.agreements_page(after=after, limit=_PAGE))
    show_record(session.out, record, agreements_of(organization, agreements), language)


def update(
    session: Session,
    organization: ORGANIZATION,
    file: Annotated[
        Path,
        typer.Argument(help="JSON merge patch file: the members to change; null removes a member."),
    ],
    revision: Annotated[
        int | None,
        typer.Option(help="Revision that you read; the change is refused if the record has a later one."),
    ] = None,
    yes: YES = False,
    language: LANGUAGE = "en",
) -> None:
    """Change members of your organisation's record. Members that the file omits stay unchanged.

    `"active": false` closes the hub to your organisation within 5 seconds, and to this command: only
    operators can set it back. The command warns and asks first.
    """
    changes = read_json(file)
    if isinstance(changes, dict) and changes.get("active") is False and not yes:
        confirm(session.out, _closing(organization, language), question("set_inactive", language), language)
    # Read even if a revision is given: the hub answers a change that changes nothing like any other.
    before = session.hub.organization(organization)["revision"]
    changed: Mapping[str, Any] = session.hub.update_organization(
        organization, changes, revision=before if revision is None else revision
    )
    if session.out.as_json:
        session.out.document(changed)
    elif "state" in changed:
        session.out.text(changed["id"])
        session.out.note("requested; another operator approves it with `kopuro approvals approve`")
    else:
        session.out.text(changed["revision"])
        session.out.note(
            "unchanged; the record already has these values"
            if changed["revision"] == before
            else "changed; routing uses the new record from now on"
        )


def _closing(organization: str, language: str) -> list[str]:
    """Return what `"active": false` does."""
    return [
        effect("closing", language, organization=organization),
        effect("closing_moves", language),
        effect("closing_undo", language),
    ]


def approve_service(
    session: Session,
    organization: ORGANIZATION,
    service: _SERVICE,
    needs: Annotated[
        list[str], typer.Argument(metavar="NEED...", help="Sensitive needs, such as protection.trafficking.")
    ],
    revision: Annotated[
        int,
        typer.Option(help="Revision of the record that you read; refused if it has a later one."),
    ],
    yes: YES = False,
    language: LANGUAGE = "en",
) -> None:
    """Approve a service for sensitive needs, as an operator or coordinator. Replaces an earlier approval.

    Name each need that it should be approved for: a need of the earlier approval that is left out is dropped.
    """
    ask(
        session.out,
        lambda: effects_of_approval(session, organization, service, needs, language, is_new=True),
        question("approve_service", language),
        language,
        yes=yes,
    )
    approved = session.hub.administration.approve_service(organization, service, needs, revision=revision)
    if session.out.as_json:
        session.out.document(approved)
    elif "requested_by" in approved:
        session.out.text(approved["id"])
        session.out.note(recorded("service_requested", language))
    else:
        session.out.text(approved["revision"])
        session.out.note(recorded("service_approved", language))


def withdraw_approval(
    session: Session,
    organization: ORGANIZATION,
    service: _SERVICE,
    reason: _WITHDRAWN_FOR,
    yes: YES = False,
    language: LANGUAGE = "en",
) -> None:
    """Withdraw a service's approval: it is no longer asked for sensitive needs."""
    record = session.hub.organization(organization)
    approved = next((one for one in record["approved_services"] if one["service"] == service), None)
    if approved is None:
        session.out.note(f"the service {service} of {organization} has no approval: nothing was withdrawn")
        raise typer.Exit(ExitCode.REFUSED)
    ask(
        session.out,
        lambda: _withdrawal(session, organization, approved, language),
        question("withdraw_approval", language),
        language,
        yes=yes,
    )
    changed = session.hub.administration.withdraw_service_approval(organization, service, reason)
    if session.out.as_json:
        session.out.document(changed)
    else:
        session.out.text(changed["revision"])
        session.out.note(recorded("approval_withdrawn", language))


def _withdrawal(session: Session, organization: str, approved: ApprovedService, language: str) -> list[str]:
    """Return what the withdrawal of an approval affects."""
    needs = in_words("needs", approved["needs"], language)
    offers = session.hub.engagements(organization).get("sensitive_offers", {}).get(approved["service"], 0)
    return [
        effect(
            "no_longer_approved",
            language,
            organization=organization,
            service=approved["service"],
            needs=needs,
        ),
        effect("one_sensitive_offer" if offers == 1 else "sensitive_offers", language, number=offers),
    ]
