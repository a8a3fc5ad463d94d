"""The bytes of a sender's cases: how many may be in custody, how many at once, and what frees the room."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, text, update

from contracts.codes import DeclineReason, Outcome, Urgency
from contracts.errors import Refused, TooManySubmissions, Unavailable
from contracts.facts import Fact, ReferralCompleted, ReferralFailed, ReferralWithdrawn
from contracts.queries import MOST_ENDED, PartyQuery, ReferralQuery, Role
from runtime.access.rate_limits import SubmissionRates
from runtime.identifiers import new_id
from services.intake.adapters.store import SqlAdmissionStore
from services.intake.adapters.tables import CASES_IN_CUSTODY, CUSTODY_SUMS, NOTES_KEPT
from services.intake.custody_recount import CustodyRecount
from services.intake.domain.admission import Admission
from services.intake.domain.command import AddNote, DeclineOffer, Replacement
from services.intake.domain.custody_bound import MIB
from services.intake.domain.members import receiver_keys
from services.intake.handlers import Command
from services.intake.sealed_rates import SealedRates
from tests.support.events import message_of
from tests.unit.services.intake.intake_fixture import IntakeBench
from tests.unit.services.intake.samples import (
    MOSCOW,
    MOSCOW_KID,
    NOON,
    OFFER,
    OSH,
    OSH_KID,
    caller,
    claim,
    document,
    sealed,
)
from tests.unit.services.intake.test_handlers import note_offers, offer_opened, submit_command
from tests.unit.services.intake.test_idempotency_over_http import ApiClient, batch, refused

CASE = 100_000  # bytes


def case(size: int = CASE) -> str:
    """Return a sealed case of this many bytes."""
    short = sealed()
    rest, _, tag = short.rpartition(".")
    return f"{rest}{'c' * (size - len(short))}.{tag}"


@pytest.fixture
def small(bench: IntakeBench) -> IntakeBench:
    """A sender may have ten cases in custody."""
    bench.custody_bytes = 10 * CASE
    bench.handlers = bench.new_handlers()
    return bench


def fill(bench: IntakeBench, **changes: Any) -> list[str]:
    """Submit cases until one is refused; return their referrals."""
    admitted: list[str] = []
    while True:
        try:
            admitted.append(bench.submit(case=case(), **changes))
        except Refused as refusal:
            if refusal.slug != "custody-full":
                raise
            return admitted


def end(bench: IntakeBench, fact: Fact) -> None:
    note_offers(bench, message_of(fact, time=NOON, source="/kg/routing", correlation_id=new_id()))


def test_cases_of_a_sender_have_a_bound_in_bytes_and_others_have_their_own(small: IntakeBench) -> None:
    assert len(fill(small)) == 10
    before = len(small.sent())
    assert fill(small) == []
    assert len(small.sent()) == before
    assert len(fill(small, by=MOSCOW)) == 10


def test_lines_without_room_are_refused_one_by_one(small: IntakeBench) -> None:
    found = ApiClient(small, OSH).refer_many(batch(*[document(case=case()) for _ in range(13)]))
    assert refused(found) == dict.fromkeys((11, 12, 13), "custody-full")
    assert small.count(CASES_IN_CUSTODY) == 10


def test_emergencies_have_a_reserve_that_other_referrals_cannot_use(small: IntakeBench) -> None:
    fill(small)
    assert len(fill(small, urgency=Urgency.emergency)) == 2
    assert fill(small) == []


@pytest.mark.parametrize("how", ["completed", "withdrawn", "failed"])
def test_end_of_a_referral_frees_the_room_of_its_case_once(small: IntakeBench, how: str) -> None:
    referral = fill(small)[3]
    ends: dict[str, Fact] = {
        "completed": ReferralCompleted(
            referral_id=referral, sender=OSH, organization=MOSCOW, outcome=Outcome.resolved
        ),
        "withdrawn": ReferralWithdrawn(
            referral_id=referral, sender=OSH, organization=None, reason="placed_elsewhere"
        ),
        "failed": ReferralFailed(
            referral_id=referral, sender=OSH, organization=None, reason="case_unreadable"
        ),
    }
    for _ in range(2):
        end(small, ends[how])
    assert len(fill(small)) == 1


def test_repeated_submission_is_answered_without_room_and_takes_none(small: IntakeBench) -> None:
    first = small.submit(claim("k"), case=case())
    fill(small)
    assert small.submit(claim("k"), case=case()) == first
    assert small.count(CASES_IN_CUSTODY) == 10


def test_replacement_counts_by_the_larger_case(small: IntakeBench) -> None:
    referral, *others = fill(small)
    view = {"sender": OSH, "acceptor": None, "facts": {"to": None}}
    small.routing.answers[ReferralQuery(id=referral, viewer=OSH, oversight=False)] = view
    # The vault may refuse the smaller case and keep the larger one.
    submit_command(small, caller(new_id=new_id), referral, Replacement(case=case(10_000)))
    assert fill(small) == []
    with pytest.raises(Refused) as caught:
        submit_command(small, caller(new_id=new_id), referral, Replacement(case=case(CASE + 4)))
    assert caught.value.slug == "custody-full"
    for other in others[:2]:
        end(small, ReferralWithdrawn(referral_id=other, sender=OSH, organization=None, reason="other"))
    submit_command(small, caller(new_id=new_id), referral, Replacement(case=case(2 * CASE)))
    assert len(fill(small)) == 1


def replaced(bench: IntakeBench, referral_id: str, size: int, **facts: Any) -> None:
    """Replace the case of the sender's referral by one of this many bytes."""
    view = {"sender": OSH, "acceptor": None, "facts": {"to": None, **facts}}
    bench.routing.answers[ReferralQuery(id=referral_id, viewer=OSH, oversight=False)] = view
    bench.routing.answers[PartyQuery(id=referral_id, organization=OSH)] = True
    submit_command(bench, caller(new_id=new_id), referral_id, Replacement(case=case(size)))


