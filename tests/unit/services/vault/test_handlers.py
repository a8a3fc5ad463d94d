from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import select

from contracts.codes import DeclineReason, HandBackReason
from contracts.envelope import Event
from contracts.errors import Refused
from contracts.facts import (
    AcceptanceRevoked,
    AnswerRefused,
    CaseErased,
    CasePaused,
    CaseRefused,
    CaseReleased,
    CaseRequested,
    Fact,
    HandBackRefused,
    OfferDeclined,
    ReferralCompleted,
    ReferralFailed,
    ReferralHandedBack,
    ReferralWithdrawn,
    SealedCaseReleased,
    SealedCaseReplaced,
    SealedNoteReleased,
    SealedNoteSubmitted,
    SubmissionRefused,
)
from contracts.topology import DEAD_LETTERS
from kopuro_client.errors import SealingError
from kopuro_client.sealing import generate_key, open_sealed, public_key, seal
from runtime.storage.database import DatabaseUnavailable
from services.vault.adapters.metrics import VaultMetrics
from services.vault.adapters.tables import SEALED_CASES
from services.vault.batch import PATIENCE
from services.vault.domain.custody import CustodyState
from services.vault.domain.evidence import ProvenEvent
from services.vault.domain.sealed import SealedCase
from services.vault.handlers import NOT_YET_LACKING
from tests.support.hub_keys import verifier
from tests.unit.services.vault.workbench import (
    ACCEPTOR,
    CASE,
    CORRELATION,
    NAME,
    NOW,
    OFFER,
    REFERRAL,
    SENDER,
    STRANGER,
    Workbench,
    acceptance,
    event,
    header_change,
    offer_to,
    only,
    sealed_case,
    until_a_lock_is_waited_for,
)

CLOSINGS: list[tuple[Fact, str]] = [
    (
        ReferralWithdrawn(referral_id=REFERRAL, sender=SENDER, organization=None, reason="person_declined"),
        "withdrawn",
    ),
    (
        ReferralWithdrawn(
            referral_id=REFERRAL, sender=SENDER, organization=ACCEPTOR, reason="consent_revoked"
        ),
        "consent_revoked",
    ),
    (
        ReferralFailed(referral_id=REFERRAL, sender=SENDER, organization=None, reason="case_unreadable"),
        "failed",
    ),
    (
        ReferralCompleted(
            referral_id=REFERRAL,
            sender=SENDER,
            organization=ACCEPTOR,
            outcome="resolved",  # type: ignore[arg-type]
        ),
        "completed",
    ),
]
CLOSING = CLOSINGS[0][0]


@pytest.fixture
def vault(database_url: str) -> Iterator[Workbench]:
    bench = Workbench(database_url)
    yield bench
    bench.close()


def test_consent_withdrawn_after_the_end_finds_the_case_erased(vault: Workbench) -> None:
    vault.receive(sealed_case(sealed_to_hub(vault)))
    vault.receive(event(CLOSINGS[3][0]))
    vault.receive(event(CLOSINGS[1][0]))
    assert only(CaseErased, vault.sent()).reason == "completed"


def sealed_to_hub(vault: Workbench, content: Any = CASE) -> str:
    return seal(content, public_key(vault.custody))


def test_released_case_opens_for_acceptor_only(vault: Workbench) -> None:
    accepted = acceptance()
    vault.receive(sealed_case(sealed_to_hub(vault)))
    assert vault.sent() == []
    vault.receive(accepted)
    message = only(SealedCaseReleased, vault.sent())
    assert message.organization == ACCEPTOR
    assert open_sealed(message.case, vault.keys.private[ACCEPTOR]) == CASE
    with pytest.raises(SealingError):
        open_sealed(message.case, vault.custody)
    fact = only(CaseReleased, vault.sent())
    assert (fact.organization, fact.kid) == (ACCEPTOR, vault.keys.published[ACCEPTOR].kid)
    assert {(e.causation_id, e.correlation_id) for e in vault.sent()} == {(accepted.id, CORRELATION)}
    assert vault.state() is CustodyState.released


def test_acceptance_before_case_releases_case(vault: Workbench) -> None:
    accepted = acceptance()
    vault.receive(accepted)
    assert vault.sent() == []
    vault.receive(sealed_case(sealed_to_hub(vault)))
    assert open_sealed(only(SealedCaseReleased, vault.sent()).case, vault.keys.private[ACCEPTOR]) == CASE
    assert {e.causation_id for e in vault.sent()} == {accepted.id}


def test_redelivered_messages_release_case_once(vault: Workbench) -> None:
    message, accepted = sealed_case(sealed_to_hub(vault)), acceptance()
    vault.receive(message, message)
    vault.receive(accepted)
    vault.receive(accepted, accepted)
    vault.receive(message)
    vault.release_waiting()
    assert len(vault.sent()) == 2
    assert vault.dead_letters() == 0


def test_batch_releases_each_case_to_its_own_acceptor(vault: Workbench) -> None:
    vault.keys.publish(STRANGER)
    referrals = {f"01930f6e-5d2a-7c11-8a4f-0b6d2f9c1b{n:02d}": (ACCEPTOR, STRANGER)[n % 2] for n in range(20)}
    content = {r: {**CASE, "narrative": r} for r in referrals}
    vault.receive(*(sealed_case(sealed_to_hub(vault, content[r]), referral=r) for r in referrals))
    vault.receive(*(acceptance(by, referral=r) for r, by in referrals.items()))
    released = [e.data for e in vault.sent() if isinstance(e.data, SealedCaseReleased)]
    assert {message.referral_id: message.organization for message in released} == referrals
    for message in released:
        opened = open_sealed(message.case, vault.keys.private[message.organization])
        assert opened == content[message.referral_id]


def test_concurrent_consumers_release_each_case_once(vault: Workbench) -> None:
    referrals = [f"01930f6e-5d2a-7c11-8a4f-0b6d2f9c1b{n:02d}" for n in range(60)]
    cases = [sealed_case(sealed_to_hub(vault), referral=r) for r in referrals]
    # In reverse order, so that the two consumers meet in the middle.
    acceptances = [acceptance(referral=r) for r in reversed(referrals)]

    def in_batches(messages: list[Any], size: int) -> None:
        for begin in range(0, len(messages), size):
            vault.receive(*messages[begin : begin + size])

    def release_repeatedly() -> None:
        for _ in range(20):
            vault.release_waiting()

    with ThreadPoolExecutor(3) as pool:
        futures = [
            pool.submit(in_batches, cases, 6),
            pool.submit(in_batches, acceptances, 4),
            pool.submit(release_repeatedly),
        ]
        for future in futures:
            future.result()
    released = [e.data.referral_id for e in vault.sent() if isinstance(e.data, SealedCaseReleased)]
    assert sorted(released) == referrals
    assert vault.dead_letters() == 0


