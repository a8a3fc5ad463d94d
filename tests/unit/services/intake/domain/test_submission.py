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


def test_referral_becomes_open_fact_and_sealed_case() -> None:
    fact, sealed_case = facts()
    assert isinstance(fact, ReferralSubmitted)
    assert fact.facts.needs == ("legal.wage_claim",)
    assert b'"case"' not in dump(fact)
    assert sealed().encode() not in dump(fact)
    assert sealed_case == SealedCaseSubmitted(referral_id=REFERRAL, sender=OSH, to=None, case=sealed())


def test_case_for_named_receiver_must_be_sealed_to_receiver() -> None:
    _, sealed_case = facts(to=MOSCOW, case=sealed(MOSCOW_KID))
    assert sealed_case == SealedCaseSubmitted(
        referral_id=REFERRAL, sender=OSH, to=MOSCOW, case=sealed(MOSCOW_KID)
    )
    for changes in ({"to": MOSCOW, "case": sealed(CUSTODY_KID)}, {"case": sealed(MOSCOW_KID)}):
        with pytest.raises(Refused) as caught:
            facts(**changes)
        assert caught.value.slug == "case-not-sealed"