def test_case_of_a_part_counts_until_the_part_ends(small: IntakeBench) -> None:
    part = new_id()  # intake has not admitted it: routing began it when it split a referral
    replaced(small, part, 4 * CASE)
    assert in_custody(small) == ([4 * CASE], [4 * CASE])
    assert len(fill(small)) == 6
    with pytest.raises(Refused) as caught:
        replaced(small, new_id(), CASE)
    assert caught.value.slug == "custody-full"
    replaced(small, part, 2 * CASE)
    with pytest.raises(Refused) as caught:
        replaced(small, part, 5 * CASE)
    assert caught.value.slug == "custody-full"
    end(small, ReferralWithdrawn(referral_id=part, sender=OSH, organization=None, reason="placed_elsewhere"))
    assert len(fill(small)) == 4


def test_replacement_of_an_emergencys_case_may_use_the_reserve(small: IntakeBench) -> None:
    (emergency,) = fill(small, urgency=Urgency.emergency)[:1]
    (other, *_) = [id_ for id_ in referrals(small) if id_ != emergency]
    end(small, ReferralWithdrawn(referral_id=other, sender=OSH, organization=None, reason="other"))
    with pytest.raises(Refused) as caught:
        replaced(small, emergency, 2 * CASE)
    assert caught.value.slug == "custody-full"
    replaced(small, emergency, 2 * CASE, urgency="emergency")
    assert sum(in_custody(small)[0]) == 12 * CASE


def referrals(bench: IntakeBench) -> list[str]:
    """Return the referrals whose cases are counted."""
    with bench.database.read() as transaction:
        return list(transaction.execute(select(CASES_IN_CUSTODY.c.referral_id)).scalars())


@pytest.fixture
def recount(small: IntakeBench) -> CustodyRecount:
    return CustodyRecount(database=small.database, store=SqlAdmissionStore(), referrals=small.routing)


