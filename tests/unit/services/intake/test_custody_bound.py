"""The bytes of a sender's cases: how many may be in custody, how many at once, and what frees the room."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from sqlalchemy import select, text

from contracts.codes import Outcome, Urgency
from contracts.errors import Refused, TooManySubmissions
from contracts.facts import Fact, ReferralCompleted, ReferralFailed, ReferralWithdrawn
from contracts.queries import PartyQuery, ReferralQuery, Role
from runtime.identifiers import new_id
from services.intake.adapters.store import SqlAdmissionStore
from services.intake.adapters.tables import CASES_IN_CUSTODY, CUSTODY_SUMS
from services.intake.domain.admission import Admission
from services.intake.domain.command import Replacement
from services.intake.domain.custody_bound import MIB
from services.intake.domain.members import receiver_keys
from services.intake.handlers import Command
from services.intake.sealed_rates import SealedRates
from tests.support.events import message_of
from tests.unit.services.intake.intake_fixture import IntakeBench
from tests.unit.services.intake.samples import MOSCOW, NOON, OSH, caller, claim, document, sealed
from tests.unit.services.intake.test_handlers import note_offers, submit_command
from tests.unit.services.intake.test_idempotency_over_http import ApiClient, batch, refused

CASE = 100_000  # bytes


def case(size: int = CASE) -> str:
    """Return a sealed case of so many bytes."""
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
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        deadline = time.monotonic() + 20
        while transaction.execute(waiting).scalar_one() == 0:
            assert time.monotonic() < deadline, "the second transaction waits for nothing"
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


def test_refused_cases_take_nothing_of_the_rate(small: IntakeBench) -> None:
    small.sealed = SealedRates(16, clock=lambda: 0.0)
    small.handlers = small.new_handlers()
    fill(small)
    for _ in range(30):  # each would be 100 KB of the two MiB
        assert fill(small) == []
    small.custody_bytes = 100 * CASE
    small.handlers = small.new_handlers()
    small.submit(case=case())
