from __future__ import annotations

import pytest

from contracts.errors import Refused
from contracts.facts import ReferralSubmitted, SealedCaseSubmitted
from contracts.records import dump
from services.intake.domain.submission import referral_facts
from tests.unit.services.intake.samples import (
    CUSTODY_KID,
    MEMBERS,
    MOSCOW,
    MOSCOW_KID,
    OSH,
    REFERRAL,
    sealed,
    submission,
)


def facts(**changes: object) -> tuple[object, object]:
    return referral_facts(
        submission(**changes),
        referral_id=REFERRAL,
        sender=OSH,
        custody_kid=CUSTODY_KID,
        members=MEMBERS.get,
    )


def test_a_referral_says_the_facts_in_the_open_and_the_case_in_a_letter() -> None:
    said, letter = facts()
    assert isinstance(said, ReferralSubmitted)
    assert said.facts.needs == ("legal.wage_claim",)
    assert b'"case"' not in dump(said)
    assert sealed().encode() not in dump(said)
    assert letter == SealedCaseSubmitted(referral_id=REFERRAL, sender=OSH, to=None, case=sealed())


def test_a_case_for_a_named_receiver_is_sealed_to_it_and_not_to_the_hub() -> None:
    _, letter = facts(to=MOSCOW, case=sealed(MOSCOW_KID))
    assert letter == SealedCaseSubmitted(referral_id=REFERRAL, sender=OSH, to=MOSCOW, case=sealed(MOSCOW_KID))
    for changes in ({"to": MOSCOW, "case": sealed(CUSTODY_KID)}, {"case": sealed(MOSCOW_KID)}):
        with pytest.raises(Refused) as caught:
            facts(**changes)
        assert caught.value.slug == "case-not-sealed"
