from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from contracts.errors import Refused
from contracts.facts import NoteSubmitted, SealedNoteSubmitted
from services.intake.domain.admission import UsedKey, claim_of
from services.intake.domain.command import AcceptOffer
from tests.unit.services.intake.samples import NOON, OFFER, OSH, REFERRAL, caller, sealed

FACTS = (
    NoteSubmitted(referral_id=REFERRAL, organization=OSH),
    SealedNoteSubmitted(referral_id=REFERRAL, author=OSH, note=sealed()),
)


def test_first_fact_causes_the_others() -> None:
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    admission = caller(traceparent=trace).admission(*FACTS, referral_id=REFERRAL)
    first, second = admission.events
    assert (first.correlation_id, first.causation_id) == (first.id, None)
    assert (second.correlation_id, second.causation_id) == (first.id, first.id)
    assert second.id != first.id
    for event, fact in zip(admission.events, FACTS, strict=True):
        assert (event.data, event.partition_key, event.source) == (fact, REFERRAL, "/kg/intake")
        assert (event.time, event.traceparent) == (NOON, trace)


def test_admission_id_is_submission_id_or_referral_id() -> None:
    command = caller().admission(FACTS[0], referral_id=REFERRAL)
    assert (command.id, command.is_referral, command.organization) == (command.events[0].id, False, OSH)
    referral = caller().admission(FACTS[0], referral_id=REFERRAL, answer_id=REFERRAL, is_referral=True)
    assert (referral.id, referral.is_referral) == (REFERRAL, True)
    assert referral.events[0].id != REFERRAL


def test_claim_holds_key_and_body_digest() -> None:
    claim = claim_of(OSH, "k", b"body")
    assert claim is not None
    assert (claim.organization, claim.key) == (OSH, "k")
    assert claim.fingerprint == hashlib.sha256(b"body").hexdigest()
    assert claim_of(OSH, None, b"body") is None


def test_claim_repeats_same_bytes_or_same_parsed_body() -> None:
    first = claim_of(OSH, "k", b"1")
    assert first is not None
    accepted = first.understood_as("accept", OFFER, AcceptOffer())
    used = UsedKey(fingerprint=accepted.fingerprint, understood=accepted.understood, answer_id="a")
    other = replace(first, fingerprint="of other bytes")
    assert accepted.repeats(used)
    assert first.repeats(used)  # the bytes are equal, although the body was not parsed
    assert other.understood_as("accept", OFFER, AcceptOffer()).repeats(used)
    assert not other.repeats(used)
    for name, subject in (("revoke_consent", OFFER), ("accept", REFERRAL)):
        assert not other.understood_as(name, subject, AcceptOffer()).repeats(used)
    assert not other.repeats(replace(used, understood=None))


@pytest.mark.parametrize("key", ["", "x" * 256, "\u043a\u043b\u044e\u0447", "a\tb", "a\x7fb", "a\nb"])
def test_malformed_key_is_refused(key: str) -> None:
    assert claim_of(OSH, "x" * 255, b"") is not None
    with pytest.raises(Refused) as caught:
        claim_of(OSH, key, b"body")
    assert caught.value.slug == "invalid-parameter"