def test_case_of_a_referral_whose_end_was_missed_counts_no_longer(
    small: IntakeBench, recount: CustodyRecount
) -> None:
    first, second, *_ = fill(small)
    small.routing.ended = {first, second, new_id()}
    recount.run()
    assert sorted(in_custody(small)[1]) == [8 * CASE]
    end(small, ReferralWithdrawn(referral_id=first, sender=OSH, organization=None, reason="other"))
    assert len(fill(small)) == 2


def test_recount_asks_about_every_case_and_begins_again(small: IntakeBench, recount: CustodyRecount) -> None:
    ids = sorted(new_id() for _ in range(2 * MOST_ENDED + 1))
    with small.database.write() as transaction:
        rows = [{"referral_id": id_, "sender": OSH, "bytes": 1} for id_ in ids]
        transaction.execute(insert(CASES_IN_CUSTODY), rows)
        transaction.execute(insert(CUSTODY_SUMS).values(sender=OSH, bytes=len(ids)))
    small.routing.ended = {ids[0], ids[-1]}
    for _ in range(3):
        recount.run()
    assert sorted(referrals(small)) == ids[1:-1]
    small.routing.ended = {ids[1]}
    recount.run()
    assert sorted(referrals(small)) == ids[2:-1]


@pytest.mark.parametrize("drift", [-3 * CASE, 7 * CASE])
def test_sum_that_is_not_what_the_cases_add_up_to_is_corrected(
    small: IntakeBench, recount: CustodyRecount, drift: int
) -> None:
    fill(small)
    fill(small, by=MOSCOW)
    with small.database.write() as transaction:
        changed = CUSTODY_SUMS.c.bytes + drift
        transaction.execute(update(CUSTODY_SUMS).where(CUSTODY_SUMS.c.sender == OSH).values(bytes=changed))
    recount.run()
    assert in_custody(small)[1] == [10 * CASE, 10 * CASE]
    with small.database.write() as transaction:
        transaction.execute(delete(CASES_IN_CUSTODY))
    recount.run()
    assert in_custody(small) == ([], [0, 0])


@pytest.mark.parametrize("error", [Refused("invalid-parameter", "Unknown query."), Unavailable("No reply.")])
def test_recount_changes_nothing_while_routing_does_not_answer(
    small: IntakeBench, recount: CustodyRecount, error: Exception
) -> None:
    (first, *_) = fill(small)
    small.routing.ended = error
    with pytest.raises(Unavailable):
        recount.run()
    assert in_custody(small)[1] == [10 * CASE]
    small.routing.ended = {first}
    recount.run()
    assert in_custody(small)[1] == [9 * CASE]


def test_recount_loses_no_case_that_another_process_admits_meanwhile(postgres_database: str) -> None:
    bench = IntakeBench(postgres_database)
    bench.submit(case=case())
    admitted = bench.prepared(case=case())
    store = SqlAdmissionStore()

    def recount() -> None:
        with bench.database.write() as transaction:
            store.recount(transaction, OSH)

    second = threading.Thread(target=recount)
    with bench.database.write() as transaction:
        store.take_into_custody(transaction, [admitted])
        second.start()
        _wait_for_a_lock(transaction)
    second.join()
    assert in_custody(bench) == ([CASE, CASE], [2 * CASE])
    bench.database.close()


