"""`kopuro organization vet`, `suspend` and `readmit`: what the network states about an organisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from kopuro_client.commands.act_words import question, recorded
from kopuro_client.commands.confirmation import YES, confirm
from kopuro_client.commands.effect_words import counted, effect
from kopuro_client.commands.fixed_values import SUSPENSION_REASONS, listed, one_of
from kopuro_client.commands.given_times import checked_date
from kopuro_client.commands.language import LANGUAGE
from kopuro_client.commands.organization_words import word
from kopuro_client.commands.session import Session
from kopuro_client.errors import InvalidArgumentError, RefusedError
from kopuro_client.records import Organization

ORGANIZATION = Annotated[str, typer.Argument(help="The organisation's id, such as kg.osh-legal-aid.")]
_REVISION = Annotated[
    int | None, typer.Option(help="Revision that you read; refused if the record has a later one.")
]
_REASON = Annotated[
    str,
    typer.Option(callback=one_of(SUSPENSION_REASONS), help=f"{listed(SUSPENSION_REASONS)}; it is recorded."),
]


def suspend(
    session: Session,
    organization: ORGANIZATION,
    reason: _REASON,
    revision: _REVISION = None,
    yes: YES = False,
    language: LANGUAGE = "en",
) -> None:
    """Exclude an organisation at once, as a coordinator or operator. Its open offers move to others."""
    if not yes:
        about = _about(session.hub.organization(organization), language)
        engaged = session.hub.engagements(organization)
        offers = counted(engaged["open_offers"], "open offer", "open offers", language)
        accepted = counted(engaged["accepted"], "accepted referral", "accepted referrals", language)
        effects = [
            effect("excluded", language, organization=about),
            effect("offers_revoked", language, counted=offers)
            if any(engaged["open_offers"].values())
            else offers,
            effect("accepted_to_place", language, counted=accepted)
            if any(engaged["accepted"].values())
            else accepted,
        ]
        sent = engaged.get("sent", {})
        if any(sent.values()):
            number = counted(sent, "open referral", "open referrals", language)
            command = f"kopuro coordination queue --organization {organization}"
            effects.append(effect("sent_go_on", language, counted=number))
            effects.append(effect("sent_need_you", language, command=command))
        confirm(session.out, effects, question("suspend", language), language)
    changed = session.hub.administration.suspend(organization, reason, revision=revision)
    _show(session, changed, "suspended", language)


def vet(
    session: Session,
    organization: ORGANIZATION,
    vetted_by: Annotated[str | None, typer.Option(help="Who examined it, for its record.")] = None,
    vetted_on: Annotated[
        str | None, typer.Option(callback=checked_date, help="Date of the examination (2026-03-07).")
    ] = None,
    yes: YES = False,
    language: LANGUAGE = "en",
) -> None:
    """Admit an organisation that has applied, as an operator. A second operator approves it."""
    record = session.hub.organization(organization)
    if record["vetting"] != "applied":
        raise InvalidArgumentError(
            f"{_about(record)} is not an applicant; `readmit` admits an excluded organisation"
        )
    examined = {"vetted_by": vetted_by, "vetted_on": vetted_on}
    changes = {"vetting": "vetted", **{name: value for name, value in examined.items() if value is not None}}
    _admit(session, record, changes, "vet", language, yes=yes)


def readmit(
    session: Session, organization: ORGANIZATION, yes: YES = False, language: LANGUAGE = "en"
) -> None:
    """Readmit an excluded organisation, as an operator. A second operator approves it."""
    record = session.hub.organization(organization)
    if record["vetting"] == "applied":
        raise InvalidArgumentError(f"{_about(record)} was never vetted; `vet` admits it")
    if record["vetting"] == "vetted" and record["active"]:
        raise InvalidArgumentError(f"{_about(record)} is not excluded")
    changes: dict[str, Any] = {"vetting": "vetted", **({} if record["active"] else {"active": True})}
    _admit(session, record, changes, "readmit", language, yes=yes)


def _admit(
    session: Session, record: Organization, changes: Mapping[str, Any], act: str, language: str, *, yes: bool
) -> None:
    if not yes:
        number = len(record["services"])
        services = effect("one_service" if number == 1 else "services", language, number=number)
        effects = [
            effect("member", language, organization=_about(record, language)),
            effect("services_asked", language, services=services),
            effect("still_holds", language),
        ]
        shown = effects if record["vetting"] != "applied" else effects[:2]
        confirm(session.out, shown, question(act, language), language)
    # With the revision that was shown: refused if the record has changed since.
    try:
        changed = session.hub.update_organization(record["id"], changes, revision=record["revision"])
    except RefusedError as error:
        if error.status == 403:
            session.out.note("an operator does this, and a second operator approves it: --as operator")
        raise
    if "state" in changed and not session.out.as_json:
        session.out.text(changed["id"])
        session.out.note(recorded("requested", language))
    else:
        _show(session, changed, "vetted", language)


def _show(session: Session, changed: Mapping[str, Any], done: str, language: str) -> None:
    if session.out.as_json:
        session.out.document(changed)
    else:
        session.out.text(changed["revision"])
        note = recorded(done, language)
        session.out.note(recorded("revision", language, note=note, revision=changed["revision"]))


def _about(record: Organization, language: str = "en") -> str:
    words = [word(record["vetting"], language)]
    if not record["active"]:
        words.append(word("inactive", language))
    return f"{record['id']} ({', '.join(words)})"