def test_release_run_and_batch_do_not_deadlock(postgres_database: str) -> None:
    """Both lock custodies in the same order, for any acceptors. (SQLite has one writer.)"""
    vault = Workbench(postgres_database)
    key = vault.keys.published.pop(ACCEPTOR)
    first, second = (f"01930f6e-5d2a-7c11-8a4f-0b6d2f9c1b{n:02d}" for n in range(2))
    # The acceptor that sorts first has the referral that sorts last.
    for referral, acceptor in ((first, STRANGER), (second, ACCEPTOR)):
        vault.receive(
            sealed_case(sealed_to_hub(vault), referral=referral), acceptance(acceptor, referral=referral)
        )
    vault.keys.published[ACCEPTOR] = key
    vault.keys.publish(STRANGER)
    with ThreadPoolExecutor(1) as pool:
        with vault.database.write() as transaction:
            vault.store.take(transaction, [first])
            turn = pool.submit(vault.release_waiting)
            until_a_lock_is_waited_for(vault)
            vault.store.take(transaction, [second])
        turn.result(20)
    released = [e.data.referral_id for e in vault.sent() if isinstance(e.data, SealedCaseReleased)]
    assert sorted(released) == [first, second]
    vault.close()


@pytest.mark.parametrize("known", [True, False])
def test_taken_custody_is_locked(vault: Workbench, known: bool) -> None:
    if known:
        with vault.database.write() as transaction:
            vault.store.take(transaction, [REFERRAL])
    with ThreadPoolExecutor(1) as pool:
        with vault.database.write() as transaction:
            vault.store.take(transaction, [REFERRAL])
            arrival = pool.submit(vault.receive, sealed_case(sealed_to_hub(vault)))
            with pytest.raises(TimeoutError):
                arrival.result(0.2)
            accepted = ProvenEvent.decode(acceptance().encode())
            vault.handlers.events(transaction, [accepted], NOW)
        arrival.result(20)
    assert only(SealedCaseReleased, vault.sent()).organization == ACCEPTOR


def test_case_is_released_when_acceptor_publishes_key(vault: Workbench) -> None:
    vault.receive(sealed_case(sealed_to_hub(vault)), acceptance(STRANGER))
    assert vault.releasable() == [], "a release run would have nothing to do"
    vault.release_waiting()
    assert vault.sent() == []
    assert vault.state() is CustodyState.held
    vault.keys.publish(STRANGER)
    assert vault.releasable() == [STRANGER]
    vault.release_waiting()
    vault.release_waiting()
    message = only(SealedCaseReleased, vault.sent())
    assert message.organization == STRANGER
    assert open_sealed(message.case, vault.keys.private[STRANGER]) == CASE


def test_case_waits_while_acceptors_key_is_unusable(vault: Workbench) -> None:
    usable = vault.keys.published[ACCEPTOR]
    # A point of low order (RFC 7748 §6.1): every key agreement with it gives zeros.
    vault.keys.published[ACCEPTOR] = type(usable)(kty="OKP", crv="X25519", x="A" * 43, kid="k" * 43)
    vault.receive(sealed_case(sealed_to_hub(vault)), acceptance())
    assert vault.sent() == []
    vault.keys.published[ACCEPTOR] = usable
    vault.release_waiting()
    assert only(SealedCaseReleased, vault.sent()).organization == ACCEPTOR


def test_case_sealed_to_named_receiver_is_forwarded_unchanged(vault: Workbench) -> None:
    sealed = seal(CASE, public_key(vault.keys.private[ACCEPTOR]))
    vault.receive(sealed_case(sealed, to=ACCEPTOR), acceptance())
    message = only(SealedCaseReleased, vault.sent())
    assert message.case == sealed
    assert message.kid == vault.keys.published[ACCEPTOR].kid


def test_case_for_an_acceptor_whose_key_is_not_known_is_released_once_the_key_is_known(
    vault: Workbench,
) -> None:
    """This holds for a case sealed to an earlier key, too: that key may have been replaced without proof."""
    sealed = seal(CASE, public_key(vault.keys.private[ACCEPTOR]))
    vault.receive(sealed_case(sealed, to=ACCEPTOR))
    known = vault.keys.published.pop(ACCEPTOR)
    vault.receive(acceptance())
    vault.release_waiting()
    assert (vault.sent(), vault.state(), vault.dead_letters()) == ([], CustodyState.held, 0)
    assert vault.without_key() == {}, "the key may be on its way"
    vault.clock.time += NOT_YET_LACKING
    assert vault.without_key() == {ACCEPTOR: 1}
    vault.keys.published[ACCEPTOR] = known
    assert vault.without_key() == {}
    vault.release_waiting()
    vault.release_waiting()
    assert only(SealedCaseReleased, vault.sent()).case == sealed
    vault.clock.time += NOT_YET_LACKING
    assert vault.without_key() == {}


def test_case_in_custody_for_an_acceptor_without_a_key_is_reported(vault: Workbench) -> None:
    vault.receive(sealed_case(sealed_to_hub(vault)), acceptance(STRANGER))
    vault.clock.time += NOT_YET_LACKING
    assert vault.without_key() == {STRANGER: 1}
    vault.receive(event(CLOSINGS[0][0]))
    assert vault.without_key() == {}


def test_case_sealed_to_other_organization_than_acceptor_is_requested_from_its_sender(
    vault: Workbench,
) -> None:
    vault.keys.publish(STRANGER)
    sealed = seal(CASE, public_key(vault.keys.private[ACCEPTOR]))
    vault.receive(sealed_case(sealed, to=ACCEPTOR), acceptance(STRANGER))
    asked = only(CaseRequested, vault.sent())
    assert (asked.organization, asked.sender) == (STRANGER, SENDER)
    assert len(vault.sent()) == 1


def test_case_sealed_to_a_key_that_was_replaced_without_proof_is_requested_once(vault: Workbench) -> None:
    stolen = public_key(vault.keys.private[ACCEPTOR])
    sealed = seal(CASE, stolen)
    vault.receive(sealed_case(sealed, to=ACCEPTOR))
    vault.keys.publish(ACCEPTOR)  # another key, approved by two operators
    until = vault.keys.pauses[ACCEPTOR] = NOW + dt.timedelta(hours=24)
    vault.receive(acceptance())
    assert only(CasePaused, vault.sent()).until == until
    vault.clock.time = until
    vault.release_waiting()
    vault.release_waiting()
    asked = only(CaseRequested, vault.sent())
    assert (asked.organization, asked.sender) == (ACCEPTOR, SENDER)
    assert not [one for one in vault.sent() if isinstance(one.data, SealedCaseReleased)]
    vault.receive(replacement(vault))
    assert opened(vault) == [(ACCEPTOR, CASE)]


