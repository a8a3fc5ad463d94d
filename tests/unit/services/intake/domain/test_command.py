from __future__ import annotations

import dataclasses
import typing
from typing import Annotated, Any

import pytest
from marshmallow.validate import OneOf

from contracts.case import Case
from contracts.codes import DeclineReason, HandBackReason
from contracts.errors import Refused
from contracts.facts import AnswerSubmitted, HandBackSubmitted, SealedNoteSubmitted
from contracts.identifiers import Pattern
from contracts.records import load
from contracts.referral import ReferralSubmission
from contracts.vocabularies import InVocabulary
from services.intake.domain.command import (
    COMMANDS,
    AcceptOffer,
    AddNote,
    CommandBody,
    CompleteReferral,
    DeclineOffer,
    HandBack,
    Replacement,
    ReportProgress,
    RevokeConsent,
    Unreadable,
    WithdrawReferral,
    facts_of_command,
)
from tests.unit.services.intake.samples import MOSCOW, OFFER, OSH, REFERRAL, sealed


def pointers(kind: type, body: object) -> list[str]:
    with pytest.raises(Refused) as caught:
        load(kind, body)
    assert caught.value.status == 422
    return [error.pointer for error in caught.value.errors]


@pytest.mark.parametrize(
    "note",
    [
        "",
        "No places until May",
        "+996 555 12-04-56",
        "8 (905) 12.04.56",
        "0555/12/04/56",
        "0555,12,34,56",
        "0555_12_34_56",
        "0555\u200b123\u200b456",
        "0555\u00ad123\u00ad456",
        "aigerim\uff20example.org",
        "\uff10\uff15\uff15\uff15\uff11\uff12\uff13\uff14\uff15\uff16",
    ],
)
def test_decline_with_open_note_is_refused(note: str) -> None:
    assert pointers(DeclineOffer, {"reason": "no_capacity", "note": note}) == ["/note"]


def test_decline_for_other_reason_needs_note() -> None:
    assert pointers(DeclineOffer, {"reason": "other"}) == ["/note"]
    assert pointers(DeclineOffer, {"reason": "other", "note": None}) == ["/note"]
    assert load(DeclineOffer, {"reason": "other", "note": sealed()}).note == sealed()
    assert load(DeclineOffer, {"reason": "language"}).note is None


def test_hand_back_for_other_reason_needs_note() -> None:
    assert pointers(HandBack, {"reason": "other"}) == ["/note"]
    assert load(HandBack, {"reason": "other", "note": sealed()}).note == sealed()
    assert load(HandBack, {"reason": "person_prefers_another"}).note is None


def test_hand_back_note_is_sealed_message_beside_coded_reason() -> None:
    body = HandBack(reason=HandBackReason.out_of_area, note=sealed())
    assert facts_of_command(body, organization=MOSCOW, referral_id=REFERRAL, offer_id=None) == (
        HandBackSubmitted(referral_id=REFERRAL, organization=MOSCOW, reason=HandBackReason.out_of_area),
        SealedNoteSubmitted(referral_id=REFERRAL, author=MOSCOW, note=sealed(), hand_back=True),
    )


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (HandBack, {}, ["/reason"]),
        (HandBack, {"reason": "could_not_reach"}, ["/reason"]),
        (HandBack, {"reason": "language", "note": "Open text."}, ["/note"]),
        (AcceptOffer, {"anything": 1}, ["/anything"]),
        (RevokeConsent, [], [""]),
        (DeclineOffer, {}, ["/reason"]),
        (DeclineOffer, {"reason": "bored"}, ["/reason"]),
        (DeclineOffer, {"reason": "language", "note": "a..c.d.e" + "e" * 1_048_576}, ["/note"]),
        (DeclineOffer, {"reason": "language", "note": 5}, ["/note"]),
        (WithdrawReferral, {}, ["/reason"]),
        (WithdrawReferral, {"reason": "no_capacity"}, ["/reason"]),
        (ReportProgress, {"status": "completed"}, ["/status"]),
        (CompleteReferral, {"outcome": "solved"}, ["/outcome"]),
        (CompleteReferral, {"outcome": "resolved", "note": "x"}, ["/note"]),
        (AddNote, {"note": "in the open"}, ["/note"]),
        (AddNote, {}, ["/note"]),
        (Unreadable, {}, ["/reason"]),
        (Unreadable, {"reason": "illegible"}, ["/reason"]),
        (Unreadable, {"reason": "key_lost", "content": "note"}, ["/author"]),
        (Unreadable, {"reason": "key_lost", "author": MOSCOW}, ["/author"]),
        (Unreadable, {"reason": "key_lost", "text": "call me"}, ["/text"]),
        (Replacement, {"to": MOSCOW, "case": {"name": "x"}}, ["/case"]),
        (Replacement, {"to": MOSCOW}, ["/case"]),
    ],
)
def test_invalid_body_is_refused_with_pointers(kind: type, body: object, expected: list[str]) -> None:
    assert pointers(kind, body) == expected


