from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import Connection

from contracts.codes import (
    Answer,
    DeclineReason,
    Outcome,
    ProgressStatus,
    UnreadableReason,
    WithdrawalReason,
)
from contracts.envelope import Envelope, Event
from contracts.errors import Refused, Unavailable
from contracts.facts import (
    AnswerSubmitted,
    CaseResealed,
    Fact,
    NoteSubmitted,
    OfferOpened,
    OutcomeSubmitted,
    ProgressSubmitted,
    ReferralSubmitted,
    ReplacementSubmitted,
    RevocationSubmitted,
    SealedCaseSubmitted,
    SealedNoteSubmitted,
    UnreadableSubmitted,
    WithdrawalSubmitted,
)
from contracts.queries import OfferQuery, PartyQuery, ReferralListQuery, ReferralQuery
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import Outbox
from runtime.storage.database import Database
from services.intake.adapters.tables import MESSAGING
from services.intake.domain.admission import Admission, Caller, Refusal, claim_of
from services.intake.domain.command import (
    AcceptOffer,
    AddNote,
    CommandBody,
    CompleteReferral,
    DeclineOffer,
    Replacement,
    ReportProgress,
    RevokeConsent,
    Unreadable,
    WithdrawReferral,
)
from services.intake.handlers import OUTBOX_BOUND, Command
from tests.unit.services.intake.desk import Desk
from tests.unit.services.intake.samples import (
    MOSCOW,
    MOSCOW_KID,
    NOON,
    OFFER,
    OSH,
    STRANGER,
    SUSPENDED,
    caller,
    sealed,
    submission,
)


def offer_opened(offer: str, referral: str, organization: str = MOSCOW) -> Event[Fact]:
    return Event(
        id=new_id(),
        source="/kg/routing",
        time=NOON,
        partition_key=referral,
        correlation_id=referral,
        causation_id=None,
        data=OfferOpened(
            referral_id=referral,
            offer_id=offer,
            organization=organization,
            sender=OSH,
            rank=1,
            opened_at=NOON,
            deadline=NOON,
            facts=submission().situation(),
        ),
    )


def note_offers(desk: Desk, *events: Event[Fact]) -> None:
    envelopes = [Envelope.decode(event.encode()) for event in events]
    with desk.database.write() as transaction:
        assert not list(desk.handlers.note_offers(transaction, envelopes, NOON))


def say(desk: Desk, who: Caller, subject: str, said: CommandBody) -> str:
    return desk.handlers.submit_command(who, Command(body=said, subject=subject))


def not_found(call: Callable[[], object]) -> str:
    with pytest.raises(Refused) as caught:
        call()
    assert (caught.value.slug, caught.value.errors) == ("not-found", ())
    return caught.value.detail


# --- Referrals -----------------------------------------------------------------------------------


def test_an_admitted_referral_is_a_row_a_fact_and_a_letter(desk: Desk) -> None:
    referral = desk.submit()
    assert desk.counts() == (1, 0, 2)
    fact, letter = desk.outbox()
    assert (fact["exchange"], fact["routing_key"]) == ("kopuro.events", "referral.submitted")
    assert (letter["exchange"], letter["routing_key"]) == ("kopuro.cases", "sealed_case.submitted")
    assert fact["partition_key"] == letter["partition_key"] == referral
    assert sealed().encode() in letter["body"]
    assert sealed().encode() not in fact["body"]
    assert sealed() not in desk.everything_but_the_outbox()
    said, sent = desk.sent()
    assert isinstance(said.data, ReferralSubmitted)
    assert isinstance(sent.data, SealedCaseSubmitted)
    assert (said.data.referral_id, said.data.sender) == (referral, OSH)
    assert desk.woken == 1


class OutboxThatFails(Outbox):
    def add(self, transaction: Connection, messages: object) -> None:
        super().add(transaction, list(messages)[:1])  # type: ignore[call-overload]
        raise RuntimeError("between the first message and the second")


def test_nothing_is_written_unless_everything_is(desk: Desk) -> None:
    desk.handlers._outbox = OutboxThatFails(MESSAGING.outbox)
    with pytest.raises(RuntimeError):
        desk.submit()
    assert desk.counts() == (0, 0, 0)
    assert desk.woken == 0


@pytest.mark.parametrize("sender", [SUSPENDED, "kg.nobody"])
def test_who_is_not_in_good_standing_sends_nothing(desk: Desk, sender: str) -> None:
    with pytest.raises(Refused) as caught:
        desk.submit(by=sender)
    assert caught.value.slug == "forbidden"
    assert desk.counts() == (0, 0, 0)


