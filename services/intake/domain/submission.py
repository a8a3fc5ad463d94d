"""The facts of an admitted referral."""

from __future__ import annotations

from contracts.facts import Fact, ReferralSubmitted, SealedCaseSubmitted
from contracts.referral import ReferralSubmission, facts_of
from services.intake.domain.members import Members, receiver_key
from services.intake.domain.sealing import require_sealed_to


def referral_facts(
    submission: ReferralSubmission, *, referral_id: str, sender: str, custody_kid: str, members: Members
) -> tuple[Fact, Fact]:
    """Return an admitted referral's two facts: the open one, and the one that carries the sealed case.

    The case of a referral to a named organisation must be sealed to that organisation, any other case to
    the hub's custody key. Raises Refused, with pointers.
    """
    kid = custody_kid if submission.to is None else receiver_key(members, submission.to)
    require_sealed_to(submission.case, kid, "/case")
    return (
        ReferralSubmitted(referral_id=referral_id, sender=sender, facts=facts_of(submission)),
        SealedCaseSubmitted(referral_id=referral_id, sender=sender, to=submission.to, case=submission.case),
    )
