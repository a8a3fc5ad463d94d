"""Applications on real databases: admission, the decision of one or two persons, expiry and erasure."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import select

from contracts.application import ApplicationRejection, ApplicationVetting
from contracts.codes import ApplicationRefusal, ApplicationState, ApplicationStep, Vetting
from contracts.errors import RateLimited, Refused, Unavailable
from contracts.facts import ApplicationDecided, ApplicationSubmitted
from contracts.records import canonical
from services.directory.adapters.tables import APPLICATIONS, APPROVALS
from services.directory.domain.application import commitment
from services.directory.domain.approval import VALID_FOR, Approval, Decider, Policy, State
from services.directory.handlers.application_rates import (
    APPLICATIONS_PER_MINUTE,
    STATUS_REQUESTS_PER_MINUTE,
    ApplicationRates,
)
from services.directory.handlers.applications import Applied
from services.directory.handlers.approvals import ApprovalReader
from tests.unit.services.directory.application_samples import APPLICANT, content, request
from tests.unit.services.directory.samples import OPERATOR, OSH, Directory, organization

DESK = "kg.desk"
SECOND = Decider(id="kg.second-operator", roles=frozenset({"operator"}))
AS_PROPOSED = ApplicationVetting()
REFUSAL = ApplicationRejection(reason=ApplicationRefusal.not_verified, note="Nobody answers.")
DAY = dt.timedelta(days=1)


@pytest.fixture
def two(directory: Directory) -> Directory:
    """A directory in which two persons decide."""
    return Directory(directory.database, policy=Policy.two_person)


def reference_of(applied: Applied) -> str:
    assert applied.reference is not None
    return applied.reference


def steps(directory: Directory) -> list[str]:
    facts = [event.data for event in directory.events()]
    return [fact.step for fact in facts if isinstance(fact, ApplicationDecided)]


def refused(call: Any, *arguments: Any, **named: Any) -> Refused:
    with pytest.raises(Refused) as refusal:
        call(*arguments, **named)
    return refusal.value


def test_application_waits_and_the_log_gets_a_commitment_only(directory: Directory) -> None:
    applied = directory.applications.apply(request())
    kept = directory.applications.status(applied.application.id, reference_of(applied))
    assert (kept.state, kept.content) == (ApplicationState.waiting, content())
    (event,) = directory.events()
    assert isinstance(event.data, ApplicationSubmitted)
    assert event.data.content == commitment(kept.id, content(), kept.salt or "")
    assert b"alas" not in canonical(event.data)
    assert directory.listings.organizations({}, "", 9) == []


def test_reference_is_stored_as_its_digest_only(directory: Directory) -> None:
    applied = directory.applications.apply(request())
    with directory.database.read() as transaction:
        (row,) = transaction.execute(select(APPLICATIONS)).all()
    assert reference_of(applied) not in repr(row)


def test_repetition_under_a_reference_makes_one_application(directory: Directory) -> None:
    first = directory.applications.apply(request(reference_sha256="a" * 64))
    again = directory.applications.apply(request(reference_sha256="a" * 64))
    assert (again.application, again.reference) == (first.application, None)
    other = request(reference_sha256="a" * 64, name="Another")
    assert refused(directory.applications.apply, other).slug == "conflict"
    assert len(directory.events()) == 1


def test_application_response_does_not_reveal_known_organizations(directory: Directory) -> None:
    directory.entries.put_organization(OPERATOR, organization(OSH))
    known = request(proposed_id=OSH, parent=OSH, name=organization(OSH).name)
    unknown = request(proposed_id="kg.nobody", parent="kg.nobody-else")
    answers = [directory.applications.apply(one) for one in (known, known, unknown)]
    assert [one.application.state for one in answers] == [ApplicationState.waiting] * 3


def test_full_queue_takes_none_until_one_is_decided(directory: Directory) -> None:
    directory.most_applications(2)
    first = directory.applications.apply(request(reference_sha256="a" * 64))
    assert directory.applications.full() is None
    directory.applications.apply(request())
    assert "2 wait" in (directory.applications.full() or "")
    with pytest.raises(Unavailable):
        directory.applications.apply(request())
    # A repetition takes no room.
    directory.applications.apply(request(reference_sha256="a" * 64))
    directory.applications.refuse(first.application.id, REFUSAL, by=DESK)
    directory.applications.apply(request())
    assert directory.applications.full() is not None
    directory.most_applications(0)
    assert not directory.applications.taken
    assert directory.applications.full() is None


def test_withdrawn_application_takes_room_until_a_day_after_it_was_sent(directory: Directory) -> None:
    directory.most_applications(2)
    first = directory.applications.apply(request())
    directory.clock.time += DAY / 2
    second = directory.applications.apply(request())
    for one in (first, second):
        directory.applications.withdraw(one.application.id, reference_of(one))
    with pytest.raises(Unavailable):
        directory.applications.apply(request())
    directory.applications.tidy()
    assert directory.waiting == 0
    directory.clock.time += DAY / 2
    directory.applications.apply(request())
    with pytest.raises(Unavailable):
        directory.applications.apply(request())
    directory.clock.time += DAY / 2
    directory.applications.apply(request())


def test_mailbox_and_log_grow_by_the_most_applications_of_a_day_whatever_a_sender_withdraws(
    directory: Directory,
) -> None:
    directory.most_applications(3)
    for _ in range(20):
        try:
            sent = directory.applications.apply(request())
        except Unavailable:
            continue
        directory.applications.withdraw(sent.application.id, reference_of(sent))
    submitted = [one for one in directory.events() if isinstance(one.data, ApplicationSubmitted)]
    assert (len(submitted), len(directory.events())) == (3, 6)


def test_withdrawal_erases_what_was_sent_and_may_be_repeated(directory: Directory) -> None:
    applied = directory.applications.apply(request())
    application_id = applied.application.id
    assert refused(directory.applications.withdraw, application_id, "another").slug == "not-found"
    ended = directory.applications.withdraw(application_id, reference_of(applied))
    assert directory.applications.withdraw(application_id, reference_of(applied)) == ended
    assert (ended.state, ended.content) == (ApplicationState.withdrawn, None)
    assert steps(directory) == [ApplicationStep.withdrawn]
    assert refused(directory.applications.vet, application_id, AS_PROPOSED, by=DESK).slug == "conflict"


def test_wrong_reference_is_refused_as_an_unknown_application_is(directory: Directory) -> None:
    applied = directory.applications.apply(request())
    other = directory.applications.apply(request())
    known = refused(directory.applications.status, applied.application.id, reference_of(other))
    unknown = refused(directory.applications.status, "0" * 36, reference_of(other))
    assert known.problem() == unknown.problem()
    known = refused(directory.applications.withdraw, applied.application.id, reference_of(other))
    assert known.problem() == refused(directory.applications.withdraw, "0" * 36, "x").problem()


def test_one_person_vets_where_one_decides(directory: Directory) -> None:
    applied = directory.applications.apply(request())
    ended = directory.applications.vet(applied.application.id, AS_PROPOSED, by=DESK)
    assert (ended.state, ended.content, ended.organization) == (ApplicationState.vetted, None, APPLICANT)
    record = directory.listings.organization(APPLICANT).entry
    assert (record.vetting, record.vetted_by) == (Vetting.vetted, DESK)
    decided = [e.data for e in directory.events() if isinstance(e.data, ApplicationDecided)]
    assert [(one.step, one.by, one.organization) for one in decided] == [
        (ApplicationStep.vetted, DESK, APPLICANT)
    ]


def test_second_person_admits_the_organization(two: Directory) -> None:
    applied = two.applications.apply(request())
    asked = two.applications.vet(applied.application.id, AS_PROPOSED, by=DESK)
    assert asked.state is ApplicationState.in_approval
    assert two.listings.organizations({}, "", 9) == []
    assert two.applications.vet(asked.id, AS_PROPOSED, by=DESK) == asked
    assert asked.approval_id is not None
    own = Decider(id=DESK, roles=frozenset({"operator"}))
    assert refused(two.approvals.approve, asked.approval_id, own).slug == "forbidden"
    two.approvals.approve(asked.approval_id, SECOND)
    ended = two.applications.status(asked.id, reference_of(applied))
    assert (ended.state, ended.content, ended.decided_by) == (ApplicationState.vetted, None, SECOND.id)
    assert two.listings.organization(APPLICANT).entry.vetting is Vetting.vetted
    assert steps(two) == [ApplicationStep.vetting_requested, ApplicationStep.vetted]


def test_refused_approval_lets_the_application_wait_again(two: Directory) -> None:
    applied = two.applications.apply(request())
    asked = two.applications.vet(applied.application.id, AS_PROPOSED, by=DESK)
    two.approvals.refuse(asked.approval_id or "", SECOND)
    again = two.applications.one(asked.id)
    assert (again.state, again.content) == (ApplicationState.waiting, content())
    assert two.applications.vet(asked.id, AS_PROPOSED, by=DESK).state is ApplicationState.in_approval


def test_approval_that_nobody_gave_in_time_lets_the_application_wait_again(two: Directory) -> None:
    asked = two.applications.vet(two.applications.apply(request()).application.id, AS_PROPOSED, by=DESK)
    two.clock.time += VALID_FOR - DAY
    two.applications.tidy()
    assert two.applications.one(asked.id).state is ApplicationState.in_approval
    two.clock.time += DAY
    two.applications.tidy()
    assert two.applications.one(asked.id).state is ApplicationState.waiting
    assert steps(two) == [ApplicationStep.vetting_requested, ApplicationStep.vetting_ended]


def test_another_id_replaces_the_request_and_another_person_cannot(two: Directory) -> None:
    first = two.applications.vet(two.applications.apply(request()).application.id, AS_PROPOSED, by=DESK)
    other = ApplicationVetting(id="kg.talas")
    assert refused(two.applications.vet, first.id, other, by="kg.second-desk").slug == "conflict"
    second = two.applications.vet(first.id, other, by=DESK)
    assert second.organization == "kg.talas"
    assert refused(two.approvals.approve, first.approval_id or "", SECOND).slug == "conflict"
    two.approvals.approve(second.approval_id or "", SECOND)
    assert two.listings.organization("kg.talas").entry.name == content().name


@pytest.mark.parametrize("end", ["withdraw", "refuse"])
def test_end_of_an_application_ends_the_request_to_vet_it(two: Directory, end: str) -> None:
    applied = two.applications.apply(request())
    asked = two.applications.vet(applied.application.id, AS_PROPOSED, by=DESK)
    if end == "withdraw":
        two.applications.withdraw(asked.id, reference_of(applied))
    else:
        two.applications.refuse(asked.id, REFUSAL, by="kg.second-desk")
    assert refused(two.approvals.approve, asked.approval_id or "", SECOND).slug == "conflict"
    assert two.listings.organizations({}, "", 9) == []
    shown = two.approvals.page(ApprovalReader(organization=None), None, "", 9)
    assert [one.state for one in shown] == [State.stale]


@pytest.mark.parametrize("later", [dt.timedelta(), DAY])
@pytest.mark.parametrize("rival_by", [DESK, "kg.second-desk"])
def test_member_reads_no_request_about_another_applicant_for_its_id(
    two: Directory, rival_by: str, later: dt.timedelta
) -> None:
    rival = two.applications.apply(request(name="The rival")).application.id
    asked = two.applications.vet(rival, AS_PROPOSED, by=rival_by).approval_id or ""
    two.clock.time += later
    own = two.applications.apply(request()).application.id
    granted = two.applications.vet(own, AS_PROPOSED, by=DESK).approval_id or ""
    two.clock.time += later
    two.approvals.approve(granted, SECOND)
    member, staff = ApprovalReader(organization=APPLICANT), ApprovalReader(organization=None)
    assert [one.id for one in two.approvals.page(staff, None, "", 9)] == [asked, granted]
    assert [one.id for one in two.approvals.page(member, None, "", 9)] == [granted]
    assert two.approvals.one(granted, member).change["organization"]["name"] == content().name
    assert (two.approvals.one(asked, staff).change != {}) == (rival_by != DESK)
    assert refused(two.approvals.one, asked, member).slug == "not-found"


def test_application_that_was_sent_twice_has_one_request(two: Directory) -> None:
    first, second = (two.applications.apply(request()).application.id for _ in range(2))
    asked = two.applications.vet(first, AS_PROPOSED, by=DESK)
    assert refused(two.applications.vet, second, AS_PROPOSED, by=DESK).slug == "conflict"
    two.approvals.approve(asked.approval_id or "", SECOND)
    assert two.applications.one(first).state is ApplicationState.vetted
    assert two.applications.one(second).state is ApplicationState.waiting


def test_member_reads_no_request_that_is_older_than_its_record(two: Directory) -> None:
    asked = two.entries.put_organization(OPERATOR, organization(OSH))
    assert isinstance(asked, Approval)
    two.clock.time += DAY
    alone = Directory(two.database)
    alone.clock.time = two.clock.time
    alone.entries.put_organization(OPERATOR, organization(OSH))
    assert two.approvals.page(ApprovalReader(organization=OSH), None, "", 9) == []
    assert [one.id for one in two.approvals.page(ApprovalReader(organization=None), None, "", 9)] == [
        asked.id
    ]


@pytest.mark.parametrize("end", ["withdraw", "refuse", "expire", "refuse the request", "another id"])
def test_request_to_vet_that_ends_without_effect_keeps_nothing_of_the_applicant(
    two: Directory, end: str
) -> None:
    applied = two.applications.apply(request())
    asked = two.applications.vet(applied.application.id, AS_PROPOSED, by=DESK)
    approval_id = asked.approval_id or ""
    before = two.approvals.one(approval_id, ApprovalReader(organization=None))
    assert before.change["organization"]["description"] == content().description
    if end == "withdraw":
        two.applications.withdraw(asked.id, reference_of(applied))
    elif end == "refuse":
        two.applications.refuse(asked.id, REFUSAL, by=DESK)
    elif end == "expire":
        two.clock.time += VALID_FOR
        two.applications.tidy()
    elif end == "refuse the request":
        two.approvals.refuse(approval_id, SECOND)
    else:
        two.applications.vet(asked.id, ApplicationVetting(id="kg.talas"), by=DESK)
    after = two.approvals.one(approval_id, ApprovalReader(organization=None))
    assert (after.change, after.digest, after.subject) == ({}, before.digest, before.subject)
    assert refused(two.approvals.approve, approval_id, SECOND).slug == "conflict"
    with two.database.read() as transaction:
        stored = transaction.execute(select(APPROVALS).where(APPROVALS.c.id == approval_id)).one()
    assert content().description not in repr(stored)


def test_conflicts_of_id_and_parent_are_named_when_it_is_vetted(two: Directory) -> None:
    Directory(two.database).entries.put_organization(OPERATOR, organization(OSH))
    taken = two.applications.apply(request(proposed_id=OSH)).application.id
    conflict = refused(two.applications.vet, taken, AS_PROPOSED, by=DESK)
    assert (conflict.slug, conflict.errors[0].pointer) == ("conflict", "/id")
    orphan = two.applications.apply(request(parent="kg.nobody")).application.id
    missing = refused(two.applications.vet, orphan, AS_PROPOSED, by=DESK)
    assert (missing.slug, missing.errors[0].pointer) == ("unknown-organization", "/parent")
    alone = two.applications.vet(orphan, ApplicationVetting(without_parent=True), by=DESK)
    # A record of that id which appears before the approval makes the request stale, and is not replaced.
    Directory(two.database).entries.put_organization(OPERATOR, organization(APPLICANT))
    assert refused(two.approvals.approve, alone.approval_id or "", SECOND).slug == "conflict"
    assert two.listings.organization(APPLICANT).revision == 1
    assert two.applications.one(orphan).state is ApplicationState.waiting


def test_applicant_reads_the_refusal_and_its_repetition_changes_nothing(directory: Directory) -> None:
    applied = directory.applications.apply(request())
    ended = directory.applications.refuse(applied.application.id, REFUSAL, by=DESK)
    assert directory.applications.refuse(ended.id, REFUSAL, by=DESK) == ended
    told = directory.applications.status(ended.id, reference_of(applied))
    assert (told.reason, told.note) == (REFUSAL.reason, REFUSAL.note)
    decided = [e.data for e in directory.events() if isinstance(e.data, ApplicationDecided)]
    assert [(one.step, one.by, one.reason) for one in decided] == [
        (ApplicationStep.refused, DESK, REFUSAL.reason)
    ]
    assert b"Nobody" not in canonical(decided[0])


def test_undecided_applications_expire_and_traces_are_deleted(directory: Directory) -> None:
    applied = directory.applications.apply(request())
    refused_one = directory.applications.refuse(
        directory.applications.apply(request()).application.id, REFUSAL, by=DESK
    )
    directory.clock.time += 31 * DAY
    directory.applications.tidy()
    assert refused(directory.applications.one, refused_one.id).slug == "not-found"
    assert directory.waiting == 1
    directory.clock.time += 60 * DAY
    directory.applications.tidy()
    expired = directory.applications.status(applied.application.id, reference_of(applied))
    assert (expired.state, expired.content) == (ApplicationState.expired, None)
    assert directory.waiting == 0
    directory.clock.time += 30 * DAY
    directory.applications.tidy()
    with directory.database.read() as transaction:
        assert transaction.execute(select(APPLICATIONS)).all() == []
    assert steps(directory) == [ApplicationStep.refused, ApplicationStep.expired]


@pytest.mark.parametrize(("most_waiting", "of_one_address"), [(200, 20), (1_000, 100), (5, 10)])
def test_address_may_send_a_tenth_of_the_limit_in_a_day(
    monkeypatch: pytest.MonkeyPatch, most_waiting: int, of_one_address: int
) -> None:
    seconds = iter(range(0, 10**9, 60))
    monkeypatch.setattr("limits.storage.memory.time.time", lambda: float(next(seconds)))
    rates = ApplicationRates(most_waiting)
    taken = 0
    with pytest.raises(RateLimited) as refused:
        while True:
            rates.take_application("192.0.2.1")
            taken += 1
    assert taken == of_one_address
    assert refused.value.retry_after == 3600


def test_rates_of_an_address_do_not_bound_another_one() -> None:
    rates = ApplicationRates(200)
    for _ in range(APPLICATIONS_PER_MINUTE):
        rates.take_application("192.0.2.1")
    with pytest.raises(RateLimited):
        rates.take_application("192.0.2.1")
    for _ in range(STATUS_REQUESTS_PER_MINUTE):
        rates.take_status_request("192.0.2.1")
    with pytest.raises(RateLimited):
        rates.take_status_request("192.0.2.1")
    # Two of the addresses may share a counter, hardly three.
    bounded = 0
    for last in (2, 3, 4):
        try:
            rates.take_application(f"192.0.2.{last}")
        except RateLimited:
            bounded += 1
    assert bounded < 3


def test_refused_withdrawn_application_no_longer_counts_to_the_limit(directory: Directory) -> None:
    directory.most_applications(1)
    sent = directory.applications.apply(request())
    directory.applications.withdraw(sent.application.id, reference_of(sent))
    assert directory.applications.counted() == (1, 1)
    with pytest.raises(Unavailable):
        directory.applications.apply(request())
    ended = directory.applications.refuse(sent.application.id, REFUSAL, by=DESK)
    assert (ended.state, ended.content, ended.decided_by) == (ApplicationState.refused, None, DESK)
    assert directory.applications.counted() == (0, 1)
    directory.applications.apply(request())


def test_applicant_frees_no_room_by_withdrawing_again(directory: Directory) -> None:
    directory.most_applications(1)
    sent = directory.applications.apply(request())
    for _ in range(2):
        directory.applications.withdraw(sent.application.id, reference_of(sent))
    assert directory.applications.counted() == (1, 1)