def _wait_for_a_lock(transaction: Connection) -> None:
    """Return once another transaction waits for one."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    deadline = time.monotonic() + 20
    while transaction.execute(waiting).scalar_one() == 0:
        assert time.monotonic() < deadline, "the second transaction waits for nothing"


def in_custody(bench: IntakeBench) -> tuple[list[int], list[int]]:
    """Return the bytes of each case in custody, and the sums of the senders."""
    with bench.database.read() as transaction:
        return (
            list(transaction.execute(select(CASES_IN_CUSTODY.c.bytes)).scalars()),
            list(transaction.execute(select(CUSTODY_SUMS.c.bytes)).scalars()),
        )


def test_largest_of_several_replacements_in_one_batch_counts(small: IntakeBench) -> None:
    referral_id = small.submit(case=case(20_000))
    view = {"sender": OSH, "acceptor": None, "facts": {"to": None}}
    small.routing.answers[ReferralQuery(id=referral_id, viewer=OSH, oversight=False)] = view
    replacements = [
        Command(body=Replacement(case=case(size)), subject=referral_id) for size in (300_000, 10_000)
    ]
    prepared = small.handlers.prepare_commands(caller(new_id=new_id), replacements)
    small.handlers.commits.answer_all(prepared)
    assert in_custody(small) == ([300_000], [300_000])


def test_acceptor_replaces_no_case_and_takes_nothing_of_the_senders_room(small: IntakeBench) -> None:
    referral_id = small.submit(case=case(20_000))
    view = {"sender": OSH, "acceptor": MOSCOW, "facts": None}
    small.routing.answers[ReferralQuery(id=referral_id, viewer=MOSCOW, oversight=False)] = view
    small.routing.answers[PartyQuery(id=referral_id, organization=MOSCOW)] = True
    small.routing.roles = {(MOSCOW, referral_id): Role.acceptor}
    (kid, *_) = receiver_keys(small.members.get, MOSCOW)
    short = sealed(kid)
    rest, _, tag = short.rpartition(".")
    with pytest.raises(Refused) as refused:
        submit_command(
            small,
            caller(MOSCOW, new_id=new_id),
            referral_id,
            Replacement(case=f"{rest}{'c' * (800_000 - len(short))}.{tag}", to=MOSCOW),
        )
    assert refused.value.slug == "not-a-party"
    assert in_custody(small) == ([20_000], [20_000])


@pytest.mark.parametrize("first", ["replacement", "end"])
def test_two_processes_that_change_one_case_leave_no_room_taken(postgres_database: str, first: str) -> None:
    bench = IntakeBench(postgres_database)
    referral_id = bench.submit(case=case())
    view = {"sender": OSH, "acceptor": None, "facts": {"to": None}}
    bench.routing.answers[ReferralQuery(id=referral_id, viewer=OSH, oversight=False)] = view
    larger, smaller = (
        bench.handlers.prepare_commands(
            caller(new_id=new_id), [Command(body=Replacement(case=case(size)), subject=referral_id)]
        )
        for size in (300_000, 200_000)
    )
    admissions = [one for one in (*larger, *smaller) if isinstance(one, Admission)]
    store = SqlAdmissionStore()

    def replace() -> None:
        with bench.database.write() as transaction:
            store.take_into_custody(transaction, admissions[1:])

    second = threading.Thread(target=replace)
    with bench.database.write() as transaction:
        if first == "end":
            store.end_custody(transaction, [referral_id])
        else:
            store.take_into_custody(transaction, admissions[:1])
        second.start()
        _wait_for_a_lock(transaction)
    second.join()
    with bench.database.write() as transaction:
        store.end_custody(transaction, [referral_id])
    assert in_custody(bench) == ([], [0])
    bench.database.close()


def test_sealed_bytes_have_a_rate(bench: IntakeBench) -> None:
    now = [0.0]
    bench.sealed = SealedRates(16, clock=lambda: now[0])  # 2 MiB at once and half a MiB a minute
    bench.handlers = bench.new_handlers()
    lines = [document(case=case(MIB // 2), idempotency_key=str(number)) for number in range(6)]
    osh = ApiClient(bench, OSH)
    found = osh.refer_many(batch(*lines))
    assert refused(found) == {5: "too-many-submissions", 6: "too-many-submissions"}
    assert found[-1]["problem"]["retry_after"] == 120
    assert bench.count(CASES_IN_CUSTODY) == 4
    # Repeated lines take nothing of the rate.
    now[0] += 60
    assert refused(osh.refer_many(batch(*lines))) == {6: "too-many-submissions"}
    with pytest.raises(TooManySubmissions):
        bench.submit(case=case(MIB // 2))
    bench.submit(by=MOSCOW, case=case(MIB // 2))


def test_delay_of_refused_cases_is_that_of_the_rate_that_holds_them_longest(bench: IntakeBench) -> None:
    now = [0.0]
    bench.sealed = SealedRates(16, clock=lambda: now[0])  # 2 MiB at once and half a MiB a minute
    bench.rates = SubmissionRates(per_minute=1, burst=4, clock=lambda: now[0])
    bench.handlers = bench.new_handlers()
    lines = [document(case=case(MIB // 2), idempotency_key=str(number)) for number in range(6)]
    osh = ApiClient(bench, OSH)
    found = osh.refer_many(batch(*lines))
    assert refused(found) == {5: "too-many-submissions", 6: "too-many-submissions"}
    now[0] += found[-1]["problem"]["retry_after"]
    assert refused(osh.refer_many(batch(*lines))) == {}


def test_refused_cases_take_nothing_of_the_rate(small: IntakeBench) -> None:
    small.sealed = SealedRates(16, clock=lambda: 0.0)
    small.handlers = small.new_handlers()
    fill(small)
    for _ in range(30):  # each would be 100 KB of the two MiB
        assert fill(small) == []
    small.custody_bytes = 100 * CASE
    small.handlers = small.new_handlers()
    small.submit(case=case())


def offered(bench: IntakeBench, **changes: Any) -> str:
    """Submit a referral that is offered to MOSCOW; return its id."""
    referral_id = bench.submit(**changes)
    note_offers(bench, offer_opened(new_id(), referral_id))
    return referral_id


def sealed_note(kid: str, size: int = CASE) -> str:
    """Return a sealed note of this many bytes."""
    short = sealed(kid)
    rest, _, tag = short.rpartition(".")
    return f"{rest}{'c' * (size - len(short))}.{tag}"


def write(bench: IntakeBench, referral_id: str, *, author: str = OSH, key: str | None = None) -> str:
    """Submit a note of the author to the other party; return the submission's id."""
    body = AddNote(note=sealed_note(MOSCOW_KID if author == OSH else OSH_KID))
    one = Command(body=body, subject=referral_id, claim=None if key is None else claim(key))
    return bench.handlers.submit_command(caller(author, new_id=new_id), one)


