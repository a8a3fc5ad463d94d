"""`kopuro organization vet`, `suspend` and `readmit`: what the network states about an organisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from kopuro_client.commands.confirmation import YES, confirm, require_terminal
from kopuro_client.commands.session import Session
from kopuro_client.errors import InvalidArgumentError, RefusedError
from kopuro_client.records import Organization

ORGANIZATION = Annotated[str, typer.Argument(help="The organisation's id, such as kg.osh-legal-aid.")]
_REVISION = Annotated[
    int | None, typer.Option(help="Revision that you read; refused if the record has a later one.")
]
_REASON = Annotated[
    str,
    typer.Option(
        help="person_at_risk, agreement_breached, data_misused, credentials_stolen, no_answer, "
        "asked_by_organization or other; it is recorded."
    ),
]


def suspend(
    session: Session,
    organization: ORGANIZATION,
    reason: _REASON,
    revision: _REVISION = None,
    yes: YES = False,
) -> None:
    """Exclude an organisation at once, as a coordinator or operator. Its open offers move to others."""
    if not yes:
        require_terminal()
        record = session.hub.organization(organization)
        effects = [f"{_about(record)}: every service of the hub refuses it within 5 seconds"]
        engaged = session.hub.engagements(organization)
        for numbers, one, many, effect in (
            (
                engaged["open_offers"],
                "open offer",
                "open offers",
                "will be revoked; the next candidates will be asked",
            ),
            (
                engaged["accepted"],
                "accepted referral",
                "accepted referrals",
                "for you to place; see your mailbox",
            ),
        ):
            effects.append(
                f"{_counted(numbers, one, many)}: {effect}" if any(numbers.values()) else f"no {many}"
            )
        sent = engaged.get("sent", {})
        if any(sent.values()):
            counted = _counted(sent, "open referral", "open referrals")
            effects += [
                f"{counted} that it sent: go on, but it can neither read nor withdraw them",
                f"of these, see those that need you: kopuro coordination queue --organization {organization}",
            ]
        confirm(session.out, effects, "suspend the organisation?")
    changed = session.hub.administration.suspend(organization, reason, revision=revision)
    _show(session, changed, "suspended; readmit it with `kopuro organization readmit`, as an operator")


def vet(
    session: Session,
    organization: ORGANIZATION,
    vetted_by: Annotated[str | None, typer.Option(help="Who examined it; part of its record.")] = None,
    vetted_on: Annotated[str | None, typer.Option(help="The day of the examination (2026-03-07).")] = None,
    yes: YES = False,
) -> None:
    """Admit an organisation that has applied, as an operator. A second operator approves it."""
    record = session.hub.organization(organization)
    if record["vetting"] != "applied":
        raise InvalidArgumentError(
            f"{_about(record)} is not an applicant; `readmit` admits an excluded organisation"
        )
    examined = {"vetted_by": vetted_by, "vetted_on": vetted_on}
    changes = {"vetting": "vetted", **{name: value for name, value in examined.items() if value is not None}}
    _admit(session, record, changes, "vet the organisation?", yes=yes)


def readmit(session: Session, organization: ORGANIZATION, yes: YES = False) -> None:
    """Readmit an excluded organisation, as an operator. A second operator approves it."""
    record = session.hub.organization(organization)
    if record["vetting"] == "applied":
        raise InvalidArgumentError(f"{_about(record)} was never vetted; `vet` admits it")
    if record["vetting"] == "vetted" and record["active"]:
        raise InvalidArgumentError(f"{_about(record)} is not excluded")
    changes: dict[str, Any] = {"vetting": "vetted", **({} if record["active"] else {"active": True})}
    _admit(session, record, changes, "readmit the organisation?", yes=yes)


def _admit(
    session: Session, record: Organization, changes: Mapping[str, Any], question: str, *, yes: bool
) -> None:
    if not yes:
        require_terminal()
        services = len(record["services"])
        offered = "1 service" if services == 1 else f"{services} services"
        effects = [
            f"{_about(record)}: may send, accept and hold referrals",
            f"{offered}: asked from then on",
            "what it still holds: it can read these cases again",
        ]
        confirm(session.out, effects if record["vetting"] != "applied" else effects[:2], question)
    # With the revision that was shown: refused if the record has changed since.
    try:
        changed = session.hub.update_organization(record["id"], changes, revision=record["revision"])
    except RefusedError as error:
        if error.status == 403:
            session.out.note("an operator does this, and a second operator approves it: --as operator")
        raise
    if "state" in changed and not session.out.as_json:
        session.out.text(changed["id"])
        session.out.note("requested; another operator approves it with `kopuro approvals approve`")
    else:
        _show(session, changed, "vetted; routing now considers it")


def _show(session: Session, changed: Mapping[str, Any], note: str) -> None:
    if session.out.as_json:
        session.out.document(changed)
    else:
        session.out.text(changed["revision"])
        session.out.note(f"{note} (the record has revision {changed['revision']})")


def _about(record: Organization) -> str:
    return f"{record['id']} ({record['vetting']}{'' if record['active'] else ', inactive'})"


def _counted(numbers: Mapping[str, int], one: str, many: str) -> str:
    """Return `3 open offers (1 emergency, 2 routine)`."""
    total = sum(numbers.values())
    parts = ", ".join(f"{number} {urgency}" for urgency, number in numbers.items() if number)
    return f"{total} {one if total == 1 else many} ({parts})"
