"""Suspension with a reason: at once, by one person, on record."""

from __future__ import annotations

import pytest

from contracts.codes import SuspensionReason, Vetting
from contracts.errors import Refused
from contracts.facts import OrganizationChanged
from contracts.responses.directory import Suspension
from services.directory.domain.approval import Approval, Decider, Policy, State
from services.directory.domain.precondition import ANY_REVISION, at_revision
from services.directory.handlers.approvals import ApprovalReader
from tests.unit.services.directory.samples import NOON, OPERATOR, OSH, Directory, organization

COORDINATOR = "kg.coordinator"


@pytest.fixture
def guarded(directory: Directory) -> Directory:
    """A directory with one vetted organisation, where two persons decide."""
    directory.entries.put_organization(OPERATOR, organization())
    return Directory(directory.database, policy=Policy.two_person)


def refusal_of(attempt: object) -> str:
    with pytest.raises(Refused) as refusal:
        attempt()  # type: ignore[operator]
    return refusal.value.slug


def test_suspension_by_one_person_takes_effect_with_its_reason_on_record(guarded: Directory) -> None:
    standing = guarded.suspensions.suspend(OSH, SuspensionReason.person_at_risk, by=COORDINATOR)
    assert (standing.revision, standing.entry) == (2, organization(vetting="suspended"))
    assert guarded.access.is_excluded(OSH)
    assert guarded.events()[-1].data == OrganizationChanged(
        revision=2,
        organization=organization(vetting="suspended"),
        by=COORDINATOR,
        reason=SuspensionReason.person_at_risk,
    )
    assert guarded.revisions(OSH)[-1] == (2, 1, COORDINATOR)


def test_repeated_suspension_changes_nothing_and_another_reason_is_a_revision(guarded: Directory) -> None:
    suspend = guarded.suspensions.suspend
    assert guarded.listings.suspension(OSH) is None
    first = suspend(OSH, SuspensionReason.no_answer, by=COORDINATOR, precondition=at_revision(1))
    assert suspend(OSH, SuspensionReason.no_answer, by="kg.other", precondition=at_revision(1)) == first
    assert guarded.listings.suspension(OSH) == Suspension(
        by=COORDINATOR, at=NOON, reason=SuspensionReason.no_answer
    )
    again = suspend(OSH, SuspensionReason.other, by=OPERATOR.id, precondition=at_revision(2))
    assert (again.revision, again.entry) == (3, first.entry)
    assert guarded.listings.suspension(OSH) == Suspension(
        by=OPERATOR.id, at=NOON, reason=SuspensionReason.other
    )
    reasons = [event.data.reason for event in guarded.events() if isinstance(event.data, OrganizationChanged)]
    assert reasons == [None, SuspensionReason.no_answer, SuspensionReason.other]


def test_readmission_ends_the_suspension_and_a_later_one_has_its_own_reason(directory: Directory) -> None:
    directory.entries.put_organization(OPERATOR, organization())
    directory.suspensions.suspend(OSH, SuspensionReason.no_answer, by=COORDINATOR)
    directory.entries.put_organization(OPERATOR, organization(), precondition=ANY_REVISION)
    assert directory.listings.suspension(OSH) is None
    suspended = organization(vetting="suspended")
    directory.entries.put_organization(OPERATOR, suspended, precondition=ANY_REVISION)
    # By a change of the record, which states no reason.
    assert directory.listings.suspension(OSH) == Suspension(by=OPERATOR.id, at=NOON, reason=None)


def test_suspension_that_cannot_take_effect_writes_nothing(guarded: Directory) -> None:
    guarded.entries.put_organization(OPERATOR, organization("kg.gone", vetting="left"))
    written = len(guarded.events())
    for organization_id, precondition, slug in (
        ("kg.nobody", None, "not-found"),
        ("kg.gone", None, "conflict"),
        (OSH, at_revision(7), "precondition-failed"),
    ):
        attempt = lambda one=organization_id, on=precondition: guarded.suspensions.suspend(  # noqa: E731
            one, SuspensionReason.other, by=COORDINATOR, precondition=on
        )
        assert refusal_of(attempt) == slug
    assert len(guarded.events()) == written
    assert guarded.listings.organization("kg.gone").entry.vetting is Vetting.left


def test_readmission_after_a_suspension_waits_for_a_second_operator(guarded: Directory) -> None:
    guarded.suspensions.suspend(OSH, SuspensionReason.data_misused, by=COORDINATOR)
    waiting = guarded.entries.put_organization(OPERATOR, organization(), precondition=ANY_REVISION)
    assert isinstance(waiting, Approval)
    assert guarded.access.is_excluded(OSH)
    first, second, coordinator = (
        Decider(id=person, roles=frozenset({role}))
        for person, role in (
            (OPERATOR.id, "operator"),
            ("kg.second", "operator"),
            (COORDINATOR, "coordinator"),
        )
    )
    for cannot in (first, coordinator):
        assert refusal_of(lambda by=cannot: guarded.approvals.approve(waiting.id, by)) == "forbidden"
    assert guarded.approvals.approve(waiting.id, second).state is State.granted
    assert not guarded.access.is_excluded(OSH)
    changed = guarded.events()[-1].data
    assert isinstance(changed, OrganizationChanged)
    assert (changed.by, changed.reason) == (OPERATOR.id, None)


def test_readmission_requested_before_a_suspension_is_stale_after_it(guarded: Directory) -> None:
    guarded.suspensions.suspend(OSH, SuspensionReason.no_answer, by=COORDINATOR)
    lifted = guarded.entries.put_organization(OPERATOR, organization(), precondition=ANY_REVISION)
    assert isinstance(lifted, Approval)
    second = Decider(id="kg.second", roles=frozenset({"operator"}))
    guarded.approvals.approve(lifted.id, second)
    early = guarded.entries.put_organization(OPERATOR, organization(country="UZ"), precondition=ANY_REVISION)
    assert isinstance(early, Approval)
    guarded.suspensions.suspend(OSH, SuspensionReason.person_at_risk, by=COORDINATOR)
    assert refusal_of(lambda: guarded.approvals.approve(early.id, second)) == "conflict"
    assert guarded.approvals.one(early.id, ApprovalReader(organization=None)).state is State.stale
    assert guarded.access.is_excluded(OSH)
