from __future__ import annotations

import pytest

from contracts.errors import Refused
from contracts.facts import ReferralSubmitted, SealedCaseSubmitted
from contracts.records import dump
from services.intake.domain.submission import referral_facts
from tests.unit.services.intake.samples import (
    CUSTODY_KID,
    FACTS,
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
        custody_kids=(CUSTODY_KID,),
        hub_country="KG",
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


def stored_in(*countries: str) -> dict[str, object]:
    return {**FACTS["consent"], "storage_countries": list(countries)}


def test_case_that_this_hub_may_not_store_is_refused_before_custody() -> None:
    with pytest.raises(Refused) as caught:
        facts(consent=stored_in("KZ", "RU"))
    assert (caught.value.slug, caught.value.status) == ("invalid-submission", 422)
    (error,) = caught.value.errors
    assert error.pointer == "/consent/storage_countries"
    assert "lacks KG, the country of this hub" in error.detail


@pytest.mark.parametrize("countries", [(), ("KG",), ("KZ", "KG")])
def test_case_that_this_hub_may_store_is_admitted(countries: tuple[str, ...]) -> None:
    fact, _ = facts(consent=stored_in(*countries))
    assert isinstance(fact, ReferralSubmitted)
    assert fact.facts.consent.storage_countries == countries


def test_case_sealed_to_a_named_receiver_is_admitted_whatever_the_country_of_the_hub() -> None:
    _, sealed_case = facts(to=MOSCOW, case=sealed(MOSCOW_KID), consent=stored_in("RU"))
    assert isinstance(sealed_case, SealedCaseSubmitted)
    assert sealed_case.to == MOSCOW
