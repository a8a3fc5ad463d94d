from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from contracts.facts import (
    CaseErased,
    CaseRefused,
    CaseReleased,
    CaseResealed,
    Fact,
    ReferralCompleted,
    ReferralFailed,
    ReferralWithdrawn,
    SealedCaseReleased,
    SealedNoteReleased,
    SealedNoteSubmitted,
    SubmissionRefused,
)
from kopuro_client.errors import SealingError
from kopuro_client.sealing import generate_key, open_sealed, public_key, seal
from services.vault.adapters.store import SqlCustodyStore
from services.vault.domain.custody import CustodyState
from services.vault.domain.sealed import SealedCase
from services.vault.handlers import PATIENCE
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
    case_letter,
    event,
    header_change,
    only,
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
    bench.database.close()


def sealed_to_hub(vault: Workbench, content: Any = CASE) -> str:
    return seal(content, public_key(vault.custody))


def test_the_acceptor_and_nobody_else_can_open_what_is_released(vault: Workbench) -> None:
    accepted = acceptance()
    vault.receive(case_letter(sealed_to_hub(vault)))
    assert vault.sent() == []
    vault.receive(accepted)
    letter = only(SealedCaseReleased, vault.sent())
    assert letter.organization == ACCEPTOR
    assert open_sealed(letter.case, vault.keys.private[ACCEPTOR]) == CASE
    with pytest.raises(SealingError):
        open_sealed(letter.case, vault.custody)
    fact = only(CaseReleased, vault.sent())
    assert (fact.organization, fact.kid) == (ACCEPTOR, vault.keys.published[ACCEPTOR].kid)
    assert {(e.causation_id, e.correlation_id) for e in vault.sent()} == {(accepted.id, CORRELATION)}
    assert vault.state() is CustodyState.released


def test_the_acceptance_may_come_before_the_case(vault: Workbench) -> None:
    accepted = acceptance()
    vault.receive(accepted)
    assert vault.sent() == []
    vault.receive(case_letter(sealed_to_hub(vault)))
    assert open_sealed(only(SealedCaseReleased, vault.sent()).case, vault.keys.private[ACCEPTOR]) == CASE
    assert {e.causation_id for e in vault.sent()} == {accepted.id}


def test_a_message_that_comes_again_releases_nothing_again(vault: Workbench) -> None:
    letter, accepted = case_letter(sealed_to_hub(vault)), acceptance()
    vault.receive(letter, letter)
    vault.receive(accepted)
    vault.receive(accepted, accepted)
    vault.receive(letter)
    vault.release_waiting()
    assert len(vault.sent()) == 2
    assert vault.parked() == 0


def test_a_batch_of_many_referrals_releases_each_to_its_own_acceptor(vault: Workbench) -> None:
    vault.keys.publish(STRANGER)
    referrals = {f"01930f6e-5d2a-7c11-8a4f-0b6d2f9c1b{n:02d}": (ACCEPTOR, STRANGER)[n % 2] for n in range(20)}
    content = {r: {**CASE, "narrative": r} for r in referrals}
    vault.receive(*(case_letter(sealed_to_hub(vault, content[r]), referral=r) for r in referrals))
    vault.receive(*(acceptance(by, referral=r) for r, by in referrals.items()))
    letters = [e.data for e in vault.sent() if isinstance(e.data, SealedCaseReleased)]
    assert {letter.referral_id: letter.organization for letter in letters} == referrals
    for letter in letters:
        opened = open_sealed(letter.case, vault.keys.private[letter.organization])
        assert opened == content[letter.referral_id]


def test_consumers_that_meet_at_the_same_cases_release_each_once(vault: Workbench) -> None:
    referrals = [f"01930f6e-5d2a-7c11-8a4f-0b6d2f9c1b{n:02d}" for n in range(60)]
    cases = [case_letter(sealed_to_hub(vault), referral=r) for r in referrals]
    # The other way round, so that the two meet in the middle.
    acceptances = [acceptance(referral=r) for r in reversed(referrals)]

    def in_batches(messages: list[Any], size: int) -> None:
        for begin in range(0, len(messages), size):
            vault.receive(*messages[begin : begin + size])

    def sweep() -> None:
        for _ in range(20):
            vault.release_waiting()

    with ThreadPoolExecutor(3) as pool:
        under_way = [
            pool.submit(in_batches, cases, 6),
            pool.submit(in_batches, acceptances, 4),
            pool.submit(sweep),
        ]
        for one in under_way:
            one.result()
    released = [e.data.referral_id for e in vault.sent() if isinstance(e.data, SealedCaseReleased)]
    assert sorted(released) == referrals
    assert vault.parked() == 0


