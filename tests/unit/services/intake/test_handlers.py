from __future__ import annotations

import datetime as dt
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection

from contracts.codes import (
    Answer,
    DeclineReason,
    HandBackReason,
    Outcome,
    ProgressStatus,
    UnreadableReason,
    WithdrawalReason,
)
from contracts.envelope import Envelope, Event
from contracts.errors import Refused, Unavailable
from contracts.facts import (
    AnswerSubmitted,
    Fact,
    NoteSubmitted,
    OfferOpened,
    OutcomeSubmitted,
    ProgressSubmitted,
    ReferralSubmitted,
    ReplacementSubmitted,
    RevocationSubmitted,
    SealedCaseReplaced,
    SealedCaseSubmitted,
    SealedNoteSubmitted,
    UnreadableSubmitted,
    WithdrawalSubmitted,
)
from contracts.queries import NOT_THE_ACCEPTOR, OfferQuery, PartyQuery, Query, ReferralQuery, Role
from contracts.submission_bound import BOUND_INTERVAL, MOST_ABOUT_REFERRAL
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import Outbox
from runtime.storage.database import Database
from runtime.telemetry import trace
from services.intake.adapters.tables import MESSAGING
from services.intake.commits import OUTBOX_BOUND
from services.intake.domain.admission import Admission, Caller, Refusal, claim_of
from services.intake.domain.command import (
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
)
from services.intake.handlers import Command
from tests.support.events import message_of
from tests.unit.services.intake.intake_fixture import IntakeBench, not_found_detail
from tests.unit.services.intake.samples import (
    CUSTODY_KID,
    MOSCOW,
    MOSCOW_KID,
    NOON,
    OFFER,
    OSH,
    OSH_KID,
    STRANGER,
    SUSPENDED,
    caller,
    sealed,
    submission,
)


def offer_opened(offer: str, referral: str, organization: str = MOSCOW) -> Event[Fact]:
    fact = OfferOpened(
        referral_id=referral,
        offer_id=offer,
        organization=organization,
        sender=OSH,
        rank=1,
        opened_at=NOON,
        deadline=NOON,
        facts=submission().situation(),
    )
    return message_of(fact, time=NOON, source="/kg/routing", correlation_id=referral)


def note_offers(bench: IntakeBench, *events: Event[Fact]) -> None:
    envelopes = [Envelope.decode(event.encode()) for event in events]
    with bench.database.write() as transaction:
        assert not list(bench.handlers.note_offers(transaction, envelopes, NOON))


def submit_command(bench: IntakeBench, caller: Caller, subject: str, body: CommandBody) -> str:
    return bench.handlers.submit_command(caller, Command(body=body, subject=subject))


# --- Referrals -----------------------------------------------------------------------------------


def test_admitted_referral_writes_row_fact_and_sealed_case(bench: IntakeBench) -> None:
    referral = bench.submit()
    assert bench.counts() == (1, 0, 2)
    fact, sealed_case = bench.outbox()
    assert (fact["exchange"], fact["routing_key"]) == ("kopuro.events", "referral.submitted")
    assert (sealed_case["exchange"], sealed_case["routing_key"]) == ("kopuro.cases", "sealed_case.submitted")
    assert fact["partition_key"] == sealed_case["partition_key"] == referral
    _, wrapped_key, *rest = sealed().encode().split(b".")
    assert b".".join(rest) in sealed_case["body"]
    assert wrapped_key not in sealed_case["body"]  # sealed to the transit key
    assert b".".join(rest) not in fact["body"]
    assert sealed() not in bench.everything_but_the_outbox()
    opened, case = bench.sent()
    assert isinstance(opened.data, ReferralSubmitted)
    assert isinstance(case.data, SealedCaseSubmitted)
    assert (opened.data.referral_id, opened.data.sender) == (referral, OSH)
    assert bench.woken == 1


def test_offered_organization_refers_onward(bench: IntakeBench) -> None:
    first = bench.submit()
    note_offers(bench, offer_opened(OFFER, first))
    bench.submit(by=MOSCOW, onward_from=first)
    (*_, fact, _) = bench.sent()
    assert isinstance(fact.data, ReferralSubmitted)
    assert (fact.data.sender, fact.data.onward_from) == (MOSCOW, first)
    assert bench.routing.asked == []