def test_case_waits_for_receivers_key(vault: Workbench) -> None:
    vault.keys.publish(STRANGER)
    sealed = seal(CASE, public_key(vault.keys.private[STRANGER]))
    published = vault.keys.published.pop(STRANGER)
    vault.receive(sealed_case(sealed, to=STRANGER))
    assert (vault.sent(), vault.state()) == ([], None)
    vault.keys.published[STRANGER] = published
    vault.clock.time += dt.timedelta(seconds=2)
    assert vault.sealed_messages.retry_due() == 1
    assert vault.state() is CustodyState.held


@pytest.mark.parametrize("published", [True, False])
def test_case_sealed_to_unknown_key_is_refused_after_patience(vault: Workbench, published: bool) -> None:
    sealed = seal(CASE, public_key(generate_key()))
    if not published:
        del vault.keys.published[ACCEPTOR]
    message = sealed_case(sealed, to=ACCEPTOR)
    vault.clock.time += PATIENCE
    vault.receive(message)
    detail = only(CaseRefused, vault.sent()).problem["detail"]
    assert ("not sealed to the key" in detail) is published
    assert ACCEPTOR in detail
    assert vault.sealed_cases() == 0


def foreign_key(vault: Workbench) -> str:
    return seal(CASE, public_key(generate_key()))


def false_kid(vault: Workbench) -> str:
    return header_change(foreign_key(vault), {"kid": vault.custody["kid"]})


def altered(vault: Workbench) -> str:
    parts = sealed_to_hub(vault).split(".")
    parts[3] = ("A" if parts[3][0] != "A" else "B") + parts[3][1:]
    return ".".join(parts)


def compressed(vault: Workbench) -> str:
    return header_change(sealed_to_hub(vault), {"zip": "DEF"})


def other_algorithm(vault: Workbench) -> str:
    return header_change(sealed_to_hub(vault), {"alg": "ECDH-ES+A128KW"})


def other_encryption(vault: Workbench) -> str:
    return header_change(sealed_to_hub(vault), {"enc": "A128GCM"})


def not_a_case(vault: Workbench) -> str:
    return sealed_to_hub(vault, {"name": "", NAME: NAME, "phones": [NAME]})


BAD = [false_kid, altered, compressed, other_algorithm, other_encryption, not_a_case]


@pytest.mark.parametrize("bad", BAD)
def test_unreadable_case_is_refused_and_not_stored(vault: Workbench, bad: Any) -> None:
    message = sealed_case(bad(vault))
    vault.receive(message)
    (refusal,) = vault.sent()
    assert isinstance(refusal.data, CaseRefused)
    assert refusal.data.organization == SENDER
    assert refusal.data.problem["type"] == "urn:kopuro:problem:case-unreadable"
    assert refusal.causation_id == message.id
    assert vault.sealed_cases() == 0
    assert NAME not in vault.everything_stored()
    vault.receive(acceptance())
    assert len(vault.sent()) == 1


def test_case_for_a_custody_key_that_is_missing_waits_for_it(vault: Workbench) -> None:
    added = generate_key()
    message = sealed_case(seal(CASE, public_key(added)))
    vault.receive(message, acceptance())
    assert (vault.sent(), vault.state(), vault.dead_letters()) == ([], CustodyState.awaited, 0)
    vault.custody_file.insert(0, dict(added))
    vault.clock.time += dt.timedelta(seconds=2)
    assert vault.sealed_messages.retry_due() == 1
    released = only(SealedCaseReleased, vault.sent())
    assert open_sealed(released.case, vault.keys.private[ACCEPTOR]) == CASE


def test_cases_for_the_present_and_the_earlier_custody_key_are_released(vault: Workbench) -> None:
    added, other = generate_key(), "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a02"
    vault.receive(sealed_case(sealed_to_hub(vault)))
    vault.custody_file.insert(0, dict(added))
    vault.receive(sealed_case(seal(CASE, public_key(added)), referral=other))
    vault.receive(acceptance(), acceptance(referral=other))
    released = [e.data for e in vault.sent() if isinstance(e.data, SealedCaseReleased)]
    assert {one.referral_id for one in released} == {REFERRAL, other}
    assert all(open_sealed(one.case, vault.keys.private[ACCEPTOR]) == CASE for one in released)


def test_case_whose_custody_key_was_taken_away_does_not_hold_up_others(vault: Workbench) -> None:
    added, other = generate_key(), "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a02"
    vault.receive(sealed_case(sealed_to_hub(vault)), acceptance(STRANGER))
    vault.custody_file.insert(0, dict(added))
    vault.receive(sealed_case(seal(CASE, public_key(added)), referral=other))
    vault.receive(acceptance(STRANGER, referral=other))
    vault.custody_file.remove(dict(vault.custody))
    vault.custody_keys.has("a key that makes it read the file again")
    vault.keys.publish(STRANGER)
    vault.release_waiting()
    assert only(SealedCaseReleased, vault.sent()).referral_id == other
    assert vault.state() is CustodyState.held


def test_refusal_of_invalid_case_has_pointers(vault: Workbench) -> None:
    vault.receive(sealed_case(not_a_case(vault)))
    errors = only(CaseRefused, vault.sent()).problem["errors"]
    assert {"/name", "/phones/0", ""} <= {error["pointer"] for error in errors}


def test_bad_case_does_not_hold_up_others_in_batch(vault: Workbench) -> None:
    other = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a02"
    vault.receive(sealed_case(altered(vault)), sealed_case(sealed_to_hub(vault), referral=other))
    assert (vault.state(), vault.state(other)) == (CustodyState.refused, CustodyState.held)


@pytest.mark.parametrize("readable", [True, False])
def test_second_case_of_referral_is_dead_lettered_and_first_kept(vault: Workbench, readable: bool) -> None:
    vault.receive(sealed_case(sealed_to_hub(vault)))
    vault.receive(sealed_case(sealed_to_hub(vault, {"name": "B"}) if readable else altered(vault)))
    assert vault.dead_letters() == 1
    vault.receive(acceptance())
    assert open_sealed(only(SealedCaseReleased, vault.sent()).case, vault.keys.private[ACCEPTOR]) == CASE


def test_no_plaintext_is_stored_or_sent(vault: Workbench) -> None:
    vault.receive(sealed_case(sealed_to_hub(vault)), acceptance())
    bodies = b"\n".join(vault.bodies(DEAD_LETTERS, "kopuro.events", "kopuro.cases"))
    assert len(vault.sent()) == 2
    for secret in (NAME, CASE["phones"][0], json.dumps(NAME)[1:-1]):
        assert secret.encode() not in bodies
        assert secret not in vault.everything_stored()