def test_a_turn_of_releases_and_a_batch_do_not_wait_for_each_other(postgres_database: str) -> None:
    """Both take custodies in one order, whoever the acceptors are. (SQLite has one writer.)"""
    vault = Workbench(postgres_database)
    key = vault.keys.published.pop(ACCEPTOR)
    first, second = (f"01930f6e-5d2a-7c11-8a4f-0b6d2f9c1b{n:02d}" for n in range(2))
    # The acceptor that comes first has the referral that comes last.
    for referral, acceptor in ((first, STRANGER), (second, ACCEPTOR)):
        vault.receive(
            case_letter(sealed_to_hub(vault), referral=referral), acceptance(acceptor, referral=referral)
        )
    vault.keys.published[ACCEPTOR] = key
    vault.keys.publish(STRANGER)
    with ThreadPoolExecutor(1) as pool:
        with vault.database.write() as transaction:
            SqlCustodyStore().take(transaction, [first])
            turn = pool.submit(vault.release_waiting)
            until_somebody_waits(vault)
            SqlCustodyStore().take(transaction, [second])
        turn.result(20)
    released = [e.data.referral_id for e in vault.sent() if isinstance(e.data, SealedCaseReleased)]
    assert sorted(released) == [first, second]
    vault.database.close()


def until_somebody_waits(vault: Workbench) -> None:
    """Until a transaction waits for another one's lock."""
    deadline = time.monotonic() + 20
    while True:
        with vault.database.read() as transaction:
            if transaction.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted").scalar_one():
                return
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("known", [True, False])
def test_who_takes_a_custody_has_it_alone(vault: Workbench, known: bool) -> None:
    if known:
        with vault.database.write() as transaction:
            SqlCustodyStore().take(transaction, [REFERRAL])
    with ThreadPoolExecutor(1) as pool:
        with vault.database.write() as transaction:
            SqlCustodyStore().take(transaction, [REFERRAL])
            arrival = pool.submit(vault.receive, case_letter(sealed_to_hub(vault)))
            with pytest.raises(TimeoutError):
                arrival.result(0.2)
            vault.handlers.events(transaction, [acceptance()], NOW)
        arrival.result(20)
    assert only(SealedCaseReleased, vault.sent()).organization == ACCEPTOR


def test_an_acceptor_without_a_key_gets_the_case_once_it_has_one(vault: Workbench) -> None:
    vault.receive(case_letter(sealed_to_hub(vault)), acceptance(STRANGER))
    assert vault.releasable() == [], "nothing that a turn would write for"
    vault.release_waiting()
    assert vault.sent() == []
    assert vault.state() is CustodyState.held
    vault.keys.publish(STRANGER)
    assert vault.releasable() == [STRANGER]
    vault.release_waiting()
    vault.release_waiting()
    letter = only(SealedCaseReleased, vault.sent())
    assert letter.organization == STRANGER
    assert open_sealed(letter.case, vault.keys.private[STRANGER]) == CASE


def test_a_key_that_nothing_can_be_sealed_to_is_waited_out(vault: Workbench) -> None:
    usable = vault.keys.published[ACCEPTOR]
    # A point of low order (RFC 7748 §6.1): every key agreement with it gives zeros.
    vault.keys.published[ACCEPTOR] = type(usable)(kty="OKP", crv="X25519", x="A" * 43, kid="k" * 43)
    vault.receive(case_letter(sealed_to_hub(vault)), acceptance())
    assert vault.sent() == []
    vault.keys.published[ACCEPTOR] = usable
    vault.release_waiting()
    assert only(SealedCaseReleased, vault.sent()).organization == ACCEPTOR


def test_a_case_sealed_to_a_named_receiver_is_passed_on_as_it_came(vault: Workbench) -> None:
    sealed = seal(CASE, public_key(vault.keys.private[ACCEPTOR]))
    vault.receive(case_letter(sealed, to=ACCEPTOR), acceptance())
    letter = only(SealedCaseReleased, vault.sent())
    assert letter.case == sealed
    assert letter.kid == vault.keys.published[ACCEPTOR].kid


def test_a_case_sealed_to_one_organisation_is_not_given_to_another(vault: Workbench) -> None:
    vault.keys.publish(STRANGER)
    sealed = seal(CASE, public_key(vault.keys.private[ACCEPTOR]))
    vault.receive(case_letter(sealed, to=ACCEPTOR), acceptance(STRANGER))
    refusal = only(CaseRefused, vault.sent())
    assert refusal.organization == SENDER
    assert ACCEPTOR in refusal.problem["detail"]
    assert len(vault.sent()) == 1
    assert vault.sealed_cases() == 0