def test_onward_referral_is_in_no_trace_of_the_earlier_one(bench: IntakeBench) -> None:
    """A candidate of both could tell from the trace that the one continues the other."""
    first = bench.submit()
    note_offers(bench, offer_opened(OFFER, first))
    acting = trace.continued(None)
    moscow = caller(MOSCOW, new_id=new_id, traceparent=str(acting))
    bench.handlers.submit_referral(moscow, submission(), None)
    bench.handlers.submit_referral(moscow, submission(onward_from=first), None)
    *_, fact, case, onward, onward_case = (trace.parse(event.traceparent) for event in bench.sent())
    assert fact == case == acting
    assert onward == onward_case
    assert onward is not None
    assert onward.trace_id != acting.trace_id


def test_onward_referral_unknown_to_intake_is_looked_up_at_routing(bench: IntakeBench) -> None:
    bench.routing.answers = {PartyQuery(id=OFFER, organization=MOSCOW): True}
    bench.submit(by=MOSCOW, onward_from=OFFER)
    assert bench.counts() == (1, 0, 2)


def test_non_party_gets_the_same_refusal_for_known_and_unknown_referrals(bench: IntakeBench) -> None:
    known = bench.submit()
    note_offers(bench, offer_opened(OFFER, known))
    before = bench.counts()
    refused = []
    for earlier in (known, OFFER):
        bench.routing.answers = {PartyQuery(id=earlier, organization=STRANGER): False}
        with pytest.raises(Refused) as caught:
            bench.submit(by=STRANGER, onward_from=earlier)
        refused.append(caught.value.problem())
    assert refused[0] == refused[1]
    assert [error["pointer"] for error in refused[0]["errors"]] == ["/onward_from"]
    assert bench.counts() == before


def test_onward_referral_is_unavailable_while_routing_does_not_answer(bench: IntakeBench) -> None:
    def silent(query: Query) -> object:
        raise Unavailable("routing is down")

    bench.routing.ask = silent  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        bench.submit(by=STRANGER, onward_from=OFFER)
    assert bench.submit()  # a referral of its own needs no answer


class FailingOutbox(Outbox):
    def add(self, transaction: Connection, messages: object) -> None:
        super().add(transaction, list(messages)[:1])  # type: ignore[call-overload]
        raise RuntimeError("between the first message and the second")


def test_failed_admission_writes_nothing(bench: IntakeBench) -> None:
    bench.handlers.commits._outbox = FailingOutbox(MESSAGING.outbox)
    with pytest.raises(RuntimeError):
        bench.submit()
    assert bench.counts() == (0, 0, 0)
    assert bench.woken == 0


@pytest.mark.parametrize("sender", [SUSPENDED, "kg.nobody"])
def test_referral_of_sender_out_of_standing_is_refused(bench: IntakeBench, sender: str) -> None:
    with pytest.raises(Refused) as caught:
        bench.submit(by=sender)
    assert caught.value.slug == "forbidden"
    assert bench.counts() == (0, 0, 0)


def test_referral_without_custody_key_is_unavailable(bench: IntakeBench) -> None:
    def not_yet() -> str:
        raise Unavailable("The hub has not announced its custody key yet.")

    bench.custody_kids = not_yet
    with pytest.raises(Unavailable):
        bench.submit()


def test_submissions_to_full_outbox_are_unavailable(bench: IntakeBench) -> None:
    bench.backlog = OUTBOX_BOUND
    referral = bench.submit()
    bench.backlog += 1
    with pytest.raises(Unavailable) as caught:
        bench.submit()
    assert caught.value.retry_after == 5
    with pytest.raises(Unavailable):
        submit_command(bench, caller(), referral, RevokeConsent())
    assert bench.counts() == (1, 0, 2)