@pytest.mark.parametrize(("closing", "reason"), CLOSINGS)
@pytest.mark.parametrize("accepted", [False, True])
def test_closing_erases_case(vault: Workbench, closing: Fact, reason: str, accepted: bool) -> None:
    sealed = sealed_to_hub(vault)
    halves = SealedCase.split(sealed)
    vault.receive(sealed_case(sealed))
    if accepted:
        vault.receive(acceptance())
    assert halves.ciphertext in vault.everything_stored()
    assert halves.wrapped_key not in vault.everything_stored()  # sealed with the case's own key
    vault.receive(event(closing))
    assert only(CaseErased, vault.sent()).reason == reason
    assert vault.state() is CustodyState.erased
    for half in (halves.wrapped_key, halves.ciphertext):
        assert half not in vault.everything_stored()


def test_erasure_overwrites_case_in_database_file(sqlite_database: str) -> None:
    vault = Workbench(sqlite_database)
    sealed = sealed_to_hub(vault, {**CASE, "narrative": "x" * 20_000})
    vault.receive(sealed_case(sealed))

    def file() -> bytes:
        assert vault.database.checkpoint_wal()
        with open(str(vault.database.engine.url.database), "rb") as stored:
            return stored.read()

    some_ciphertext = sealed[-200:-100].encode()
    with vault.database.read() as transaction:
        key = str(transaction.execute(select(SEALED_CASES.c.wrapped_key)).scalar_one()).encode()
    assert key in file()
    assert some_ciphertext in file()
    vault.receive(event(CLOSING))
    assert key not in file()
    assert some_ciphertext not in file()
    vault.close()


def test_case_and_acceptance_after_erasure_are_dropped(vault: Workbench) -> None:
    vault.receive(event(CLOSING))
    vault.receive(sealed_case(sealed_to_hub(vault)))
    vault.receive(acceptance())
    vault.release_waiting()
    assert [type(e.data) for e in vault.sent()] == [CaseErased]
    assert vault.sealed_cases() == 0
    assert vault.dead_letters() == 0


def test_case_accepted_and_withdrawn_in_one_batch_is_not_released(vault: Workbench) -> None:
    vault.receive(sealed_case(sealed_to_hub(vault)))
    vault.receive(acceptance(), event(CLOSING))
    assert [type(e.data) for e in vault.sent()] == [CaseErased]


def test_closing_of_refused_case_publishes_no_erasure(vault: Workbench) -> None:
    vault.receive(sealed_case(altered(vault)))
    vault.receive(event(CLOSINGS[2][0]))
    assert [type(e.data) for e in vault.sent()] == [CaseRefused]
    assert vault.dead_letters() == 0


def note(author: str, *, age: dt.timedelta = dt.timedelta(), offer_id: str | None = None) -> Any:
    sealed = seal({"text": "Позвоните завтра."}, public_key(generate_key()))
    fact = SealedNoteSubmitted(referral_id=REFERRAL, author=author, note=sealed, offer_id=offer_id)
    return event(fact, time=event(fact).time - age, causation_id="submission-1")


@pytest.mark.parametrize(("author", "receiver"), [(SENDER, ACCEPTOR), (ACCEPTOR, SENDER)])
def test_note_is_forwarded_unopened_to_other_party(vault: Workbench, author: str, receiver: str) -> None:
    vault.receive(acceptance())
    message = note(author)
    vault.receive(message)
    forwarded = only(SealedNoteReleased, vault.sent())
    assert (forwarded.organization, forwarded.author) == (receiver, author)
    assert forwarded.note == message.data.note
    # With the end of the acceptance, the former acceptor's notes lose their content.
    assert forwarded.acceptance == (OFFER if receiver == ACCEPTOR else None)


def test_note_before_acceptance_waits(vault: Workbench) -> None:
    vault.receive(note(SENDER))
    assert vault.sent() == []
    vault.receive(acceptance())
    vault.clock.time += dt.timedelta(seconds=2)
    vault.sealed_messages.retry_due()
    assert only(SealedNoteReleased, vault.sent()).organization == ACCEPTOR


def test_note_without_receiver_is_refused_to_author(vault: Workbench) -> None:
    vault.receive(note(SENDER, age=PATIENCE))
    refusal = only(SubmissionRefused, vault.sent())
    assert (refusal.organization, refusal.submission_id) == (SENDER, "submission-1")
    assert refusal.problem["type"] == "urn:kopuro:problem:not-in-this-state"


def decline(submission: str = "submission-1") -> Event[Fact]:
    """Routing's decision that the decline of this submission takes effect."""
    fact = OfferDeclined(
        referral_id=REFERRAL,
        offer_id=OFFER,
        organization=STRANGER,
        sender=SENDER,
        reason=DeclineReason.other,
    )
    return event(fact, causation_id=submission)


def refused_answer(submission: str = "submission-1") -> Event[Fact]:
    """Routing's decision that the answer of this submission cannot take effect."""
    problem = Refused("offer-closed", "The answer arrived after the offer's deadline.").problem()
    return event(
        AnswerRefused(
            referral_id=REFERRAL,
            offer_id=OFFER,
            organization=STRANGER,
            submission_id=submission,
            problem=problem,
        )
    )


@pytest.mark.parametrize("note_first", [True, False])
def test_note_of_decline_that_took_effect_goes_to_sender_once(vault: Workbench, note_first: bool) -> None:
    message = note(STRANGER, offer_id=OFFER)
    for one in (message, decline()) if note_first else (decline(), message):
        assert vault.sent() == []
        vault.receive(one)
    vault.receive(message, decline())  # delivered again
    forwarded = only(SealedNoteReleased, vault.sent())
    assert (forwarded.organization, forwarded.author, forwarded.offer_id) == (SENDER, STRANGER, OFFER)
    assert forwarded.note == message.data.note
    assert message.data.note not in vault.stored("held_notes")


@pytest.mark.parametrize("note_first", [True, False])
def test_note_of_refused_decline_is_dropped(vault: Workbench, note_first: bool) -> None:
    message = note(STRANGER, offer_id=OFFER)
    for one in (message, refused_answer()) if note_first else (refused_answer(), message):
        vault.receive(one)
    vault.receive(sealed_case(sealed_to_hub(vault)), acceptance())
    vault.clock.time += dt.timedelta(days=1)
    vault.sealed_messages.retry_due()
    assert [e for e in vault.sent() if isinstance(e.data, SealedNoteReleased | SubmissionRefused)] == []
    assert vault.stored("held_notes") == ""


def test_decision_on_another_answer_does_not_forward_the_note(vault: Workbench) -> None:
    vault.receive(note(STRANGER, offer_id=OFFER))
    vault.receive(decline("submission-2"))
    assert vault.sent() == []


def test_decline_note_is_forwarded_after_another_acceptance(vault: Workbench) -> None:
    vault.receive(sealed_case(sealed_to_hub(vault)))
    vault.receive(decline(), acceptance())
    vault.receive(note(STRANGER, offer_id=OFFER))
    assert only(SealedNoteReleased, vault.sent()).organization == SENDER


