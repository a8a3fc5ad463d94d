from __future__ import annotations

import pytest

from contracts.errors import Refused
from contracts.facts import AnswerSubmitted
from contracts.records import load
from services.intake.domain.statement import (
    STATEMENTS,
    Acceptance,
    Completion,
    Decline,
    Note,
    Progress,
    Revocation,
    Statement,
    Withdrawal,
    facts_said,
)
from tests.unit.services.intake.samples import MOSCOW, OFFER, REFERRAL, sealed


def pointers(kind: type, body: object) -> list[str]:
    with pytest.raises(Refused) as caught:
        load(kind, body)
    assert caught.value.status == 422
    return [error.pointer for error in caught.value.errors]


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
        (Acceptance, {"anything": 1}, ["/anything"]),
        (Revocation, [], [""]),
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


@pytest.mark.parametrize(
    "statement",
    [
        Acceptance(),
        load(Decline, {"reason": "language"}),
        load(Withdrawal, {"reason": "other"}),
        load(Progress, {"status": "on_hold"}),
        load(Completion, {"outcome": "resolved"}),
        Note(note=sealed()),
        Revocation(),
    ],
)
def test_every_statement_becomes_facts_about_its_referral(statement: Statement) -> None:
    said, *_ = facts_said(statement, organization=MOSCOW, referral_id=REFERRAL, offer_id=OFFER)
    assert said.referral_id == REFERRAL  # type: ignore[attr-defined]
    assert said.organization == MOSCOW  # type: ignore[attr-defined]
    assert isinstance(said, AnswerSubmitted) == statement.about_offer
    assert type(statement) in STATEMENTS.values()