def test_the_receivers_key_may_still_be_under_way(vault: Workbench) -> None:
    vault.keys.publish(STRANGER)
    sealed = seal(CASE, public_key(vault.keys.private[STRANGER]))
    published = vault.keys.published.pop(STRANGER)
    vault.receive(case_letter(sealed, to=STRANGER))
    assert (vault.sent(), vault.state()) == ([], None)
    vault.keys.published[STRANGER] = published
    vault.clock.time += dt.timedelta(seconds=2)
    assert vault.letters.retry_due() == 1
    assert vault.state() is CustodyState.held


@pytest.mark.parametrize("published", [True, False])
def test_in_the_end_a_case_for_another_key_than_the_receivers_is_refused(
    vault: Workbench, published: bool
) -> None:
    sealed = seal(CASE, public_key(generate_key()))
    if not published:
        del vault.keys.published[ACCEPTOR]
    letter = case_letter(sealed, to=ACCEPTOR)
    vault.clock.time += PATIENCE
    vault.receive(letter)
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


BAD = [foreign_key, false_kid, altered, compressed, other_algorithm, other_encryption, not_a_case]


@pytest.mark.parametrize("bad", BAD)
def test_a_case_that_cannot_be_read_is_refused_and_nothing_of_it_is_kept(vault: Workbench, bad: Any) -> None:
    letter = case_letter(bad(vault))
    vault.receive(letter)
    (said,) = vault.sent()
    assert isinstance(said.data, CaseRefused)
    assert said.data.organization == SENDER
    assert said.data.problem["type"] == "urn:kopuro:problem:case-unreadable"
    assert said.causation_id == letter.id
    assert vault.sealed_cases() == 0
    assert NAME not in vault.everything_stored()
    vault.receive(acceptance())
    assert len(vault.sent()) == 1


def test_a_refusal_points_at_the_fields(vault: Workbench) -> None:
    vault.receive(case_letter(not_a_case(vault)))
    errors = only(CaseRefused, vault.sent()).problem["errors"]
    assert {"/name", "/phones/0", ""} <= {error["pointer"] for error in errors}


def test_one_bad_case_does_not_hold_up_its_neighbours(vault: Workbench) -> None:
    other = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a02"
    vault.receive(case_letter(altered(vault)), case_letter(sealed_to_hub(vault), referral=other))
    assert (vault.state(), vault.state(other)) == (CustodyState.refused, CustodyState.held)


@pytest.mark.parametrize("fine", [True, False])
def test_a_second_case_for_one_referral_is_parked_and_the_first_one_stays(
    vault: Workbench, fine: bool
) -> None:
    vault.receive(case_letter(sealed_to_hub(vault)))
    vault.receive(case_letter(sealed_to_hub(vault, {"name": "B"}) if fine else altered(vault)))
    assert vault.parked() == 1
    vault.receive(acceptance())
    assert open_sealed(only(SealedCaseReleased, vault.sent()).case, vault.keys.private[ACCEPTOR]) == CASE


def test_no_plaintext_is_stored_or_sent(vault: Workbench) -> None:
    vault.receive(case_letter(sealed_to_hub(vault)), acceptance())
    bodies = b"\n".join(vault.bodies("", "kopuro.events", "kopuro.cases"))
    assert len(vault.sent()) == 2
    for secret in (NAME, CASE["phones"][0], json.dumps(NAME)[1:-1]):
        assert secret.encode() not in bodies
        assert secret not in vault.everything_stored()


@pytest.mark.parametrize(("closing", "reason"), CLOSINGS)
@pytest.mark.parametrize("accepted", [False, True])
def test_the_end_of_a_referral_erases_the_key(
    vault: Workbench, closing: Fact, reason: str, accepted: bool
) -> None:
    sealed = sealed_to_hub(vault)
    halves = SealedCase.split(sealed)
    vault.receive(case_letter(sealed))
    if accepted:
        vault.receive(acceptance())
    assert halves.wrapped_key in vault.everything_stored()
    vault.receive(event(closing))
    assert only(CaseErased, vault.sent()).reason == reason
    assert vault.state() is CustodyState.erased
    for half in (halves.wrapped_key, halves.ciphertext):
        assert half not in vault.everything_stored()