def test_held_decline_note_is_refused_to_author_when_referral_closes(vault: Workbench) -> None:
    vault.receive(sealed_case(sealed_to_hub(vault)), note(STRANGER, offer_id=OFFER))
    vault.receive(event(CLOSING))
    refusal = only(SubmissionRefused, vault.sent())
    assert (refusal.organization, refusal.submission_id) == (STRANGER, "submission-1")
    assert vault.stored("held_notes") == ""


def test_closing_forgets_the_decisions_on_answers(vault: Workbench) -> None:
    vault.receive(decline(), refused_answer("submission-2"))
    assert vault.stored("answers") != ""
    vault.receive(event(CLOSING), refused_answer("submission-3"))
    assert vault.stored("answers") == ""


def test_decline_note_on_closed_referral_is_refused(vault: Workbench) -> None:
    vault.receive(sealed_case(sealed_to_hub(vault)), event(CLOSING))
    vault.receive(note(STRANGER, offer_id=OFFER))
    refusal = only(SubmissionRefused, vault.sent())
    assert (refusal.organization, refusal.submission_id) == (STRANGER, "submission-1")


def test_note_by_non_party_is_refused_to_author(vault: Workbench) -> None:
    vault.receive(acceptance())
    vault.receive(note(STRANGER))
    refusal = only(SubmissionRefused, vault.sent())
    assert refusal.organization == STRANGER
    assert refusal.problem["type"] == "urn:kopuro:problem:not-a-party"


def revocation(by: str = ACCEPTOR) -> Event[Fact]:
    return event(
        AcceptanceRevoked(
            referral_id=REFERRAL,
            offer_id=offer_to(by),
            organization=by,
            sender=SENDER,
            coordinator="kg.coordinator",
        )
    )


def test_case_of_revoked_acceptance_is_released_to_next_acceptor(vault: Workbench) -> None:
    vault.keys.publish(STRANGER)
    vault.receive(sealed_case(sealed_to_hub(vault)))
    vault.receive(acceptance())
    vault.receive(revocation())
    assert (vault.state(), vault.sealed_cases()) == (CustodyState.held, 1)
    vault.receive(acceptance(STRANGER))
    released = [e.data for e in vault.sent() if isinstance(e.data, SealedCaseReleased)]
    assert [one.organization for one in released] == [ACCEPTOR, STRANGER]
    assert open_sealed(released[1].case, vault.keys.private[STRANGER]) == CASE


def hand_back(by: str = ACCEPTOR, submission: str = "submission-1") -> Event[Fact]:
    """Routing's decision that the hand-back of this submission takes effect."""
    fact = ReferralHandedBack(
        referral_id=REFERRAL,
        offer_id=offer_to(by),
        organization=by,
        sender=SENDER,
        reason=HandBackReason.other,
    )
    return event(fact, causation_id=submission)


def refused_hand_back(submission: str = "submission-1") -> Event[Fact]:
    problem = Refused("not-in-this-state", "The referral is completed.").problem()
    return event(
        HandBackRefused(
            referral_id=REFERRAL, organization=ACCEPTOR, submission_id=submission, problem=problem
        )
    )


def hand_back_note() -> Any:
    sealed = seal({"text": "Она переехала."}, public_key(generate_key()))
    fact = SealedNoteSubmitted(referral_id=REFERRAL, author=ACCEPTOR, note=sealed, hand_back=True)
    return event(fact, causation_id="submission-1")


def test_handed_back_case_is_released_to_next_acceptor(vault: Workbench) -> None:
    vault.keys.publish(STRANGER)
    vault.receive(sealed_case(sealed_to_hub(vault)))
    vault.receive(acceptance())
    vault.receive(hand_back())
    assert (vault.state(), vault.sealed_cases()) == (CustodyState.held, 1)
    vault.receive(acceptance(STRANGER))
    released = [e.data for e in vault.sent() if isinstance(e.data, SealedCaseReleased)]
    assert [one.organization for one in released] == [ACCEPTOR, STRANGER]
    assert open_sealed(released[1].case, vault.keys.private[STRANGER]) == CASE
    assert [one.offer_id for one in released] == [OFFER, offer_to(STRANGER)]


def test_hand_back_before_the_release_releases_nothing(vault: Workbench) -> None:
    vault.receive(sealed_case(sealed_to_hub(vault)))
    vault.receive(acceptance(), hand_back())
    assert [e for e in vault.sent() if isinstance(e.data, SealedCaseReleased)] == []
    assert vault.state() is CustodyState.held


@pytest.mark.parametrize("note_first", [True, False])
def test_note_of_hand_back_that_took_effect_goes_to_sender_once(vault: Workbench, note_first: bool) -> None:
    vault.receive(acceptance())
    message = hand_back_note()
    for one in (message, hand_back()) if note_first else (hand_back(), message):
        assert [e for e in vault.sent() if isinstance(e.data, SealedNoteReleased)] == []
        vault.receive(one)
    vault.receive(message, hand_back())  # delivered again
    forwarded = only(SealedNoteReleased, vault.sent())
    assert (forwarded.organization, forwarded.author) == (SENDER, ACCEPTOR)
    assert forwarded.note == message.data.note
    assert vault.stored("held_notes") == ""


@pytest.mark.parametrize("note_first", [True, False])
def test_note_of_refused_hand_back_is_dropped(vault: Workbench, note_first: bool) -> None:
    vault.receive(acceptance())
    message = hand_back_note()
    for one in (message, refused_hand_back()) if note_first else (refused_hand_back(), message):
        vault.receive(one)
    assert [e for e in vault.sent() if isinstance(e.data, SealedNoteReleased | SubmissionRefused)] == []
    assert vault.stored("held_notes") == ""


def test_notes_between_sender_and_former_acceptor_are_refused(vault: Workbench) -> None:
    vault.keys.publish(STRANGER)
    vault.receive(sealed_case(sealed_to_hub(vault)), acceptance(), hand_back(), acceptance(STRANGER))
    vault.receive(note(ACCEPTOR))
    refusal = only(SubmissionRefused, vault.sent())
    assert (refusal.organization, refusal.problem["type"]) == (ACCEPTOR, "urn:kopuro:problem:not-a-party")


def test_case_waiting_for_key_is_not_released_after_revocation(vault: Workbench) -> None:
    vault.receive(acceptance(STRANGER), revocation(STRANGER))
    vault.receive(sealed_case(sealed_to_hub(vault)))
    vault.keys.publish(STRANGER)
    vault.release_waiting()
    assert vault.state() is CustodyState.held
    assert vault.sent() == []


def test_revocation_after_the_end_changes_nothing(vault: Workbench) -> None:
    vault.receive(sealed_case(sealed_to_hub(vault)), acceptance())
    vault.receive(event(CLOSING))
    vault.receive(revocation())
    assert vault.state() is CustodyState.erased
    assert vault.dead_letters() == 0