@pytest.mark.parametrize(
    "body",
    [
        AcceptOffer(),
        load(DeclineOffer, {"reason": "language"}),
        load(WithdrawReferral, {"reason": "other"}),
        load(ReportProgress, {"status": "on_hold"}),
        load(CompleteReferral, {"outcome": "resolved"}),
        AddNote(note=sealed()),
        load(Unreadable, {"reason": "not_understood"}),
        load(Unreadable, {"reason": "key_lost", "content": "note", "author": OSH}),
        Replacement(to=OSH, case=sealed()),
        Replacement(case=sealed()),
        RevokeConsent(),
    ],
)
def test_command_becomes_facts_about_its_referral(body: CommandBody) -> None:
    fact, *_ = facts_of_command(body, organization=MOSCOW, referral_id=REFERRAL, offer_id=OFFER)
    assert fact.referral_id == REFERRAL  # type: ignore[attr-defined]
    assert fact.organization == MOSCOW  # type: ignore[attr-defined]
    assert isinstance(fact, AnswerSubmitted) == body.about_offer
    assert type(body) in COMMANDS.values()


def test_decline_note_is_in_sealed_message_only() -> None:
    declined = DeclineOffer(reason=DeclineReason.other, note=sealed())
    answer, sealed_note = facts_of_command(
        declined, organization=MOSCOW, referral_id=REFERRAL, offer_id=OFFER
    )
    assert isinstance(answer, AnswerSubmitted)
    assert (answer.reason, answer.note) == ("other", None)
    assert sealed_note == SealedNoteSubmitted(
        referral_id=REFERRAL, author=MOSCOW, note=sealed(), offer_id=OFFER
    )


# Open fields must be codes, identifiers, times, numbers or ciphertext: free text could identify the person.
CLOSED_TEXTS = (OneOf, InVocabulary, Pattern)


def open_texts(kind: Any, at: str = "") -> list[str]:
    """Return the pointers at which a record admits free text, at any depth."""
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        return [
            text for f in dataclasses.fields(kind) for text in open_texts(hints[f.name], f"{at}/{f.name}")
        ]
    if typing.get_origin(kind) is Annotated and typing.get_args(kind)[0] is str:
        return [] if any(isinstance(v, CLOSED_TEXTS) for v in kind.__metadata__) else [at]
    if kind is str:
        return [at]
    return [text for argument in typing.get_args(kind) for text in open_texts(argument, at)]


@pytest.mark.parametrize("record", [*COMMANDS.values(), ReferralSubmission])
def test_submission_admits_no_open_free_text(record: type) -> None:
    assert open_texts(record) == []


def test_open_free_text_is_found_at_any_depth() -> None:
    assert open_texts(AnswerSubmitted) == ["/note"]
    assert open_texts(Case)[:2] == ["/name", "/safe_contact"]
