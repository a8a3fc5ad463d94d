"""The approval of a change: every state and step, and who may take which."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from contracts.codes import ApprovalKind
from contracts.errors import Refused
from services.directory.domain.approval import (
    APPROVERS,
    REFUSALS,
    TRANSITIONS,
    Approval,
    ApprovalStep,
    Decider,
    Policy,
    State,
    granted,
    refused,
)
from tests.unit.services.directory.samples import NOON, OSH

SECOND = Decider(id="kg.second", roles=frozenset({"operator"}))
APPROVAL = Approval(
    id="01930f6f-0a00-7000-8000-00000000a003",
    kind=ApprovalKind.sealing_key,
    subject=OSH,
    concerned=OSH,
    organization=OSH,
    change={},
    digest="0f" * 32,
    basis="revision 3",
    requested_by="kg.operator",
    requested_at=NOON,
    expires_at=NOON + dt.timedelta(days=7),
)


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("step", list(ApprovalStep))
def test_step_follows_transition_table(state: State, step: ApprovalStep) -> None:
    approval = replace(APPROVAL, state=state)
    if step in TRANSITIONS[state]:
        taken = approval.step(step, by="kg.second", at=NOON)
        by = (
            (taken.endorsed_by, taken.endorsed_at)
            if step is ApprovalStep.endorse
            else (taken.decided_by, taken.decided_at)
        )
        assert (taken.state, *by) == (TRANSITIONS[state][step], "kg.second", NOON)
    else:
        with pytest.raises(Refused) as refusal:
            approval.step(step, by="kg.second", at=NOON)
        assert refusal.value.slug == "conflict"


def test_every_end_without_effect_has_a_reason() -> None:
    ends = {state for state, steps in TRANSITIONS.items() if not steps}
    assert REFUSALS.keys() == ends - {State.granted}
    assert APPROVERS.keys() == set(ApprovalKind)


def test_second_person_grants_a_request_on_an_unchanged_record() -> None:
    assert granted(APPROVAL, SECOND, basis="revision 3", at=NOON).state is State.granted


def test_request_of_a_partner_for_itself_needs_two_members_of_the_staff() -> None:
    own = replace(APPROVAL, requested_by=OSH)
    endorsed = granted(own, SECOND, basis="revision 3", at=NOON)
    assert (endorsed.state, endorsed.endorsed_by, endorsed.decided_by) == (State.requested, SECOND.id, None)
    with pytest.raises(Refused) as refusal:
        granted(endorsed, SECOND, basis="revision 3", at=NOON)
    assert refusal.value.slug == "forbidden"
    third = Decider(id="kg.third", roles=frozenset({"operator"}))
    decided = granted(endorsed, third, basis="revision 3", at=NOON)
    assert (decided.state, decided.endorsed_by, decided.decided_by) == (State.granted, SECOND.id, third.id)


def test_endorsed_request_still_expires_and_becomes_stale() -> None:
    endorsed = granted(replace(APPROVAL, requested_by=OSH), SECOND, basis="revision 3", at=NOON)
    third = Decider(id="kg.third", roles=frozenset({"operator"}))
    assert granted(endorsed, third, basis="revision 4", at=NOON).state is State.stale
    assert granted(endorsed, third, basis="revision 3", at=endorsed.expires_at).state is State.expired


def test_request_of_a_partner_takes_one_member_of_the_staff_where_one_person_decides() -> None:
    own = replace(APPROVAL, requested_by=OSH)
    assert granted(own, SECOND, basis="revision 3", at=NOON, policy=Policy.one_person).state is State.granted


def test_request_on_a_changed_record_becomes_stale() -> None:
    assert granted(APPROVAL, SECOND, basis="revision 4", at=NOON).state is State.stale


def test_request_expires_when_its_time_is_over() -> None:
    late = APPROVAL.expires_at
    assert APPROVAL.shown_at(late) is State.expired
    assert APPROVAL.shown_at(late - dt.timedelta(microseconds=1)) is State.requested
    assert granted(APPROVAL, SECOND, basis="revision 3", at=late).state is State.expired
    assert refused(APPROVAL, SECOND, at=late).state is State.expired


@pytest.mark.parametrize(
    "decider",
    [
        Decider(id="kg.operator", roles=frozenset({"operator"})),
        Decider(id=OSH, roles=frozenset({"operator"})),
        Decider(id="kg.someone", roles=frozenset({"auditor", "partner"})),
        Decider(id="kg.coordinator", roles=frozenset({"coordinator"})),
    ],
)
def test_requester_beneficiary_and_other_roles_cannot_approve(decider: Decider) -> None:
    with pytest.raises(Refused) as refusal:
        granted(APPROVAL, decider, basis="revision 3", at=NOON)
    assert refusal.value.slug == "forbidden"


def test_coordinator_approves_services_only() -> None:
    coordinator = Decider(id="kg.coordinator", roles=frozenset({"coordinator"}))
    service = replace(APPROVAL, kind=ApprovalKind.service)
    assert granted(service, coordinator, basis="revision 3", at=NOON).state is State.granted
    kinds = {kind for kind, roles in APPROVERS.items() if "coordinator" in roles}
    assert kinds == {ApprovalKind.service}


def test_requester_withdraws_and_approver_refuses_but_nobody_else_does() -> None:
    for decider in (SECOND, Decider(id="kg.operator", roles=frozenset())):
        assert refused(APPROVAL, decider, at=NOON).state is State.refused
    with pytest.raises(Refused) as refusal:
        refused(APPROVAL, Decider(id="kg.other", roles=frozenset({"partner"})), at=NOON)
    assert refusal.value.slug == "forbidden"