def test_revocation_of_another_acceptance_is_dead_lettered(vault: Workbench) -> None:
    vault.receive(acceptance())
    vault.receive(revocation(STRANGER))
    assert vault.dead_letters() == 1


def test_end_of_an_earlier_acceptance_by_the_same_organization_is_dead_lettered(vault: Workbench) -> None:
    vault.receive(sealed_case(sealed_to_hub(vault)), acceptance(offer=offer_to(STRANGER)))
    vault.receive(revocation())
    assert (vault.state(), vault.dead_letters()) == (CustodyState.released, 1)


def test_message_of_unexpected_type_is_dead_lettered(vault: Workbench) -> None:
    vault.events.process([])
    unexpected = event(
        SealedNoteReleased(referral_id=REFERRAL, organization=SENDER, author=ACCEPTOR, note="a.b.c.d.e")
    )
    vault.receive(unexpected)
    assert (vault.sent(), vault.dead_letters()) == ([], 1)


NEWER = {**CASE, "phones": ["+996700111111"], "safe_contact": "Never the old number."}


def replacement(
    vault: Workbench,
    content: Any = CASE,
    *,
    sender: str = SENDER,
    to: str = ACCEPTOR,
    age: dt.timedelta = PATIENCE,
) -> Any:
    """A replacement case, sealed to the receiver's key, or to the acceptor's if the receiver has none."""
    key = vault.keys.private.get(to) or vault.keys.private[ACCEPTOR]
    fact = SealedCaseReplaced(referral_id=REFERRAL, sender=sender, to=to, case=seal(content, public_key(key)))
    return event(fact, time=NOW - age, causation_id="submission-1")


def renewal(
    vault: Workbench, content: Any = NEWER, *, sender: str = SENDER, age: dt.timedelta = PATIENCE
) -> Any:
    """A replacement of the case in custody."""
    case = seal(content, public_key(vault.custody))
    fact = SealedCaseReplaced(referral_id=REFERRAL, sender=sender, to=None, case=case)
    return event(fact, time=NOW - age, causation_id="submission-1")


def opened(vault: Workbench) -> list[tuple[str, Any]]:
    """Return each released case with its acceptor."""
    released = [m.data for m in vault.sent() if isinstance(m.data, SealedCaseReleased)]
    return [
        (one.organization, open_sealed(one.case, vault.keys.private[one.organization])) for one in released
    ]


def test_case_replaced_in_custody_goes_to_the_acceptor_and_to_the_next_one(vault: Workbench) -> None:
    vault.keys.publish(STRANGER)
    vault.receive(sealed_case(sealed_to_hub(vault)), acceptance())
    message = renewal(vault)
    vault.receive(message)
    vault.receive(hand_back(), acceptance(STRANGER))
    assert opened(vault) == [(ACCEPTOR, CASE), (ACCEPTOR, NEWER), (STRANGER, NEWER)]
    causes = [m.causation_id for m in vault.sent() if isinstance(m.data, CaseReleased)]
    assert causes[1] == message.id
    assert vault.sealed_cases() == 1
    vault.receive(event(CLOSING))
    assert (vault.sealed_cases(), vault.dead_letters()) == (0, 0)


def test_case_replaced_in_custody_before_an_acceptance_is_the_one_that_is_released(vault: Workbench) -> None:
    vault.receive(sealed_case(sealed_to_hub(vault)))
    vault.receive(renewal(vault))
    vault.receive(acceptance())
    assert opened(vault) == [(ACCEPTOR, NEWER)]


def test_case_replaced_in_custody_waits_for_the_acceptors_key_like_a_first_one(vault: Workbench) -> None:
    vault.receive(sealed_case(sealed_to_hub(vault)), acceptance())
    until = vault.keys.pauses[ACCEPTOR] = NOW + dt.timedelta(hours=24)
    vault.receive(renewal(vault))
    assert (vault.state(), only(CasePaused, vault.sent()).until) == (CustodyState.held, until)
    vault.clock.time = until
    vault.release_waiting()
    assert opened(vault) == [(ACCEPTOR, CASE), (ACCEPTOR, NEWER)]


@pytest.mark.parametrize("fault", ["unreadable", "stranger", "closed"])
def test_replacement_in_custody_that_is_refused_changes_nothing(vault: Workbench, fault: str) -> None:
    sealed = sealed_to_hub(vault)
    vault.receive(sealed_case(sealed), acceptance())
    if fault == "closed":
        vault.receive(event(CLOSING))
    sender = ACCEPTOR if fault == "stranger" else SENDER
    vault.receive(renewal(vault, {"hello": 1} if fault == "unreadable" else NEWER, sender=sender))
    problem = only(SubmissionRefused, vault.sent()).problem["type"].rpartition(":")[2]
    slugs = {"unreadable": "case-unreadable", "stranger": "not-a-party", "closed": "not-in-this-state"}
    assert problem == slugs[fault]
    assert opened(vault) == [(ACCEPTOR, CASE)]
    with vault.database.read() as transaction:
        kept = vault.store.sealed(transaction, [REFERRAL])
    assert kept == ({} if fault == "closed" else {REFERRAL: SealedCase.split(sealed)})


def test_next_acceptor_after_a_replacement_for_one_acceptor_gets_no_older_case(vault: Workbench) -> None:
    """The vault cannot open what was sealed to the acceptor, so it asks the sender, once."""
    vault.keys.publish(STRANGER)
    vault.receive(sealed_case(sealed_to_hub(vault)), acceptance())
    vault.receive(replacement(vault, NEWER))
    vault.receive(hand_back(), acceptance(STRANGER))
    asked = only(CaseRequested, vault.sent())
    assert (asked.organization, asked.sender) == (STRANGER, SENDER)
    assert (vault.state(), vault.releasable()) == (CustodyState.held, [])
    vault.release_waiting()
    assert opened(vault) == [(ACCEPTOR, CASE), (ACCEPTOR, NEWER)]
    vault.receive(replacement(vault, NEWER, to=STRANGER))
    assert opened(vault)[2:] == [(STRANGER, NEWER)]
    assert len([m for m in vault.sent() if isinstance(m.data, CaseRequested)]) == 1
    vault.receive(event(CLOSING))
    assert (vault.sealed_cases(), vault.dead_letters()) == (0, 0)


def test_replacement_in_custody_answers_a_request_of_the_vault(vault: Workbench) -> None:
    vault.keys.publish(STRANGER)
    vault.receive(sealed_case(sealed_to_hub(vault)), acceptance())
    vault.receive(replacement(vault, NEWER))
    vault.receive(hand_back(), acceptance(STRANGER))
    vault.receive(renewal(vault))
    assert opened(vault)[2:] == [(STRANGER, NEWER)]


