"""The facts of an admitted referral."""

from __future__ import annotations

from collections.abc import Collection

from contracts.errors import PointerError, Refused
from contracts.facts import Fact, ReferralSubmitted, SealedCaseSubmitted
from contracts.referral import Consent, ReferralFacts, ReferralSubmission, facts_of
from services.intake.domain.members import Members, receiver_keys
from services.intake.domain.sealing import require_sealed_to


def referral_facts(
    submission: ReferralSubmission,
    *,
    referral_id: str,
    sender: str,
    custody_kids: Collection[str],
    hub_country: str,
    members: Members,
) -> tuple[Fact, Fact]:
    """Return an admitted referral's two facts: the open one, and the one that carries the sealed case.

    The case of a referral to a named organisation must be sealed to that organisation, any other case to
    one of the hub's custody keys; the person must then allow storage in the hub's country. hub_country: an
    ISO 3166-1 code. Raises Refused, with pointers.
    """
    kids = require_receiver(submission, hub_country=hub_country, members=members) or custody_kids
    require_sealed_to(submission.case, kids, "/case")
    return (
        ReferralSubmitted(
            referral_id=referral_id,
            sender=sender,
            facts=facts_of(submission),
            onward_from=submission.onward_from,
        ),
        SealedCaseSubmitted(referral_id=referral_id, sender=sender, to=submission.to, case=submission.case),
    )


def require_receiver(facts: ReferralFacts, *, hub_country: str, members: Members) -> Collection[str] | None:
    """Return the key ids of the named receiver; None if the hub takes the case into custody.

    Raises Refused, with pointers, if no case could be sent: the receiver is unknown or has no key, or the
    person does not allow storage in the hub's country.
    """
    if facts.to is not None:
        return receiver_keys(members, facts.to)
    _require_storage_allowed(facts.consent, hub_country)
    return None


def unknown_earlier_referral() -> Refused:
    """Return the refusal of an onward referral: the same for an unknown referral and for somebody else's."""
    where = PointerError(
        pointer="/onward_from", detail="No referral with this id was offered to your organisation."
    )
    return Refused("invalid-submission", "Correct /onward_from.", errors=(where,))


def _require_storage_allowed(consent: Consent, hub_country: str) -> None:
    """Refuse a case that the hub would take into custody although the person excludes its country."""
    allowed = consent.storage_countries
    if not allowed or hub_country in allowed:
        return
    where = PointerError(
        pointer="/consent/storage_countries",
        detail=f"The list lacks {hub_country}, the country of this hub, which would store the case.",
    )
    raise Refused(
        "invalid-submission",
        "This hub may not store the case. Name a receiver in `to`, and seal the case to that receiver.",
        errors=(where,),
    )