def test_submission_to_unusable_database_is_unavailable(
    bench: IntakeBench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    nowhere = tmp_path_factory.mktemp("nowhere") / "missing" / "x.sqlite"
    prepared = bench.prepared()
    bench.handlers.commits._commits._database = Database.open(f"sqlite:///{nowhere}")
    with pytest.raises(Unavailable):
        bench.handlers.commits.answer(prepared)


# --- Answers to offers ---------------------------------------------------------------------------


def test_repeated_offers_are_stored_once_and_other_facts_ignored(bench: IntakeBench) -> None:
    referral = bench.submit()
    opened = offer_opened(OFFER, referral)
    note_offers(bench, opened, bench.sent()[0], opened)
    note_offers(bench, opened)
    note_offers(bench)
    submit_command(bench, caller(MOSCOW, new_id=new_id), OFFER, AcceptOffer())
    answer = bench.sent()[-1]
    assert answer.data == AnswerSubmitted(
        referral_id=referral, offer_id=OFFER, organization=MOSCOW, answer=Answer.accept
    )
    assert answer.partition_key == referral
    assert bench.routing.asked == []


def test_decline_note_is_sealed_message_beside_coded_answer(bench: IntakeBench) -> None:
    referral = bench.submit()
    note_offers(bench, offer_opened(OFFER, referral))
    decline = DeclineOffer(reason=DeclineReason.other, note=sealed(OSH_KID))
    submission_id = submit_command(bench, caller(MOSCOW, new_id=new_id), OFFER, decline)
    answer, sealed_note = bench.sent()[2:]
    assert answer.id == submission_id
    assert isinstance(answer.data, AnswerSubmitted)
    assert (answer.data.answer, answer.data.reason, answer.data.note) == ("decline", "other", None)
    assert sealed_note.data == SealedNoteSubmitted(
        referral_id=referral, author=MOSCOW, note=sealed(OSH_KID), offer_id=OFFER
    )
    assert sealed_note.causation_id == submission_id
    assert [row["exchange"] for row in bench.outbox()[2:]] == ["kopuro.events", "kopuro.cases"]


def test_offer_unknown_to_intake_is_looked_up_at_routing(bench: IntakeBench) -> None:
    referral = bench.submit()
    bench.routing.answers[OfferQuery(id=OFFER)] = [referral, MOSCOW]
    submit_command(bench, caller(MOSCOW), OFFER, AcceptOffer())
    assert isinstance(bench.sent()[-1].data, AnswerSubmitted)


def test_offer_of_other_organization_and_unknown_offer_are_refused_alike(bench: IntakeBench) -> None:
    referral = bench.submit()
    unknown, elsewhere, known = new_id(), new_id(), OFFER
    bench.routing.answers = {
        OfferQuery(id=unknown): None,
        OfferQuery(id=elsewhere): [referral, MOSCOW],
        OfferQuery(id=known): [referral, MOSCOW],
    }
    note_offers(bench, offer_opened(known, referral))
    details = {
        not_found_detail(partial(submit_command, bench, caller(STRANGER), offer, AcceptOffer()))
        for offer in (unknown, elsewhere, known)
    }
    assert len(details) == 1
    assert bench.counts() == (1, 0, 2)


def test_suspended_organization_may_decline_its_offer_but_not_accept(bench: IntakeBench) -> None:
    note_offers(bench, offer_opened(OFFER, bench.submit(), SUSPENDED))
    with pytest.raises(Refused) as caught:
        submit_command(bench, caller(SUSPENDED), OFFER, AcceptOffer())
    assert caught.value.slug == "forbidden"
    assert bench.counts() == (1, 0, 2)
    submit_command(bench, caller(SUSPENDED), OFFER, DeclineOffer(reason=DeclineReason.no_capacity))
    assert bench.counts() == (1, 0, 3)


@pytest.mark.parametrize(
    "body", [ReportProgress(status=ProgressStatus.on_hold), CompleteReferral(outcome=Outcome.resolved)]
)
def test_suspended_organization_can_neither_move_nor_end_a_referral(
    bench: IntakeBench, body: CommandBody
) -> None:
    referral = bench.submit()
    note_offers(bench, offer_opened(OFFER, referral, SUSPENDED))
    with pytest.raises(Refused) as caught:
        submit_command(bench, caller(SUSPENDED), referral, body)
    assert caught.value.slug == "forbidden"
    assert bench.counts() == (1, 0, 2)


@pytest.mark.parametrize("body", [DeclineOffer(reason=DeclineReason.no_capacity), AcceptOffer()])
def test_excluded_organization_cannot_answer_its_offer(bench: IntakeBench, body: CommandBody) -> None:
    note_offers(bench, offer_opened(OFFER, bench.submit(), OSH))
    with pytest.raises(Refused) as caught:
        submit_command(bench, replace(caller(OSH), excluded=True), OFFER, body)
    assert caught.value.slug == "forbidden"
    assert bench.counts() == (1, 0, 2)


# --- Parties' commands on a referral -----------------------------------------------------------

COMMANDS: list[tuple[CommandBody, type[Fact]]] = [
    (WithdrawReferral(reason=WithdrawalReason.other), WithdrawalSubmitted),
    (ReportProgress(status=ProgressStatus.on_hold), ProgressSubmitted),
    (CompleteReferral(outcome=Outcome.resolved), OutcomeSubmitted),
    (RevokeConsent(), RevocationSubmitted),
    (AddNote(note=sealed(MOSCOW_KID)), NoteSubmitted),
    (Unreadable(reason=UnreadableReason.cannot_decrypt), UnreadableSubmitted),
]


@pytest.mark.parametrize(("body", "fact"), COMMANDS)
def test_command_on_referral_is_admitted_from_parties_only(
    bench: IntakeBench, body: CommandBody, fact: type[Fact]
) -> None:
    referral = bench.submit()
    note_offers(bench, offer_opened(OFFER, referral))
    for party, kid in ((OSH, MOSCOW_KID), (MOSCOW, OSH_KID)):
        if isinstance(body, AddNote):
            body = AddNote(note=sealed(kid))
        submission_id = submit_command(bench, caller(party, new_id=new_id), referral, body)
        (sent,) = [event for event in bench.sent() if event.id == submission_id]
        assert isinstance(sent.data, fact)
        assert sent.partition_key == referral
    assert bench.routing.asked == []

    bench.routing.answers = {
        PartyQuery(id=referral, organization=STRANGER): False,
        PartyQuery(id=OFFER, organization=STRANGER): False,
    }
    before = bench.counts()
    details = {
        not_found_detail(partial(submit_command, bench, caller(STRANGER), id, body))
        for id in (referral, OFFER)
    }
    assert len(details) == 1
    assert bench.counts() == before


def test_party_unknown_to_intake_is_looked_up_at_routing(bench: IntakeBench) -> None:
    referral = bench.submit()
    bench.routing.answers = {PartyQuery(id=referral, organization=MOSCOW): True}
    submit_command(bench, caller(MOSCOW), referral, ReportProgress(status=ProgressStatus.in_progress))
    assert isinstance(bench.sent()[-1].data, ProgressSubmitted)


def test_note_is_open_fact_and_sealed_message_caused_by_it(bench: IntakeBench) -> None:
    referral = bench.submit()
    note_offers(bench, offer_opened(OFFER, referral))
    submit_command(bench, caller(new_id=new_id), referral, AddNote(note=sealed(MOSCOW_KID)))
    fact, sealed_message = bench.sent()[2:]
    assert fact.data == NoteSubmitted(referral_id=referral, organization=OSH)
    assert sealed_message.data == SealedNoteSubmitted(
        referral_id=referral, author=OSH, note=sealed(MOSCOW_KID)
    )
    assert sealed_message.causation_id == fact.id


@pytest.mark.parametrize("note", ["Call.her.on.this.number", sealed(alg="dir"), sealed(zip="DEF")])
def test_note_that_is_not_sealed_is_refused(bench: IntakeBench, note: str) -> None:
    referral = bench.submit()
    with pytest.raises(Refused) as caught:
        submit_command(bench, caller(), referral, AddNote(note=note))
    assert [error.pointer for error in caught.value.errors] == ["/note"]
    assert bench.counts() == (1, 0, 2)


@pytest.mark.parametrize("note", ["Call.her.on.this.number", sealed(alg="dir"), sealed(zip="DEF")])
def test_decline_note_that_is_not_sealed_is_refused(bench: IntakeBench, note: str) -> None:
    note_offers(bench, offer_opened(OFFER, bench.submit()))
    with pytest.raises(Refused) as caught:
        submit_command(bench, caller(MOSCOW), OFFER, DeclineOffer(reason=DeclineReason.other, note=note))
    assert [error.pointer for error in caught.value.errors] == ["/note"]
    assert bench.counts() == (1, 0, 2)


WRONG_KEYS = {"custody key": CUSTODY_KID, "own key": MOSCOW_KID, "unknown key": "any"}


@pytest.mark.parametrize("kid", WRONG_KEYS.values(), ids=WRONG_KEYS)
def test_note_not_sealed_to_senders_key_is_refused(bench: IntakeBench, kid: str) -> None:
    referral = bench.submit()
    note_offers(bench, offer_opened(OFFER, referral))
    before = bench.counts()
    for subject, body in (
        (referral, AddNote(note=sealed(kid))),
        (OFFER, DeclineOffer(reason=DeclineReason.other, note=sealed(kid))),
        (referral, HandBack(reason=HandBackReason.other, note=sealed(kid))),
    ):
        with pytest.raises(Refused) as caught:
            submit_command(bench, caller(MOSCOW), subject, body)
        assert (caught.value.slug, caught.value.status) == ("case-not-sealed", 422)
        assert [error.pointer for error in caught.value.errors] == ["/note"]
    assert bench.counts() == before


@pytest.mark.parametrize("kid", [CUSTODY_KID, OSH_KID, "any"])
def test_senders_note_not_sealed_to_an_offered_organization_is_refused(bench: IntakeBench, kid: str) -> None:
    referral = bench.submit()
    note_offers(bench, offer_opened(OFFER, referral))
    with pytest.raises(Refused) as caught:
        submit_command(bench, caller(), referral, AddNote(note=sealed(kid)))
    assert [error.pointer for error in caught.value.errors] == ["/note"]


def test_note_sealed_to_earlier_key_of_sender_is_admitted(bench: IntakeBench) -> None:
    referral = bench.submit()
    note_offers(bench, offer_opened(OFFER, referral))
    bench.members[OSH] = replace(bench.members[OSH], kid="new", earlier_kids=frozenset({OSH_KID}))
    for kid in ("new", OSH_KID):
        submit_command(bench, caller(MOSCOW, new_id=new_id), referral, AddNote(note=sealed(kid)))


def test_note_to_a_key_replaced_without_proof_is_refused_and_the_step_is_possible_without_it(
    bench: IntakeBench,
) -> None:
    referral = bench.submit()
    note_offers(bench, offer_opened(OFFER, referral))
    until = NOON + dt.timedelta(hours=2)
    bench.members[OSH] = replace(
        bench.members[OSH], kid="new", earlier_kids=frozenset({OSH_KID}), paused_until=until
    )
    before = bench.counts()
    refused = []
    for kid in ("new", OSH_KID):
        for subject, body in (
            (referral, AddNote(note=sealed(kid))),
            (OFFER, DeclineOffer(reason=DeclineReason.other, note=sealed(kid))),
            (referral, HandBack(reason=HandBackReason.other, note=sealed(kid))),
        ):
            with pytest.raises(Refused) as caught:
                submit_command(bench, caller(MOSCOW), subject, body)
            refused.append(caught.value)
    assert bench.counts() == before
    assert {(one.slug, one.status, one.retry_after) for one in refused} == {("not-in-this-state", 409, 7200)}
    assert {one.problem()["until"] for one in refused} == {until.isoformat().replace("+00:00", "Z")}
    assert ["decline without the note" in one.detail for one in refused] == [False, True, False] * 2
    assert ["hand the referral back without the note" in one.detail for one in refused] == [
        False,
        False,
        True,
    ] * 2
    for subject, body in (
        (OFFER, DeclineOffer(reason=DeclineReason.no_capacity)),
        (referral, HandBack(reason=HandBackReason.out_of_area)),
    ):
        submit_command(bench, caller(MOSCOW, new_id=new_id), subject, body)
    # The pause of another candidate does not concern the one that the note is sealed to.
    submit_command(bench, caller(OSH, new_id=new_id), referral, AddNote(note=sealed(MOSCOW_KID)))
    bench.members[OSH] = replace(bench.members[OSH], paused_until=NOON)
    submit_command(bench, caller(MOSCOW, new_id=new_id), referral, AddNote(note=sealed("new")))


def test_replaced_case_for_a_key_replaced_without_proof_is_refused(bench: IntakeBench) -> None:
    referral = bench.submit()
    note_offers(bench, offer_opened(OFFER, referral))
    until = NOON + dt.timedelta(hours=2)
    bench.members[MOSCOW] = replace(bench.members[MOSCOW], paused_until=until)
    with pytest.raises(Refused) as caught:
        submit_command(bench, caller(), referral, Replacement(case=sealed(MOSCOW_KID), to=MOSCOW))
    assert (caught.value.slug, caught.value.until) == ("not-in-this-state", until)


def test_parties_unknown_to_intake_are_looked_up_for_a_note(bench: IntakeBench) -> None:
    referral = new_id()
    bench.routing.answers = {
        PartyQuery(id=referral, organization=MOSCOW): True,
        ReferralQuery(id=referral, viewer=MOSCOW, oversight=False): {"sender": OSH, "offers": []},
    }
    submit_command(bench, caller(MOSCOW), referral, AddNote(note=sealed(OSH_KID)))
    with pytest.raises(Refused):
        submit_command(bench, caller(MOSCOW), referral, AddNote(note=sealed(CUSTODY_KID)))


def test_stranger_learns_nothing_from_the_key_of_a_note(bench: IntakeBench) -> None:
    referral = bench.submit()
    bench.routing.answers = {PartyQuery(id=referral, organization=STRANGER): False}
    for kid in (OSH_KID, CUSTODY_KID):
        with pytest.raises(Refused) as caught:
            submit_command(bench, caller(STRANGER), referral, AddNote(note=sealed(kid)))
        assert caught.value.slug == "not-found"


def test_replaced_case_is_open_fact_and_sealed_message(bench: IntakeBench) -> None:
    referral = bench.submit()
    asked = ReferralQuery(id=referral, viewer=OSH, oversight=False)
    bench.routing.answers = {asked: {"sender": OSH, "acceptor": MOSCOW, "facts": None}}
    submit_command(bench, caller(new_id=new_id), referral, Replacement(to=MOSCOW, case=sealed(MOSCOW_KID)))
    fact, sealed_message = bench.sent()[2:]
    assert fact.data == ReplacementSubmitted(referral_id=referral, organization=OSH, to=MOSCOW)
    assert sealed_message.data == SealedCaseReplaced(
        referral_id=referral, sender=OSH, to=MOSCOW, case=sealed(MOSCOW_KID)
    )
    assert sealed_message.causation_id == fact.id
    assert sealed(MOSCOW_KID).encode() not in bench.outbox()[2]["body"]


def test_case_replaced_in_custody_is_sealed_to_the_custody_key(bench: IntakeBench) -> None:
    referral = bench.submit()
    asked = ReferralQuery(id=referral, viewer=OSH, oversight=False)
    bench.routing.answers = {asked: {"sender": OSH, "facts": {"to": None}}}
    submit_command(bench, caller(new_id=new_id), referral, Replacement(case=sealed()))
    fact, sealed_message = bench.sent()[2:]
    assert fact.data == ReplacementSubmitted(referral_id=referral, organization=OSH, to=None)
    assert sealed_message.data == SealedCaseReplaced(referral_id=referral, sender=OSH, to=None, case=sealed())
    with pytest.raises(Refused) as caught:
        submit_command(bench, caller(new_id=new_id), referral, Replacement(case=sealed(MOSCOW_KID)))
    assert [error.pointer for error in caught.value.errors] == ["/case"]


@pytest.mark.parametrize(
    ("view", "slug"),
    [
        ({"sender": OSH, "facts": {"to": MOSCOW}}, "not-in-this-state"),
        ({"sender": MOSCOW, "facts": None}, "not-a-party"),
    ],
)
def test_case_is_not_replaced_in_custody_for_a_named_receiver_or_by_an_acceptor(
    bench: IntakeBench, view: dict[str, object], slug: str
) -> None:
    referral = bench.submit()
    bench.routing.answers = {ReferralQuery(id=referral, viewer=OSH, oversight=False): view}
    with pytest.raises(Refused) as caught:
        submit_command(bench, caller(new_id=new_id), referral, Replacement(case=sealed()))
    assert caught.value.slug == slug
    assert bench.counts() == (1, 0, 2)


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
    bench: IntakeBench, to: str, case: str, pointer: str
) -> None:
    referral = bench.submit()
    with pytest.raises(Refused) as caught:
        submit_command(bench, caller(), referral, Replacement(to=to, case=case))
    assert [error.pointer for error in caught.value.errors] == [pointer]
    assert bench.counts() == (1, 0, 2)