def test_replaced_case_is_released_to_acceptor_and_kept_until_closing(vault: Workbench) -> None:
    bad = seal({"hello": 1}, public_key(vault.keys.private[ACCEPTOR]))
    vault.receive(sealed_case(bad, to=ACCEPTOR))
    vault.receive(acceptance())
    message = replacement(vault)
    vault.receive(message)
    *_, replaced, released = vault.sent()
    assert isinstance(replaced.data, SealedCaseReleased)
    assert (replaced.data.organization, replaced.causation_id) == (ACCEPTOR, message.id)
    assert open_sealed(replaced.data.case, vault.keys.private[ACCEPTOR]) == CASE
    assert isinstance(released.data, CaseReleased)
    with vault.database.read() as transaction:
        kept = vault.store.sealed(transaction, [REFERRAL])
    assert kept == {REFERRAL: SealedCase.split(message.data.case)}
    vault.receive(replacement(vault), replacement(vault))
    assert (vault.state(), vault.sealed_cases()) == (CustodyState.released, 1)
    vault.receive(event(CLOSING))
    assert (vault.state(), vault.sealed_cases(), vault.dead_letters()) == (CustodyState.erased, 0, 0)


@pytest.mark.parametrize(("sender", "to"), [(ACCEPTOR, ACCEPTOR), (STRANGER, ACCEPTOR), (SENDER, STRANGER)])
def test_replaced_case_from_or_for_non_party_is_refused_to_author(
    vault: Workbench, sender: str, to: str
) -> None:
    sealed = sealed_to_hub(vault)
    vault.receive(sealed_case(sealed))
    vault.receive(acceptance())
    vault.receive(replacement(vault, sender=sender, to=to))
    refusal = only(SubmissionRefused, vault.sent())
    assert (refusal.organization, refusal.submission_id) == (sender, "submission-1")
    assert refusal.problem["type"] == "urn:kopuro:problem:not-a-party"
    assert only(SealedCaseReleased, vault.sent()).organization == ACCEPTOR
    with vault.database.read() as transaction:
        assert vault.store.sealed(transaction, [REFERRAL]) == {REFERRAL: SealedCase.split(sealed)}


def test_replaced_case_sealed_to_another_key_is_refused(vault: Workbench) -> None:
    vault.receive(sealed_case(sealed_to_hub(vault)))
    vault.receive(acceptance())
    message = replacement(vault)
    vault.keys.publish(ACCEPTOR)
    vault.receive(message)
    assert only(SubmissionRefused, vault.sent()).problem["type"] == "urn:kopuro:problem:case-unreadable"
    assert vault.state() is CustodyState.released


def test_replaced_case_before_acceptance_or_after_closing_is_refused(vault: Workbench) -> None:
    vault.receive(sealed_case(sealed_to_hub(vault)))
    vault.receive(replacement(vault, age=dt.timedelta()))
    assert vault.sent() == []  # the acceptance may still arrive
    vault.receive(replacement(vault))
    vault.receive(event(CLOSING))
    vault.receive(replacement(vault))
    refusals = [e.data for e in vault.sent() if isinstance(e.data, SubmissionRefused)]
    assert [r.problem["type"] for r in refusals] == ["urn:kopuro:problem:not-in-this-state"] * 2
    assert (vault.state(), vault.sealed_cases()) == (CustodyState.erased, 0)


# --- Pauses and evidence ----------------------------------------------------------------------------


def test_replacement_that_had_to_wait_does_not_replace_a_newer_case(vault: Workbench) -> None:
    vault.receive(sealed_case(sealed_to_hub(vault)))
    # The sender knows of the acceptance before the vault does: the first one waits.
    first, second = (replacement(vault, content, age=dt.timedelta()) for content in (CASE, NEWER))
    vault.receive(first)
    vault.receive(acceptance())
    vault.receive(second)
    vault.clock.time += dt.timedelta(seconds=2)
    assert vault.sealed_messages.retry_due() == 1
    assert opened(vault)[-1] == (ACCEPTOR, NEWER)
    refusal = only(SubmissionRefused, vault.sent())
    assert (refusal.organization, refusal.problem["type"]) == (SENDER, "urn:kopuro:problem:conflict")
    with vault.database.read() as transaction:
        kept = vault.store.sealed(transaction, [REFERRAL])
    assert kept == {REFERRAL: SealedCase.split(second.data.case)}


def test_replacement_in_custody_that_waits_for_a_key_does_not_replace_a_newer_case(vault: Workbench) -> None:
    added = generate_key()
    vault.receive(sealed_case(sealed_to_hub(vault)), acceptance())
    older = SealedCaseReplaced(
        referral_id=REFERRAL, sender=SENDER, to=None, case=seal(CASE, public_key(added))
    )
    vault.receive(event(older, causation_id="submission-1"))
    vault.receive(renewal(vault))
    vault.custody_file.insert(0, dict(added))
    vault.clock.time += dt.timedelta(seconds=2)
    assert vault.sealed_messages.retry_due() == 1
    assert opened(vault) == [(ACCEPTOR, CASE), (ACCEPTOR, NEWER)]
    assert only(SubmissionRefused, vault.sent()).problem["type"] == "urn:kopuro:problem:conflict"


@pytest.mark.parametrize("newer_is_for_acceptor", [True, False])
def test_replayed_replacement_is_refused_after_a_newer_one_of_either_kind(
    vault: Workbench, newer_is_for_acceptor: bool
) -> None:
    """An operator replays a dead letter: it comes after every newer message."""
    vault.receive(sealed_case(sealed_to_hub(vault)), acceptance())
    for_acceptor, in_custody = replacement, renewal
    older, newer = in_custody, for_acceptor
    if not newer_is_for_acceptor:
        older, newer = newer, older
    replayed, latest = older(vault, CASE), newer(vault, NEWER)
    vault.receive(latest)
    vault.receive(replayed)
    assert opened(vault) == [(ACCEPTOR, CASE), (ACCEPTOR, NEWER)]
    assert only(SubmissionRefused, vault.sent()).problem["type"] == "urn:kopuro:problem:conflict"
    assert vault.sealed_cases() == 1


def test_release_to_a_replaced_key_waits_until_the_pause_is_over(vault: Workbench) -> None:
    until = vault.keys.pauses[ACCEPTOR] = NOW + dt.timedelta(hours=24)
    vault.receive(sealed_case(seal(CASE, public_key(vault.custody))), acceptance())
    assert vault.state() is CustodyState.held
    paused = only(CasePaused, vault.sent())
    assert (paused.organization, paused.sender, paused.until) == (ACCEPTOR, SENDER, until)
    assert vault.releasable() == []
    vault.clock.time = until - dt.timedelta(seconds=1)
    vault.release_waiting()
    assert len(vault.sent()) == 1, "announced once"
    vault.clock.time = until
    assert vault.releasable() == [ACCEPTOR]
    vault.release_waiting()
    assert vault.state() is CustodyState.released
    released = only(SealedCaseReleased, vault.sent())
    assert open_sealed(released.case, vault.keys.private[ACCEPTOR]) == CASE