def test_without_a_custody_key_one_is_asked_to_come_back(desk: Desk) -> None:
    def not_yet() -> str:
        raise Unavailable("The hub has not announced its custody key yet.")

    desk.custody_kid = not_yet
    with pytest.raises(Unavailable):
        desk.submit()


def test_a_full_outbox_asks_everybody_to_come_back(desk: Desk) -> None:
    desk.backlog = OUTBOX_BOUND
    referral = desk.submit()
    desk.backlog += 1
    with pytest.raises(Unavailable) as caught:
        desk.submit()
    assert caught.value.retry_after == 5
    with pytest.raises(Unavailable):
        say(desk, caller(), referral, RevokeConsent())
    assert desk.counts() == (1, 0, 2)


def test_an_unusable_database_is_unavailable(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> None:
    nowhere = tmp_path_factory.mktemp("nowhere") / "missing" / "x.sqlite"
    prepared = desk.prepared()
    desk.handlers._commits._database = Database.open(f"sqlite:///{nowhere}")
    with pytest.raises(Unavailable):
        desk.handlers.answer(prepared)


# --- Answers to offers ---------------------------------------------------------------------------


def test_offers_are_noted_once_and_other_facts_are_passed_over(desk: Desk) -> None:
    referral = desk.submit()
    opened = offer_opened(OFFER, referral)
    note_offers(desk, opened, desk.sent()[0], opened)
    note_offers(desk, opened)
    note_offers(desk)
    say(desk, caller(MOSCOW, new_id=new_id), OFFER, AcceptOffer())
    said = desk.sent()[-1]
    assert said.data == AnswerSubmitted(
        referral_id=referral, offer_id=OFFER, organization=MOSCOW, answer=Answer.accept
    )
    assert said.partition_key == referral
    assert desk.routing.asked == []


def test_decline_note_travels_in_letter_beside_coded_answer(desk: Desk) -> None:
    referral = desk.submit()
    note_offers(desk, offer_opened(OFFER, referral))
    why = DeclineOffer(reason=DeclineReason.other, note=sealed("osh"))
    answered = say(desk, caller(MOSCOW, new_id=new_id), OFFER, why)
    said, letter = desk.sent()[2:]
    assert said.id == answered
    assert isinstance(said.data, AnswerSubmitted)
    assert (said.data.answer, said.data.reason, said.data.note) == ("decline", "other", None)
    assert letter.data == SealedNoteSubmitted(
        referral_id=referral, author=MOSCOW, note=sealed("osh"), offer_id=OFFER
    )
    assert letter.causation_id == answered
    assert [row["exchange"] for row in desk.outbox()[2:]] == ["kopuro.events", "kopuro.cases"]


def test_an_offer_that_is_not_known_here_is_known_to_routing(desk: Desk) -> None:
    referral = desk.submit()
    desk.routing.answers[OfferQuery(id=OFFER)] = [referral, MOSCOW]
    say(desk, caller(MOSCOW), OFFER, AcceptOffer())
    assert isinstance(desk.sent()[-1].data, AnswerSubmitted)


def test_somebody_elses_offer_is_not_there_and_looks_like_no_offer(desk: Desk) -> None:
    referral = desk.submit()
    unknown, elsewhere, known = new_id(), new_id(), OFFER
    desk.routing.answers = {
        OfferQuery(id=unknown): None,
        OfferQuery(id=elsewhere): [referral, MOSCOW],
        OfferQuery(id=known): [referral, MOSCOW],
    }
    note_offers(desk, offer_opened(known, referral))
    said = {
        not_found(partial(say, desk, caller(STRANGER), offer, AcceptOffer()))
        for offer in (unknown, elsewhere, known)
    }
    assert len(said) == 1
    assert desk.counts() == (1, 0, 2)


def test_who_was_suspended_since_may_decline_an_offer_and_not_accept_it(desk: Desk) -> None:
    note_offers(desk, offer_opened(OFFER, desk.submit(), SUSPENDED))
    with pytest.raises(Refused) as caught:
        say(desk, caller(SUSPENDED), OFFER, AcceptOffer())
    assert caught.value.slug == "forbidden"
    assert desk.counts() == (1, 0, 2)
    say(desk, caller(SUSPENDED), OFFER, DeclineOffer(reason=DeclineReason.no_capacity))
    assert desk.counts() == (1, 0, 3)


# --- What parties say about a referral -----------------------------------------------------------

SAYINGS: list[tuple[CommandBody, type[Fact]]] = [
    (WithdrawReferral(reason=WithdrawalReason.other), WithdrawalSubmitted),
    (ReportProgress(status=ProgressStatus.on_hold), ProgressSubmitted),
    (CompleteReferral(outcome=Outcome.resolved), OutcomeSubmitted),
    (RevokeConsent(), RevocationSubmitted),
    (AddNote(note=sealed("any")), NoteSubmitted),
    (Unreadable(reason=UnreadableReason.cannot_decrypt), UnreadableSubmitted),
]


@pytest.mark.parametrize(("statement", "fact"), SAYINGS)
def test_both_parties_may_speak_and_nobody_else(desk: Desk, statement: CommandBody, fact: type[Fact]) -> None:
    referral = desk.submit()
    note_offers(desk, offer_opened(OFFER, referral))
    for party in (OSH, MOSCOW):
        submission_id = say(desk, caller(party, new_id=new_id), referral, statement)
        (said,) = [event for event in desk.sent() if event.id == submission_id]
        assert isinstance(said.data, fact)
        assert said.partition_key == referral
    assert desk.routing.asked == []

    desk.routing.answers = {
        PartyQuery(id=referral, organization=STRANGER): False,
        PartyQuery(id=OFFER, organization=STRANGER): False,
    }
    before = desk.counts()
    details = {not_found(partial(say, desk, caller(STRANGER), id, statement)) for id in (referral, OFFER)}
    assert len(details) == 1
    assert desk.counts() == before


def test_routing_knows_parties_that_are_not_known_here(desk: Desk) -> None:
    referral = desk.submit()
    desk.routing.answers = {PartyQuery(id=referral, organization=MOSCOW): True}
    say(desk, caller(MOSCOW), referral, ReportProgress(status=ProgressStatus.in_progress))
    assert isinstance(desk.sent()[-1].data, ProgressSubmitted)


def test_a_note_is_a_fact_in_the_open_and_a_letter_that_follows_it(desk: Desk) -> None:
    referral = desk.submit()
    say(desk, caller(new_id=new_id), referral, AddNote(note=sealed(MOSCOW_KID)))
    fact, letter = desk.sent()[2:]
    assert fact.data == NoteSubmitted(referral_id=referral, organization=OSH)
    assert letter.data == SealedNoteSubmitted(referral_id=referral, author=OSH, note=sealed(MOSCOW_KID))
    assert letter.causation_id == fact.id


@pytest.mark.parametrize("note", ["Call.her.on.this.number", sealed(alg="dir"), sealed(zip="DEF")])
def test_a_note_that_is_not_sealed_is_refused(desk: Desk, note: str) -> None:
    referral = desk.submit()
    with pytest.raises(Refused) as caught:
        say(desk, caller(), referral, AddNote(note=note))
    assert [error.pointer for error in caught.value.errors] == ["/note"]
    assert desk.counts() == (1, 0, 2)


@pytest.mark.parametrize("note", ["Call.her.on.this.number", sealed(alg="dir"), sealed(zip="DEF")])
def test_decline_note_that_is_not_sealed_is_refused(desk: Desk, note: str) -> None:
    note_offers(desk, offer_opened(OFFER, desk.submit()))
    with pytest.raises(Refused) as caught:
        say(desk, caller(MOSCOW), OFFER, DeclineOffer(reason=DeclineReason.other, note=note))
    assert [error.pointer for error in caught.value.errors] == ["/note"]
    assert desk.counts() == (1, 0, 2)


def test_replaced_case_is_a_fact_in_the_open_and_a_letter(desk: Desk) -> None:
    referral = desk.submit()
    say(desk, caller(new_id=new_id), referral, Replacement(to=MOSCOW, case=sealed(MOSCOW_KID)))
    fact, letter = desk.sent()[2:]
    assert fact.data == ReplacementSubmitted(referral_id=referral, organization=OSH, to=MOSCOW)
    assert letter.data == CaseResealed(referral_id=referral, sender=OSH, to=MOSCOW, case=sealed(MOSCOW_KID))
    assert letter.causation_id == fact.id
    assert sealed(MOSCOW_KID).encode() not in desk.outbox()[2]["body"]


@pytest.mark.parametrize(
    ("to", "case", "pointer"),
    [
        (MOSCOW, sealed(), "/case"),  # sealed to the custody key
        (MOSCOW, sealed(MOSCOW_KID, zip="DEF"), "/case"),
        (STRANGER, sealed("any"), "/to"),  # has published no key
        ("kg.nobody", sealed("any"), "/to"),
    ],
)
def test_replaced_case_that_acceptor_could_not_open_is_refused(
    desk: Desk, to: str, case: str, pointer: str
) -> None:
    referral = desk.submit()
    with pytest.raises(Refused) as caught:
        say(desk, caller(), referral, Replacement(to=to, case=case))
    assert [error.pointer for error in caught.value.errors] == [pointer]
    assert desk.counts() == (1, 0, 2)


def test_many_statements_are_prepared_together_and_the_bad_ones_refused(desk: Desk) -> None:
    referral = desk.submit()
    note_offers(desk, offer_opened(OFFER, referral))
    unknown = new_id()
    desk.routing.answers = {PartyQuery(id=unknown, organization=MOSCOW): False}
    accept, bad, report = desk.handlers.prepare_commands(
        caller(MOSCOW, new_id=new_id),
        [
            Command(body=AcceptOffer(), subject=OFFER),
            Command(body=RevokeConsent(), subject=unknown),
            Command(body=ReportProgress(status=ProgressStatus.in_progress), subject=referral),
        ],
    )
    assert isinstance(bad, Refusal)
    assert isinstance(bad.error, Refused)
    assert bad.error.slug == "not-found"
    assert isinstance(accept, Admission)
    assert isinstance(report, Admission)
    assert desk.handlers.admit_all([accept, report]) == [accept.id, report.id]
    assert [type(event.data) for event in desk.sent()[2:]] == [AnswerSubmitted, ProgressSubmitted]


def test_a_repeated_statement_is_said_once(desk: Desk) -> None:
    note_offers(desk, offer_opened(OFFER, desk.submit()))
    claim = claim_of(MOSCOW, "key-1", b"accept")
    spoken = Command(body=AcceptOffer(), subject=OFFER, claim=claim)
    first = desk.handlers.submit_command(caller(MOSCOW, new_id=new_id), spoken)
    assert desk.handlers.submit_command(caller(MOSCOW, new_id=new_id), spoken) == first
    assert sum(isinstance(event.data, AnswerSubmitted) for event in desk.sent()) == 1


# --- Reading -------------------------------------------------------------------------------------


def test_a_referral_is_shown_as_routing_tells_it(desk: Desk) -> None:
    told = {"id": OFFER, "status": "offered"}
    desk.routing.answers[ReferralQuery(id=OFFER, viewer=MOSCOW, oversight=False)] = told
    assert desk.handlers.referral(OFFER, MOSCOW, oversight=False) == told


def test_offer_is_shown_with_sender_to_the_organisation_asked_only(desk: Desk) -> None:
    referral = new_id()
    offers = [{"id": referral, "state": "declined"}, {"id": OFFER, "state": "open"}]
    told = {"id": referral, "sender": OSH, "offers": offers}
    desk.routing.answers = {
        OfferQuery(id=OFFER): [referral, MOSCOW],
        ReferralQuery(id=referral, viewer=MOSCOW, oversight=False): told,
    }
    expected = {"id": OFFER, "state": "open", "referral_id": referral, "sender": OSH}
    assert desk.handlers.offer(OFFER, MOSCOW) == expected
    not_found(lambda: desk.handlers.offer(OFFER, STRANGER))


def test_a_referral_that_routing_has_not_come_to_is_shown_to_its_sender(desk: Desk) -> None:
    referral = desk.submit()
    for viewer, oversight in ((OSH, False), ("auditor", True)):
        shown = desk.handlers.referral(referral, viewer, oversight=oversight)
        assert (shown["id"], shown["sender"], shown["status"]) == (referral, OSH, "requested")
        assert shown["submitted_at"] == NOON
    not_found(lambda: desk.handlers.referral(referral, STRANGER, oversight=False))
    not_found(lambda: desk.handlers.referral(OFFER, OSH, oversight=False))
    not_found(lambda: desk.handlers.referral(OFFER, "auditor", oversight=True))


@pytest.mark.parametrize(
    "fault", [Unavailable("No answer in time."), Refused("invalid-parameter", "What is that?")]
)
def test_any_other_answer_of_routing_is_passed_on(desk: Desk, fault: Exception) -> None:
    referral = desk.submit()
    desk.routing.answers[ReferralQuery(id=referral, viewer=OSH, oversight=False)] = fault
    with pytest.raises(type(fault)):
        desk.handlers.referral(referral, OSH, oversight=False)


def test_the_list_is_routings(desk: Desk) -> None:
    question = ReferralListQuery(viewer=OSH, oversight=False, limit=3)
    desk.routing.answers[question] = [{"id": OFFER}]
    assert desk.handlers.referral_list(question) == [{"id": OFFER}]