def fill_notes(bench: IntakeBench, referral_id: str, *, author: str = OSH) -> int:
    """Submit notes until one is refused; return how many were admitted."""
    admitted = 0
    while True:
        before = len(bench.sent())
        try:
            write(bench, referral_id, author=author)
        except Refused as refusal:
            if refusal.slug != "custody-full" or len(bench.sent()) != before:
                raise
            return admitted
        admitted += 1


def test_notes_of_an_author_have_a_bound_until_their_referrals_end(small: IntakeBench) -> None:
    """Delivery keeps them as long. They may have a quarter of the bound of cases."""
    first, second = offered(small), offered(small)
    write(small, first)
    assert fill_notes(small, second) == 1
    assert fill_notes(small, first) == 0
    assert fill_notes(small, first, author=MOSCOW) == 2
    end(small, ReferralWithdrawn(referral_id=first, sender=OSH, organization=MOSCOW, reason="other"))
    assert fill_notes(small, second) == 1
    assert fill_notes(small, second, author=MOSCOW) == 2


def test_notes_of_one_batch_are_bounded_together(small: IntakeBench) -> None:
    command = Command(body=AddNote(note=sealed_note(MOSCOW_KID)), subject=offered(small))
    prepared = small.handlers.prepare_commands(caller(new_id=new_id), [command] * 4)
    results = small.handlers.commits.answer_all(prepared)
    assert [getattr(one, "slug", None) for one in results] == [None, None, "custody-full", "custody-full"]