def test_paused_cases_are_counted_with_the_age_of_the_oldest(vault: Workbench) -> None:
    def measured() -> dict[str, float]:
        metrics = VaultMetrics(CollectorRegistry(), vault.paused, vault.clock)
        return {family.name: family.samples[0].value for family in metrics.collect()}

    count, age = "kopuro_cases_paused", "kopuro_cases_paused_oldest_seconds"
    assert measured() == {count: 0, age: 0}
    until = vault.keys.pauses[ACCEPTOR] = NOW + dt.timedelta(hours=24)
    vault.receive(sealed_case(seal(CASE, public_key(vault.custody))), acceptance())
    vault.clock.time = NOW + dt.timedelta(hours=2)
    assert measured() == {count: 1, age: 7200}
    vault.clock.time = until
    assert measured() == {count: 0, age: 0}

    def unreachable(now: dt.datetime) -> tuple[int, None]:
        raise DatabaseUnavailable("The database cannot be reached.")

    assert list(VaultMetrics(CollectorRegistry(), unreachable, vault.clock).collect()) == []


def test_second_replacement_of_the_key_pauses_again(vault: Workbench) -> None:
    vault.keys.pauses[ACCEPTOR] = NOW + dt.timedelta(hours=24)
    vault.receive(sealed_case(seal(CASE, public_key(vault.custody))), acceptance())
    vault.keys.pauses[ACCEPTOR] = later = NOW + dt.timedelta(hours=48)
    vault.clock.time = NOW + dt.timedelta(hours=25)
    vault.release_waiting()
    assert vault.state() is CustodyState.held
    vault.receive(event(SealedNoteSubmitted(referral_id=REFERRAL, author=SENDER, note="n")))
    announced = [one.data.until for one in vault.sent() if isinstance(one.data, CasePaused)]
    assert announced == [NOW + dt.timedelta(hours=24), later]


def test_case_sealed_to_a_replaced_key_is_not_forwarded_during_the_pause(vault: Workbench) -> None:
    vault.receive(sealed_case(seal(CASE, public_key(vault.keys.private[ACCEPTOR])), to=ACCEPTOR))
    vault.keys.pauses[ACCEPTOR] = NOW + dt.timedelta(hours=24)
    vault.receive(acceptance())
    assert vault.state() is CustodyState.held
    assert only(CasePaused, vault.sent()).until == NOW + dt.timedelta(hours=24)


def test_replaced_case_for_a_replaced_key_is_refused_during_the_pause(vault: Workbench) -> None:
    vault.receive(sealed_case(seal(CASE, public_key(vault.custody))), acceptance())
    vault.keys.publish(ACCEPTOR)
    vault.keys.pauses[ACCEPTOR] = NOW + dt.timedelta(hours=24)
    again = seal(CASE, public_key(vault.keys.private[ACCEPTOR]))
    vault.receive(event(SealedCaseReplaced(referral_id=REFERRAL, sender=SENDER, to=ACCEPTOR, case=again)))
    refused = only(SubmissionRefused, vault.sent())
    assert refused.problem["type"].endswith("not-in-this-state")
    assert "again after 2026-03-02T12:00:00Z, with another Idempotency-Key" in refused.problem["detail"]
    assert refused.problem["until"] == "2026-03-02T12:00:00Z"


@pytest.mark.parametrize(("author", "receiver"), [(SENDER, ACCEPTOR), (ACCEPTOR, SENDER)])
def test_note_to_a_replaced_key_is_refused_during_the_pause(
    vault: Workbench, author: str, receiver: str
) -> None:
    vault.receive(acceptance())
    until = vault.keys.pauses[receiver] = NOW + dt.timedelta(hours=24)
    vault.receive(note(author))
    refused = only(SubmissionRefused, vault.sent())
    assert (refused.organization, refused.submission_id) == (author, "submission-1")
    assert refused.problem["type"].endswith("not-in-this-state")
    assert "again after 2026-03-02T12:00:00Z, with another Idempotency-Key" in refused.problem["detail"]
    assert refused.problem["until"] == "2026-03-02T12:00:00Z"
    assert not [one for one in vault.sent() if isinstance(one.data, SealedNoteReleased)]
    vault.clock.time = until
    vault.receive(note(author))
    assert only(SealedNoteReleased, vault.sent()[1:]).organization == receiver


@pytest.mark.parametrize("note_first", [True, False])
@pytest.mark.parametrize("step", ["decline", "hand back"])
def test_note_of_a_step_is_refused_during_the_pause_and_the_step_counts(
    vault: Workbench, step: str, note_first: bool
) -> None:
    if step == "decline":
        author, message, decided = STRANGER, note(STRANGER, offer_id=OFFER), decline()
    else:
        vault.receive(acceptance())
        author, message, decided = ACCEPTOR, hand_back_note(), hand_back()
    vault.keys.pauses[SENDER] = NOW + dt.timedelta(hours=24)
    for one in (message, decided) if note_first else (decided, message):
        vault.receive(one)
    refused = only(SubmissionRefused, vault.sent())
    assert (refused.organization, refused.submission_id) == (author, "submission-1")
    assert refused.problem["detail"].startswith(
        "Your decline or hand-back has taken effect, without its note"
    )
    assert refused.problem["until"] == "2026-03-02T12:00:00Z"
    vault.clock.time += dt.timedelta(hours=25)
    vault.sealed_messages.retry_due()
    assert [e for e in vault.sent() if isinstance(e.data, SealedNoteReleased)] == []
    assert vault.stored("held_notes") == ""


def test_closing_a_paused_referral_erases_its_case(vault: Workbench) -> None:
    vault.keys.pauses[ACCEPTOR] = NOW + dt.timedelta(hours=24)
    vault.receive(sealed_case(seal(CASE, public_key(vault.custody))), acceptance())
    vault.receive(event(CLOSINGS[0][0]))
    assert (vault.state(), vault.sealed_cases()) == (CustodyState.erased, 0)


def test_acceptance_and_closing_are_kept_with_their_signatures(vault: Workbench) -> None:
    accepted = acceptance()
    withdrawn = event(CLOSINGS[1][0])
    vault.receive(sealed_case(seal(CASE, public_key(vault.custody))), accepted)
    vault.receive(withdrawn)
    kept = {type_: (body, proof) for type_, body, proof in vault.evidence()}
    assert set(kept) == {accepted.type, withdrawn.type}
    for one in (accepted, withdrawn):
        body, proof = kept[one.type]
        assert body == one.encode()
        assert verifier().author_of(body, proof) == "routing"


def test_acceptance_without_effect_leaves_no_evidence(vault: Workbench) -> None:
    vault.receive(acceptance())
    vault.receive(acceptance(STRANGER))
    assert vault.dead_letters() == 1
    assert len(vault.evidence()) == 1
