"""Approvals of services for sensitive needs."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from contracts.codes import ApprovalEnd, WithdrawalOfApproval
from contracts.errors import Refused
from contracts.facts import OrganizationChanged, ServiceApprovalEnded
from contracts.organization import ApprovedService, Eligibility, Organization
from contracts.records import plain
from services.directory import admission
from services.directory.adapters.register import SqlRegister
from services.directory.domain.amendment import Editor
from services.directory.domain.approval import Approval, Decider, Policy
from services.directory.domain.entry import Standing
from services.directory.domain.precondition import ANY_REVISION, Precondition, at_revision
from tests.unit.services.directory.samples import (
    NOON,
    OPERATOR,
    OSH,
    OSH_ITSELF,
    Directory,
    organization,
    service_record,
)

COORDINATOR = "kg.coordinator"
TRAFFICKING, VIOLENCE = "protection.trafficking", "protection.violence"
NEEDS = ["legal.wage_claim", TRAFFICKING, VIOLENCE, "health"]


@pytest.fixture
def recorded(directory: Directory) -> Directory:
    directory.entries.put_organization(OPERATOR, organization(services=[service_record(needs=NEEDS)]))
    return directory


def approve(
    directory: Directory, approver: str, organization_id: str, service: str, needs: list[str], **named: Any
) -> Standing[Organization] | Approval:
    """Approve the service at the revision that the record has, unless another one is named."""
    with directory.database.read() as transaction:
        known = SqlRegister().standing(transaction, Organization, [organization_id]).get(organization_id)
    seen = at_revision(1 if known is None else known.revision)
    return directory.service_approvals.approve(
        approver, organization_id, service, needs, **{"precondition": seen, **named}
    )


def approval(*needs: str) -> ApprovedService:
    return ApprovedService(service="legal", needs=needs, by=COORDINATOR, at=NOON)


def ends(directory: Directory) -> list[ServiceApprovalEnded]:
    """The notices that an approval ended, to the mailboxes of the organisation and of the coordinators."""
    return [event.data for event in directory.events() if isinstance(event.data, ServiceApprovalEnded)]


def ended(reason: str, by: str) -> ServiceApprovalEnded:
    return ServiceApprovalEnded(
        organization=OSH, service="legal", approved_needs=(TRAFFICKING,), reason=ApprovalEnd(reason), by=by
    )


def record(directory: Directory) -> Organization:
    return directory.listings.organization(OSH).entry


def slug(command: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(Refused) as caught:
        command(*arguments, **named)
    return caught.value.slug


def test_approval_is_recorded_with_needs_time_and_approver(recorded: Directory) -> None:
    approve(recorded, COORDINATOR, OSH, "legal", [VIOLENCE, TRAFFICKING, VIOLENCE])
    assert record(recorded).approved_services == (approval(TRAFFICKING, VIOLENCE),)
    assert recorded.revisions(OSH)[-1] == (2, 1, COORDINATOR)
    fact = recorded.events()[-1].data
    assert isinstance(fact, OrganizationChanged)
    assert (fact.by, fact.organization) == (COORDINATOR, record(recorded))


def test_later_approval_replaces_the_earlier_one(recorded: Directory) -> None:
    approve(recorded, COORDINATOR, OSH, "legal", [TRAFFICKING, VIOLENCE])
    approve(recorded, COORDINATOR, OSH, "legal", ["health.hiv"])
    assert record(recorded).approved_services == (approval("health.hiv"),)


def test_repeated_approval_makes_no_revision(recorded: Directory) -> None:
    approve(recorded, COORDINATOR, OSH, "legal", [TRAFFICKING])
    approve(recorded, "kg.other", OSH, "legal", [TRAFFICKING])
    assert record(recorded).approved_services == (approval(TRAFFICKING),)
    assert len(recorded.revisions(OSH)) == 2


def test_withdrawn_approval_is_removed(recorded: Directory) -> None:
    approve(recorded, COORDINATOR, OSH, "legal", [TRAFFICKING])
    recorded.service_approvals.withdraw(COORDINATOR, OSH, "legal", WithdrawalOfApproval.service_changed)
    recorded.service_approvals.withdraw(COORDINATOR, OSH, "legal", WithdrawalOfApproval.service_changed)
    assert record(recorded).approved_services == ()
    [end] = ends(recorded)
    assert end == replace(ended("withdrawn", COORDINATOR), withdrawn_for=WithdrawalOfApproval.service_changed)
    assert len(recorded.revisions(OSH)) == 3


def test_approval_ends_with_its_service(recorded: Directory) -> None:
    approve(recorded, COORDINATOR, OSH, "legal", [TRAFFICKING])
    change(recorded, {"services": []})
    assert record(recorded).approved_services == ()
    assert ends(recorded) == [ended("removed", OSH)]
    change(recorded, {"services": [service_record(needs=NEEDS, areas=["KG", "KZ"])]})
    assert record(recorded).approved_services == ()
    assert (
        slug(recorded.service_approvals.withdraw, COORDINATOR, OSH, "missing", WithdrawalOfApproval.other)
        == "not-found"
    )


def test_approval_that_an_earlier_build_left_without_its_service_covers_no_new_one(
    recorded: Directory,
) -> None:
    left = organization(services=[], approved_services=[plain(approval(TRAFFICKING))])
    recorded.entries.enter(Organization, [left], by="load")
    assert record(recorded).approved_services == (approval(TRAFFICKING),)
    change(recorded, {"services": [service_record(needs=NEEDS, areas=["KG", "KZ"])]})
    assert record(recorded).approved_services == ()


@pytest.mark.parametrize(
    "wider",
    [
        {"areas": ["KG-GO", "RU-MOW"]},
        {"areas": ["KG"]},
        {"settlements": ["urban", "rural"]},
        {"eligibility": {}},
        {"eligibility": {"sexes": ["female", "male"]}},
        {"eligibility": {"age_bands": ["18_24"]}},
        {"cost": "free"},
    ],
    ids=["further area", "whole country", "settlements", "everybody", "further sex", "condition", "free"],
)
@pytest.mark.parametrize("editor", [OSH_ITSELF, OPERATOR], ids=["itself", "an operator"])
def test_approval_ends_when_its_service_reaches_more(
    recorded: Directory, wider: dict[str, Any], editor: Editor
) -> None:
    service = service_record(
        needs=NEEDS, settlements=["urban"], eligibility={"sexes": ["female"]}, cost="commercial"
    )
    change(recorded, {"services": [service]})
    approve(recorded, COORDINATOR, OSH, "legal", [TRAFFICKING])
    change(recorded, {"services": [{**service, **wider}]}, editor)
    assert record(recorded).approved_services == ()
    assert ends(recorded) == [ended("widened", editor.id)]


# Each condition on the people, with a narrow list and one further value.
CONDITIONS = {
    "sexes": (["female"], "male"),
    "age_bands": (["18_24"], "25_59"),
    "stages": (["in_destination"], "returned"),
    "origin_countries": (["KG"], "UZ"),
    "special_categories": (["disability"], "trafficking_victim"),
}


@pytest.mark.parametrize("condition", [one.name for one in fields(Eligibility)])
@pytest.mark.parametrize("how", ["dropped", "widened", "narrowed", "added"])
def test_approval_follows_each_condition_on_the_people(recorded: Directory, condition: str, how: str) -> None:
    narrow, further = CONDITIONS[condition]
    lists: dict[str, tuple[list[str], list[str]]] = {
        "dropped": (narrow, []),
        "widened": (narrow, [*narrow, further]),
        "narrowed": ([*narrow, further], narrow),
        "added": ([], narrow),
    }
    before, after = lists[how]
    service = service_record(needs=NEEDS, eligibility={condition: before})
    change(recorded, {"services": [service]})
    approve(recorded, COORDINATOR, OSH, "legal", [TRAFFICKING])
    change(recorded, {"services": [{**service, "eligibility": {condition: after}}]})
    ends_there = how in ("dropped", "widened")
    assert record(recorded).approved_services == (() if ends_there else (approval(TRAFFICKING),))
    assert ends(recorded) == ([ended("widened", OSH)] if ends_there else [])


@pytest.mark.parametrize(
    "change_of_service",
    [
        {"capacity": {"status": "waitlist", "updated_at": "2026-03-01T10:00:00Z", "maximum": 500}},
        {"areas": ["KG-GO"]},
        {"settlements": ["rural"]},
        {"eligibility": {"sexes": ["female"]}},
        {"languages": ["ky", "ru"], "always_open": True, "name": "Advice and shelter"},
        {"needs": [TRAFFICKING]},
    ],
    ids=["capacity", "fewer areas", "fewer settlements", "a condition", "languages", "fewer needs"],
)
def test_approval_outlasts_changes_that_reach_nobody_else(
    recorded: Directory, change_of_service: dict[str, Any]
) -> None:
    service = service_record(needs=NEEDS, areas=["KG", "KZ-10"])
    change(recorded, {"services": [service]})
    approve(recorded, COORDINATOR, OSH, "legal", [TRAFFICKING])
    change(recorded, {"services": [{**service, **change_of_service}]})
    assert record(recorded).approved_services == (approval(TRAFFICKING),)
    assert ends(recorded) == []


def change(directory: Directory, patch: dict[str, Any], editor: Editor = OSH_ITSELF) -> None:
    directory.entries.patch_organization(
        editor, OSH, patch, precondition=ANY_REVISION, admit=lambda one: admission.organization(one, NOON)
    )


@pytest.mark.parametrize(
    "needs",
    [
        ["protection.child_protection"],
        ["protection"],
        ["legal.wage_claim"],
        ["health"],
        [TRAFFICKING, "money"],
    ],
    ids=["not offered", "group not offered", "not sensitive", "group not sensitive", "one of two"],
)
def test_approval_for_a_need_that_cannot_be_approved_is_refused(
    recorded: Directory, needs: list[str]
) -> None:
    assert slug(approve, recorded, COORDINATOR, OSH, "legal", needs) == "invalid-submission"
    assert record(recorded).approved_services == ()


def test_approval_of_unknown_service_or_organization_is_refused(recorded: Directory) -> None:
    assert slug(approve, recorded, COORDINATOR, OSH, "unknown", [TRAFFICKING]) == "not-found"
    assert slug(approve, recorded, COORDINATOR, "kg.unknown", "legal", [TRAFFICKING]) == "not-found"
    assert (
        slug(recorded.service_approvals.withdraw, COORDINATOR, OSH, "unknown", WithdrawalOfApproval.other)
        == "not-found"
    )


def test_organization_cannot_approve_its_own_service(recorded: Directory) -> None:
    assert slug(approve, recorded, OSH, OSH, "legal", [TRAFFICKING]) == "forbidden"
    assert (
        slug(recorded.service_approvals.withdraw, OSH, OSH, "legal", WithdrawalOfApproval.other)
        == "forbidden"
    )


@pytest.mark.parametrize("unseen", [None, ANY_REVISION])
def test_approval_without_the_revision_that_was_read_is_refused(
    recorded: Directory, unseen: Precondition | None
) -> None:
    refused = slug(
        recorded.service_approvals.approve, COORDINATOR, OSH, "legal", [TRAFFICKING], precondition=unseen
    )
    assert refused == "precondition-required"
    assert record(recorded).approved_services == ()


def test_approval_of_a_record_that_changed_since_is_refused(recorded: Directory) -> None:
    changed = organization(services=[service_record(needs=NEEDS)], description="Changed.")
    recorded.entries.put_organization(OSH_ITSELF, changed, precondition=at_revision(1))
    stale = slug(approve, recorded, COORDINATOR, OSH, "legal", [TRAFFICKING], precondition=at_revision(1))
    assert stale == "precondition-failed"


def test_organization_cannot_write_its_own_approval(recorded: Directory) -> None:
    forged = {
        "approved_services": [
            {"service": "legal", "needs": [TRAFFICKING], "by": "x", "at": "2026-01-01T00:00:00Z"}
        ]
    }
    patch = recorded.entries.patch_organization
    assert slug(patch, OSH_ITSELF, OSH, forged, precondition=at_revision(1), admit=_admit) == "forbidden"
    assert record(recorded).approved_services == ()


def test_approval_covers_no_need_that_the_service_adds(recorded: Directory) -> None:
    approve(recorded, COORDINATOR, OSH, "legal", [TRAFFICKING])
    change(recorded, {"services": [service_record(needs=[*NEEDS, "health.tb"])]})
    assert record(recorded).approved_services == (approval(TRAFFICKING),)


def test_loaded_record_with_a_wider_service_loses_its_approval(recorded: Directory) -> None:
    approve(recorded, COORDINATOR, OSH, "legal", [TRAFFICKING])
    file = organization(services=[service_record(needs=NEEDS, areas=["KG", "KZ"])])
    recorded.entries.enter(Organization, [file], by="load")
    assert record(recorded).approved_services == ()
    assert ends(recorded) == [ended("widened", "load")]


def test_approval_that_a_loaded_record_drops_is_reported(recorded: Directory) -> None:
    approve(recorded, COORDINATOR, OSH, "legal", [TRAFFICKING])
    crisis = {**service_record(needs=NEEDS), "id": "crisis"}
    other = {**plain(approval(VIOLENCE)), "service": "crisis"}
    file = organization(services=[service_record(needs=NEEDS), crisis], approved_services=[other])
    recorded.entries.enter(Organization, [file], by="load")
    assert ends(recorded) == [ended("withdrawn", "load")]


def test_loaded_record_without_approvals_keeps_them(recorded: Directory) -> None:
    approve(recorded, COORDINATOR, OSH, "legal", [TRAFFICKING])
    file = organization(services=[service_record(needs=NEEDS)], description="From a file.")
    recorded.entries.enter(Organization, [file], by="load")
    assert record(recorded).description == "From a file."
    assert record(recorded).approved_services == (approval(TRAFFICKING),)


def _admit(document: object) -> Organization:
    assert isinstance(document, dict)
    return organization(**{name: value for name, value in document.items() if name != "id"})


# --- two persons -------------------------------------------------------------------------------


SECOND = Decider(id="kg.second", roles=frozenset({"coordinator"}))


@pytest.fixture
def guarded(recorded: Directory) -> Directory:
    """The same directory where two persons decide."""
    return Directory(recorded.database, policy=Policy.two_person)


def requested(directory: Directory) -> Approval:
    approval = approve(directory, COORDINATOR, OSH, "legal", [TRAFFICKING])
    assert isinstance(approval, Approval)
    return approval


def test_approval_by_one_of_two_persons_changes_nothing(guarded: Directory) -> None:
    approval = requested(guarded)
    assert (approval.kind, approval.subject, approval.organization) == ("service", f"{OSH}/legal", OSH)
    assert approval.change == {"organization": OSH, "service": "legal", "needs": [TRAFFICKING]}
    assert record(guarded).approved_services == ()


def test_second_person_completes_the_approval_and_is_on_record(guarded: Directory) -> None:
    guarded.approvals.approve(requested(guarded).id, SECOND)
    (approved,) = record(guarded).approved_services
    assert (approved.needs, approved.by) == ((TRAFFICKING,), SECOND.id)


@pytest.mark.parametrize(
    "decider",
    [
        Decider(id=COORDINATOR, roles=frozenset({"coordinator"})),
        Decider(id=OSH, roles=frozenset({"coordinator"})),
        Decider(id="kg.third", roles=frozenset({"auditor"})),
    ],
    ids=["the requester", "the organisation", "an auditor"],
)
def test_approval_by_the_wrong_second_person_is_refused(guarded: Directory, decider: Decider) -> None:
    assert slug(guarded.approvals.approve, requested(guarded).id, decider) == "forbidden"
    assert record(guarded).approved_services == ()


def test_request_is_stale_once_the_service_has_changed(guarded: Directory) -> None:
    approval = requested(guarded)
    wider = {"services": [service_record(needs=NEEDS, areas=["KG", "RU"])]}
    guarded.entries.patch_organization(OSH_ITSELF, OSH, wider, precondition=at_revision(1), admit=_admit)
    assert slug(guarded.approvals.approve, approval.id, SECOND) == "conflict"
    assert record(guarded).approved_services == ()


def test_request_survives_a_new_statement_of_capacity(guarded: Directory) -> None:
    approval = requested(guarded)
    full = {"status": "no_capacity", "updated_at": "2026-03-01T10:00:00Z"}
    beds = [{**full, "unit": "bed"}]
    busy = {"services": [service_record(needs=NEEDS, capacity=full, further_capacities=beds)]}
    guarded.entries.patch_organization(OSH_ITSELF, OSH, busy, precondition=at_revision(1), admit=_admit)
    guarded.approvals.approve(approval.id, SECOND)
    assert len(record(guarded).approved_services) == 1


def test_one_person_withdraws_an_approval(guarded: Directory) -> None:
    guarded.approvals.approve(requested(guarded).id, SECOND)
    guarded.service_approvals.withdraw(COORDINATOR, OSH, "legal", WithdrawalOfApproval.service_changed)
    assert record(guarded).approved_services == ()