@pytest.mark.parametrize("acceptor", [None, STRANGER])
def test_replaced_case_for_another_than_the_acceptor_is_refused(
    bench: IntakeBench, acceptor: str | None
) -> None:
    referral = bench.submit()
    asked = ReferralQuery(id=referral, viewer=OSH, oversight=False)
    bench.routing.answers = {asked: {"sender": OSH, "acceptor": acceptor}}
    with pytest.raises(Refused) as caught:
        submit_command(bench, caller(), referral, Replacement(to=MOSCOW, case=sealed(MOSCOW_KID)))
    assert caught.value.slug == "not-in-this-state"
    assert bench.counts() == (1, 0, 2)


def test_invalid_command_among_many_is_refused_alone(bench: IntakeBench) -> None:
    referral = bench.submit()
    note_offers(bench, offer_opened(OFFER, referral))
    unknown = new_id()
    bench.routing.answers = {PartyQuery(id=unknown, organization=MOSCOW): False}
    accept, bad, report = bench.handlers.prepare_commands(
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
    assert bench.handlers.commits.admit_all([accept, report]) == [accept.id, report.id]
    assert [type(event.data) for event in bench.sent()[2:]] == [AnswerSubmitted, ProgressSubmitted]


def test_offer_that_arrives_while_routing_answers_is_not_asked_about(bench: IntakeBench) -> None:
    first, second = new_id(), new_id()
    referral = bench.submit()
    asked: list[Query] = []

    def ask(query: Query) -> Any:
        asked.append(query)
        note_offers(bench, offer_opened(second, referral))
        return [referral, MOSCOW]

    bench.routing.ask = ask  # type: ignore[method-assign]
    prepared = bench.handlers.prepare_commands(
        caller(MOSCOW, new_id=new_id),
        [Command(body=AcceptOffer(), subject=first), Command(body=AcceptOffer(), subject=second)],
    )
    assert all(isinstance(one, Admission) for one in prepared)
    assert asked == [OfferQuery(id=first)]


def test_repeated_command_publishes_its_fact_once(bench: IntakeBench) -> None:
    note_offers(bench, offer_opened(OFFER, bench.submit()))
    claim = claim_of(MOSCOW, "key-1", b"accept")
    command = Command(body=AcceptOffer(), subject=OFFER, claim=claim)
    first = bench.handlers.submit_command(caller(MOSCOW, new_id=new_id), command)
    assert bench.handlers.submit_command(caller(MOSCOW, new_id=new_id), command) == first
    assert sum(isinstance(event.data, AnswerSubmitted) for event in bench.sent()) == 1


# --- Who may state what, and how often -------------------------------------------------------------

BY_ACCEPTOR: list[CommandBody] = [
    ReportProgress(status=ProgressStatus.in_progress),
    CompleteReferral(outcome=Outcome.resolved),
    HandBack(reason=HandBackReason.out_of_area),
]


def refusal_of(bench: IntakeBench, body: CommandBody, role: Role, organization: str) -> Refused | None:
    """Return how a statement about a known referral is refused, which publishes nothing; None if admitted."""
    referral = bench.submit()
    note_offers(bench, offer_opened(new_id(), referral))
    bench.routing.roles = {(organization, referral): role}
    before = bench.sent()
    try:
        submit_command(bench, caller(organization, new_id=new_id), referral, body)
    except Refused as refused:
        assert bench.sent() == before
        return refused
    assert len(bench.sent()) > len(before)
    return None


@pytest.mark.parametrize(
    "body",
    [
        *BY_ACCEPTOR,
        RevokeConsent(),
        Unreadable(reason=UnreadableReason.cannot_decrypt),
        WithdrawReferral(reason=WithdrawalReason.placed_elsewhere),
    ],
)
def test_organization_without_a_part_is_refused_at_once(bench: IntakeBench, body: CommandBody) -> None:
    found = refusal_of(bench, body, Role.none, MOSCOW)
    assert found is not None
    assert found.slug == "not-a-party"


@pytest.mark.parametrize("body", BY_ACCEPTOR)
def test_report_of_the_sender_is_refused_at_once(bench: IntakeBench, body: CommandBody) -> None:
    found = refusal_of(bench, body, Role.sender, OSH)
    assert found is not None
    assert (found.slug, found.detail) == ("not-a-party", NOT_THE_ACCEPTOR)


@pytest.mark.parametrize("role", [Role.acceptor, Role.candidate])
@pytest.mark.parametrize("body", BY_ACCEPTOR)
def test_report_of_an_acceptor_or_a_possible_acceptor_is_admitted(
    bench: IntakeBench, body: CommandBody, role: Role
) -> None:
    assert refusal_of(bench, body, role, MOSCOW) is None


@pytest.mark.parametrize(
    "fault",
    [
        Unavailable("routing is down"),
        Refused("invalid-parameter", "An earlier build of routing does not know this query."),
    ],
    ids=["silent", "of an earlier build"],
)
def test_statement_is_admitted_while_routing_says_no_role(bench: IntakeBench, fault: Exception) -> None:
    referral = bench.submit()
    note_offers(bench, offer_opened(OFFER, referral))
    bench.routing.roles = fault
    submit_command(bench, caller(MOSCOW), referral, BY_ACCEPTOR[0])


def test_organization_submits_a_bounded_number_of_times_about_a_referral(bench: IntakeBench) -> None:
    referral, other = bench.submit(), bench.submit()
    note_offers(bench, offer_opened(OFFER, referral), offer_opened(new_id(), other))
    report = [Command(body=BY_ACCEPTOR[0], subject=referral)] * (MOST_ABOUT_REFERRAL + 20)
    commits = bench.handlers.commits

    def state(at: Caller, commands: list[Command]) -> list[object]:
        return list(commits.answer_all(bench.handlers.prepare_commands(at, commands)))

    now = caller(MOSCOW, new_id=new_id)
    results = state(now, report)
    refused = [one for one in results if isinstance(one, Refused)]
    assert len(refused) == 20
    assert (refused[0].slug, refused[0].status) == ("too-many-statements", 429)
    assert refused[0].retry_after == BOUND_INTERVAL.total_seconds() + 1
    (one_more,) = state(now, report[:1])
    assert isinstance(one_more, Refused)
    # The bound concerns this referral and this organisation, for a day.
    (elsewhere,) = state(now, [Command(body=BY_ACCEPTOR[0], subject=other)])
    (by_sender,) = state(caller(new_id=new_id), [Command(body=RevokeConsent(), subject=referral)])
    later = replace(now, now=NOON + BOUND_INTERVAL)
    (next_day,) = state(later, report[:1])
    assert isinstance(elsewhere, str)
    assert isinstance(by_sender, str)
    assert isinstance(next_day, str)


def test_answers_and_ends_are_taken_when_an_organization_may_repeat_nothing_more(bench: IntakeBench) -> None:
    referral = bench.submit()
    note_offers(bench, offer_opened(OFFER, referral))
    commits = bench.handlers.commits
    at = caller(MOSCOW, new_id=new_id)

    def state(body: CommandBody, subject: str = referral, times: int = 1) -> list[object]:
        commands = [Command(body=body, subject=subject)] * times
        return list(commits.answer_all(bench.handlers.prepare_commands(at, commands)))

    state(BY_ACCEPTOR[0], times=MOST_ABOUT_REFERRAL)
    unreadable = Unreadable(reason=UnreadableReason.cannot_decrypt)
    assert isinstance(state(unreadable)[0], Refused)
    once: list[tuple[CommandBody, str]] = [
        (AcceptOffer(), OFFER),
        (DeclineOffer(reason=DeclineReason.no_capacity), OFFER),
        (CompleteReferral(outcome=Outcome.resolved), referral),
        (HandBack(reason=HandBackReason.out_of_area), referral),
        (WithdrawReferral(reason=WithdrawalReason.person_declined), referral),
        (RevokeConsent(), referral),
    ]
    for body, subject in once:
        (found,) = state(body, subject)
        assert isinstance(found, str) or found.slug != "too-many-statements", body  # type: ignore[attr-defined]
    assert isinstance(state(RevokeConsent())[0], str)
    # Each kind alone has a bound, too: a candidate could fill the history with outcomes.
    results = state(CompleteReferral(outcome=Outcome.resolved), times=MOST_ABOUT_REFERRAL)
    assert [isinstance(one, Refused) for one in results].count(True) == 1


def test_repeated_statement_beyond_the_bound_gets_its_first_id(bench: IntakeBench) -> None:
    referral = bench.submit()
    note_offers(bench, offer_opened(OFFER, referral))
    claim = claim_of(MOSCOW, "first", b"body")
    first = Command(body=BY_ACCEPTOR[0], subject=referral, claim=claim)
    now = caller(MOSCOW, new_id=new_id)
    known = bench.handlers.submit_command(now, first)
    more = [Command(body=BY_ACCEPTOR[0], subject=referral)] * MOST_ABOUT_REFERRAL
    bench.handlers.commits.answer_all(bench.handlers.prepare_commands(now, more))
    assert bench.handlers.submit_command(now, first) == known
