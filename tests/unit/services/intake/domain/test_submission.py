from __future__ import annotations

import pytest

from contracts.errors import Refused
from contracts.facts import CaseSealed, ReferralSubmitted
from contracts.records import dump, load
from services.intake.domain.submission import (
    Completion,
    Decline,
    Note,
    Nothing,
    Progress,
    Withdrawal,
    referral_facts,
)
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


def pointers(kind: type, body: object) -> list[str]:
    with pytest.raises(Refused) as caught:
        load(kind, body)
    assert caught.value.status == 422
    return [error.pointer for error in caught.value.errors]


def test_a_referral_says_the_facts_in_the_open_and_the_case_in_a_letter() -> None:
    said, letter = facts()
    assert isinstance(said, ReferralSubmitted)
    assert said.facts.needs == ("legal.wage_claim",)
    assert b'"case"' not in dump(said)
    assert sealed().encode() not in dump(said)
    assert letter == CaseSealed(referral_id=REFERRAL, sender=OSH, to=None, case=sealed())


def test_a_case_for_a_named_receiver_is_sealed_to_it_and_not_to_the_hub() -> None:
    _, letter = facts(to=MOSCOW, case=sealed(MOSCOW_KID))
    assert letter == CaseSealed(referral_id=REFERRAL, sender=OSH, to=MOSCOW, case=sealed(MOSCOW_KID))
    for changes in ({"to": MOSCOW, "case": sealed(CUSTODY_KID)}, {"case": sealed(MOSCOW_KID)}):
        with pytest.raises(Refused) as caught:
            facts(**changes)
        assert caught.value.slug == "case-not-sealed"


@pytest.mark.parametrize(
    "note",
    [
        "Call her on +996 555 123 456",
        "0555-12-34-56",
        "8 (495) 123.45.67",
        "0555/123456",
        "0555\u2013123\u2013456",
        "1234567",
        "write to aigerim@example.org",
        "from 01.04.2026 0555123456",
    ],
)
def test_a_note_on_a_decline_leads_to_nobody(note: str) -> None:
    assert pointers(Decline, {"reason": "no_capacity", "note": note}) == ["/note"]


@pytest.mark.parametrize(
    "note",
    [
        "No places until 01.04.2026",
        "No places from 2026-04-01 to 2026-05-01.",
        "Closed 1/4/2026 - 30/4/2026",
        "Open 09:00-18:00, rooms 12, 14 and 15 @ night",
        "We took 120 cases in 2025.",
        "Сейчас нет мест",
        "",
    ],
)
def test_a_note_on_a_decline_may_have_dates_and_figures(note: str) -> None:
    assert load(Decline, {"reason": "no_capacity", "note": note}).note == note


def test_who_declines_for_another_reason_says_which() -> None:
    assert pointers(Decline, {"reason": "other"}) == ["/note"]
    assert pointers(Decline, {"reason": "other", "note": ""}) == ["/note"]
    assert load(Decline, {"reason": "other", "note": "We moved."}).note == "We moved."
    assert load(Decline, {"reason": "language"}).note is None


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (Nothing, {"anything": 1}, ["/anything"]),
        (Nothing, [], [""]),
        (Decline, {}, ["/reason"]),
        (Decline, {"reason": "bored"}, ["/reason"]),
        (Decline, {"reason": "language", "note": "x" * 501}, ["/note"]),
        (Decline, {"reason": "language", "note": 5}, ["/note"]),
        (Withdrawal, {}, ["/reason"]),
        (Withdrawal, {"reason": "no_capacity"}, ["/reason"]),
        (Progress, {"status": "completed"}, ["/status"]),
        (Completion, {"outcome": "solved"}, ["/outcome"]),
        (Completion, {"outcome": "resolved", "note": "x"}, ["/note"]),
        (Note, {"note": "in the open"}, ["/note"]),
        (Note, {}, ["/note"]),
    ],
)
def test_bodies_follow_the_contract(kind: type, body: object, expected: list[str]) -> None:
    assert pointers(kind, body) == expected