def test_notes_and_cases_take_no_room_from_each_other(small: IntakeBench) -> None:
    referral_id = offered(small, case=case())
    assert fill_notes(small, referral_id) == 2
    assert len(fill(small)) == 9
    assert len(fill(small, urgency=Urgency.emergency)) == 2
    assert len(fill(small, by=MOSCOW)) == 10
    assert fill_notes(small, referral_id, author=MOSCOW) == 2


def test_note_of_a_decline_is_never_refused_for_lack_of_room(small: IntakeBench) -> None:
    referral_id = small.submit()
    note_offers(small, offer_opened(OFFER, referral_id))
    fill_notes(small, referral_id, author=MOSCOW)
    decline = DeclineOffer(reason=DeclineReason.other, note=sealed_note(OSH_KID))
    submit_command(small, caller(MOSCOW, new_id=new_id), OFFER, decline)


def test_repeated_note_takes_room_once(small: IntakeBench) -> None:
    referral_id = offered(small)
    first = write(small, referral_id, key="k")
    assert {write(small, referral_id, key="k") for _ in range(5)} == {first}
    assert fill_notes(small, referral_id) == 1
    assert write(small, referral_id, key="k") == first


def test_note_of_a_referral_whose_end_was_missed_counts_no_longer(
    small: IntakeBench, recount: CustodyRecount
) -> None:
    first, second = offered(small), offered(small)
    write(small, first)
    with small.database.write() as transaction:
        transaction.execute(delete(CASES_IN_CUSTODY))
    small.routing.ended = {first}
    recount.run()
    assert fill_notes(small, second) == 2


def test_recount_asks_about_referrals_with_notes_and_with_cases_in_one_order(
    small: IntakeBench, recount: CustodyRecount
) -> None:
    ids = sorted(new_id() for _ in range(2 * MOST_ENDED + 1))
    of_notes, of_cases = ids[::2], ids[::3] + ids[1::6]
    notes = [{"referral_id": id_, "author": who, "bytes": 1} for id_ in of_notes for who in (OSH, MOSCOW)]
    cases = [{"referral_id": id_, "sender": OSH, "bytes": 1} for id_ in of_cases]
    with small.database.write() as transaction:
        transaction.execute(insert(NOTES_KEPT), notes)
        transaction.execute(insert(CASES_IN_CUSTODY), cases)
    counted = sorted({*of_notes, *of_cases})
    small.routing.ended = set(counted[1:])
    for _ in range(2):
        recount.run()
    with small.database.read() as transaction:
        assert SqlAdmissionStore().counted_referrals(transaction, "", 9) == counted[:1]


@pytest.mark.parametrize("first", ["note", "end"])
def test_two_processes_that_count_a_note_and_end_its_referral_leave_no_room_taken(
    postgres_database: str, first: str
) -> None:
    bench = IntakeBench(postgres_database)
    referral_id = offered(bench)
    write(bench, referral_id)
    command = Command(body=AddNote(note=sealed_note(MOSCOW_KID)), subject=referral_id)
    prepared = bench.handlers.prepare_commands(caller(new_id=new_id), [command, command])
    admissions = [one for one in prepared if isinstance(one, Admission)]
    store = SqlAdmissionStore()

    def keep() -> None:
        with bench.database.write() as transaction:
            store.keep_notes(transaction, admissions[1:])

    second = threading.Thread(target=keep)
    with bench.database.write() as transaction:
        if first == "end":
            store.end_custody(transaction, [referral_id])
        else:
            store.keep_notes(transaction, admissions[:1])
        second.start()
        _wait_for_a_lock(transaction)
    second.join()
    with bench.database.write() as transaction:
        assert store.notes_of(transaction, [OSH]) == {OSH: CASE if first == "end" else 3 * CASE}
        store.end_custody(transaction, [referral_id])
        assert store.notes_of(transaction, [OSH]) == {}
    bench.database.close()