def test_in_a_file_too_the_key_is_overwritten(sqlite_database: str) -> None:
    vault = Workbench(sqlite_database)
    sealed = sealed_to_hub(vault, {**CASE, "narrative": "x" * 20_000})
    vault.receive(case_letter(sealed))

    def file() -> bytes:
        assert vault.database.checkpoint_wal()
        with open(str(vault.database.engine.url.database), "rb") as stored:
            return stored.read()

    key, some_ciphertext = SealedCase.split(sealed).wrapped_key[-50:].encode(), sealed[-200:-100].encode()
    assert key in file()
    assert some_ciphertext in file()
    vault.receive(event(CLOSING))
    assert key not in file()
    assert some_ciphertext not in file()
    vault.database.close()


def test_after_erasure_neither_case_nor_acceptance_brings_anything_back(vault: Workbench) -> None:
    vault.receive(event(CLOSING))
    vault.receive(case_letter(sealed_to_hub(vault)))
    vault.receive(acceptance())
    vault.release_waiting()
    assert [type(e.data) for e in vault.sent()] == [CaseErased]
    assert vault.sealed_cases() == 0
    assert vault.parked() == 0


def test_what_is_accepted_and_withdrawn_in_one_batch_does_not_leave(vault: Workbench) -> None:
    vault.receive(case_letter(sealed_to_hub(vault)))
    vault.receive(acceptance(), event(CLOSING))
    assert [type(e.data) for e in vault.sent()] == [CaseErased]


def test_a_refused_case_is_not_erased_once_more(vault: Workbench) -> None:
    vault.receive(case_letter(altered(vault)))
    vault.receive(event(CLOSINGS[2][0]))
    assert [type(e.data) for e in vault.sent()] == [CaseRefused]
    assert vault.parked() == 0


def note(author: str, *, age: dt.timedelta = dt.timedelta(), offer_id: str | None = None) -> Any:
    sealed = seal({"text": "Позвоните завтра."}, public_key(generate_key()))
    fact = SealedNoteSubmitted(referral_id=REFERRAL, author=author, note=sealed, offer_id=offer_id)
    return event(fact, time=event(fact).time - age, causation_id="submission-1")


@pytest.mark.parametrize(("author", "receiver"), [(SENDER, ACCEPTOR), (ACCEPTOR, SENDER)])
def test_a_note_goes_to_the_other_party_unopened(vault: Workbench, author: str, receiver: str) -> None:
    vault.receive(acceptance())
    letter = note(author)
    vault.receive(letter)
    passed_on = only(SealedNoteReleased, vault.sent())
    assert (passed_on.organization, passed_on.author) == (receiver, author)
    assert passed_on.note == letter.data.note


def test_a_note_may_overtake_the_acceptance(vault: Workbench) -> None:
    vault.receive(note(SENDER))
    assert vault.sent() == []
    vault.receive(acceptance())
    vault.clock.time += dt.timedelta(seconds=2)
    vault.letters.retry_due()
    assert only(SealedNoteReleased, vault.sent()).organization == ACCEPTOR


def test_a_note_that_nobody_is_there_for_is_refused_to_its_author(vault: Workbench) -> None:
    vault.receive(note(SENDER, age=PATIENCE))
    refusal = only(SubmissionRefused, vault.sent())
    assert (refusal.organization, refusal.submission_id) == (SENDER, "submission-1")
    assert refusal.problem["type"] == "urn:kopuro:problem:not-in-this-state"


def test_decline_note_goes_to_sender_before_and_after_another_acceptance(vault: Workbench) -> None:
    vault.receive(case_letter(sealed_to_hub(vault)))
    first, second = note(STRANGER, offer_id=OFFER), note(STRANGER, offer_id=OFFER)
    vault.receive(first)
    vault.receive(acceptance())
    vault.receive(second)
    passed_on = [e.data for e in vault.sent() if isinstance(e.data, SealedNoteReleased)]
    assert [(n.organization, n.author, n.offer_id) for n in passed_on] == [(SENDER, STRANGER, OFFER)] * 2
    assert [n.note for n in passed_on] == [first.data.note, second.data.note]


def test_decline_note_waits_for_case_that_it_overtook(vault: Workbench) -> None:
    vault.receive(note(STRANGER, offer_id=OFFER))
    assert vault.sent() == []
    vault.receive(case_letter(sealed_to_hub(vault)))
    vault.clock.time += dt.timedelta(seconds=2)
    vault.letters.retry_due()
    assert only(SealedNoteReleased, vault.sent()).organization == SENDER


def test_decline_note_on_closed_referral_is_refused(vault: Workbench) -> None:
    vault.receive(case_letter(sealed_to_hub(vault)), event(CLOSING))
    vault.receive(note(STRANGER, offer_id=OFFER))
    refusal = only(SubmissionRefused, vault.sent())
    assert (refusal.organization, refusal.submission_id) == (STRANGER, "submission-1")


def test_a_strangers_note_is_refused_to_the_stranger(vault: Workbench) -> None:
    vault.receive(acceptance())
    vault.receive(note(STRANGER))
    refusal = only(SubmissionRefused, vault.sent())
    assert refusal.organization == STRANGER
    assert refusal.problem["type"] == "urn:kopuro:problem:not-a-party"


def test_a_message_of_another_kind_is_parked(vault: Workbench) -> None:
    vault.events.process([])
    stray = event(
        SealedNoteReleased(referral_id=REFERRAL, organization=SENDER, author=ACCEPTOR, note="a.b.c.d.e")
    )
    vault.receive(stray)
    assert (vault.sent(), vault.parked()) == ([], 1)


def replacement(
    vault: Workbench,
    content: Any = CASE,
    *,
    sender: str = SENDER,
    to: str = ACCEPTOR,
    age: dt.timedelta = PATIENCE,
) -> Any:
    """The case again, sealed to the receiver's key (to the acceptor's where that has none)."""
    key = vault.keys.private.get(to) or vault.keys.private[ACCEPTOR]
    fact = CaseResealed(referral_id=REFERRAL, sender=sender, to=to, case=seal(content, public_key(key)))
    return event(fact, time=NOW - age, causation_id="submission-1")


def test_replaced_case_is_released_to_acceptor_and_kept_until_the_end(vault: Workbench) -> None:
    bad = seal({"hello": 1}, public_key(vault.keys.private[ACCEPTOR]))
    vault.receive(case_letter(bad, to=ACCEPTOR))
    vault.receive(acceptance())
    letter = replacement(vault)
    vault.receive(letter)
    *_, again, released = vault.sent()
    assert isinstance(again.data, SealedCaseReleased)
    assert (again.data.organization, again.causation_id) == (ACCEPTOR, letter.id)
    assert open_sealed(again.data.case, vault.keys.private[ACCEPTOR]) == CASE
    assert isinstance(released.data, CaseReleased)
    with vault.database.read() as transaction:
        kept = SqlCustodyStore().sealed(transaction, [REFERRAL])
    assert kept == {REFERRAL: SealedCase.split(letter.data.case)}
    vault.receive(replacement(vault), replacement(vault))
    assert (vault.state(), vault.sealed_cases()) == (CustodyState.released, 1)
    vault.receive(event(CLOSING))
    assert (vault.state(), vault.sealed_cases(), vault.parked()) == (CustodyState.erased, 0, 0)


@pytest.mark.parametrize(("sender", "to"), [(ACCEPTOR, ACCEPTOR), (STRANGER, ACCEPTOR), (SENDER, STRANGER)])
def test_replaced_case_of_or_for_strangers_is_refused_to_its_author(
    vault: Workbench, sender: str, to: str
) -> None:
    sealed = sealed_to_hub(vault)
    vault.receive(case_letter(sealed))
    vault.receive(acceptance())
    vault.receive(replacement(vault, sender=sender, to=to))
    refusal = only(SubmissionRefused, vault.sent())
    assert (refusal.organization, refusal.submission_id) == (sender, "submission-1")
    assert refusal.problem["type"] == "urn:kopuro:problem:not-a-party"
    assert only(SealedCaseReleased, vault.sent()).organization == ACCEPTOR
    assert SealedCase.split(sealed).wrapped_key in vault.everything_stored()


def test_replaced_case_sealed_to_another_key_is_refused(vault: Workbench) -> None:
    vault.receive(case_letter(sealed_to_hub(vault)))
    vault.receive(acceptance())
    letter = replacement(vault)
    vault.keys.publish(ACCEPTOR)
    vault.receive(letter)
    assert only(SubmissionRefused, vault.sent()).problem["type"] == "urn:kopuro:problem:case-unreadable"
    assert vault.state() is CustodyState.released


def test_replaced_case_before_acceptance_or_after_the_end_is_refused(vault: Workbench) -> None:
    vault.receive(case_letter(sealed_to_hub(vault)))
    vault.receive(replacement(vault, age=dt.timedelta()))
    assert vault.sent() == []  # the acceptance may be on its way
    vault.receive(replacement(vault))
    vault.receive(event(CLOSING))
    vault.receive(replacement(vault))
    refusals = [e.data for e in vault.sent() if isinstance(e.data, SubmissionRefused)]
    assert [r.problem["type"] for r in refusals] == ["urn:kopuro:problem:not-in-this-state"] * 2
    assert (vault.state(), vault.sealed_cases()) == (CustodyState.erased, 0)
