from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from contracts.errors import Refused
from contracts.part_id import part_id
from services.vault.domain.custody import (
    TRANSITIONS,
    Acceptance,
    Custody,
    CustodyEvent,
    CustodyState,
    Disposition,
    IllegalCustodyTransition,
    accept,
    arrive,
    become_part,
    disposition_of,
    follow,
    other_party,
    renew,
    replace_for_acceptor,
    revoke,
    split,
    step,
)

SENDER = "kg.osh-legal-aid"
ACCEPTOR = "ru.moscow-migrant-support"
STRANGER = "uz.tashkent-union"
ACCEPTANCE = Acceptance(organization=ACCEPTOR, message_id="m-1", correlation_id="c-1", traceparent=None)

LEGAL = [(state, event) for state, steps in TRANSITIONS.items() for event in steps]
ILLEGAL = sorted(set(product(CustodyState, CustodyEvent)) - set(LEGAL))


def custody(
    state: CustodyState = CustodyState.awaited, *, accepted: bool = False, receiver: str | None = None
) -> Custody:
    return Custody(
        referral_id="r-1",
        state=state,
        sender=SENDER,
        receiver=receiver,
        acceptance=ACCEPTANCE if accepted else None,
    )


def test_table_has_row_for_every_state() -> None:
    assert set(TRANSITIONS) == set(CustodyState)


@pytest.mark.parametrize(("state", "event"), LEGAL)
def test_legal_event_changes_state_only(state: CustodyState, event: CustodyEvent) -> None:
    before = custody(state, accepted=True)
    after = step(before, event)
    assert after.state is TRANSITIONS[state][event]
    assert (after.sender, after.acceptance) == (before.sender, before.acceptance)


@pytest.mark.parametrize(("state", "event"), ILLEGAL)
def test_illegal_event_raises_and_changes_nothing(state: CustodyState, event: CustodyEvent) -> None:
    before = custody(state)
    with pytest.raises(IllegalCustodyTransition):
        step(before, event)
    assert before == custody(state)


def test_only_held_case_can_be_released() -> None:
    assert [state for state, steps in TRANSITIONS.items() if CustodyEvent.release in steps] == [
        CustodyState.held
    ]


def test_erased_and_refused_are_final_states() -> None:
    for state in (CustodyState.erased, CustodyState.refused):
        assert set(TRANSITIONS[state].values()) == {state}


def test_open_and_erased_states_can_be_closed() -> None:
    for state in (
        CustodyState.awaited,
        CustodyState.held,
        CustodyState.released,
        CustodyState.erased,
    ):
        assert TRANSITIONS[state][CustodyEvent.closing] is CustodyState.erased


@pytest.mark.parametrize("state", [CustodyState.awaited, CustodyState.held])
def test_second_acceptance_raises(state: CustodyState) -> None:
    accepted = accept(custody(state), SENDER, ACCEPTANCE)
    other = Acceptance(organization=STRANGER, message_id="m-2", correlation_id="c-1", traceparent=None)
    with pytest.raises(IllegalCustodyTransition):
        accept(accepted, SENDER, other)
    assert accepted.acceptance == ACCEPTANCE


@pytest.mark.parametrize("state", CustodyState)
def test_case_stays_unless_held_and_accepted(state: CustodyState) -> None:
    assert disposition_of(custody(state)) is Disposition.stay
    accepted = disposition_of(custody(state, accepted=True))
    assert accepted is (Disposition.reseal if state is CustodyState.held else Disposition.stay)


def test_disposition_depends_on_receiver_of_sealed_case() -> None:
    held = custody(CustodyState.held, accepted=True)
    assert disposition_of(held) is Disposition.reseal
    assert disposition_of(custody(CustodyState.held, accepted=True, receiver=ACCEPTOR)) is Disposition.forward
    assert disposition_of(custody(CustodyState.held, accepted=True, receiver=STRANGER)) is Disposition.request


def test_acceptance_and_arrival_commute() -> None:
    first = arrive(accept(Custody(referral_id="r-1"), SENDER, ACCEPTANCE), SENDER, None, "kid")
    second = accept(arrive(Custody(referral_id="r-1"), SENDER, None, "kid"), SENDER, ACCEPTANCE)
    assert first == second
    assert disposition_of(first) is Disposition.reseal


def test_receiver_of_note_is_other_party() -> None:
    released = custody(CustodyState.released, accepted=True)
    assert other_party(released, SENDER) == ACCEPTOR
    assert other_party(released, ACCEPTOR) == SENDER


def test_note_has_no_receiver_before_acceptance() -> None:
    assert other_party(custody(), SENDER) is None
    assert other_party(Custody(referral_id="r-1"), SENDER) is None


@pytest.mark.parametrize("state", [CustodyState.released, CustodyState.erased, CustodyState.refused])
def test_note_by_non_party_is_refused_alike_before_and_after_the_end(state: CustodyState) -> None:
    with pytest.raises(Refused) as refused:
        other_party(custody(state, accepted=True), STRANGER)
    assert refused.value.slug == "not-a-party"


@pytest.mark.parametrize("state", [CustodyState.erased, CustodyState.refused])
def test_note_on_closed_referral_is_refused(state: CustodyState) -> None:
    with pytest.raises(Refused) as refused:
        other_party(custody(state, accepted=True), SENDER)
    assert refused.value.slug == "not-in-this-state"


WHOLE = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a01"
PARTS = (part_id(WHOLE, 1), part_id(WHOLE, 2))


def whole(state: CustodyState = CustodyState.held) -> Custody:
    return replace(custody(state), referral_id=WHOLE, kid="kid")


@pytest.mark.parametrize("state", [one for one in CustodyState if one is not CustodyState.released])
def test_parts_take_the_state_of_the_whole_and_have_no_case(state: CustodyState) -> None:
    parted = split(whole(state), SENDER, PARTS)
    assert (parted.state, parted.part_ids) == (state, PARTS)
    part = become_part(Custody(referral_id=PARTS[0]), parted)
    assert (part.state, part.part_of, part.case_of, part.sender) == (state, WHOLE, WHOLE, SENDER)
    assert follow(part, parted) == part


@pytest.mark.parametrize(
    "before",
    [
        replace(whole(), acceptance=ACCEPTANCE),
        replace(whole(CustodyState.released), acceptance=ACCEPTANCE),
        replace(whole(), parts=2),
        replace(whole(), part_of="r-2"),
        replace(whole(), sender=STRANGER),
    ],
    ids=["accepted", "released", "split before", "a part", "of another sender"],
)
def test_custody_with_another_role_is_not_split(before: Custody) -> None:
    with pytest.raises(IllegalCustodyTransition):
        split(before, SENDER, PARTS)


def test_parts_whose_ids_do_not_follow_from_the_whole_are_refused() -> None:
    for ids in (tuple(reversed(PARTS)), (PARTS[0], REFERRAL_OF_OTHERS)):
        with pytest.raises(IllegalCustodyTransition):
            split(whole(), SENDER, ids)


REFERRAL_OF_OTHERS = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a99"


@pytest.mark.parametrize(
    "taken",
    [
        arrive(Custody(referral_id=PARTS[0]), STRANGER, None, "kid"),
        Custody(referral_id=PARTS[0], part_of="r-2"),
        Custody(referral_id=PARTS[0], parts=2),
    ],
    ids=["with a case of its own", "part of another", "split itself"],
)
def test_custody_with_a_case_or_a_role_of_its_own_becomes_no_part(taken: Custody) -> None:
    with pytest.raises(IllegalCustodyTransition):
        become_part(taken, split(whole(), SENDER, PARTS))


def test_whole_that_was_split_is_never_accepted() -> None:
    with pytest.raises(IllegalCustodyTransition):
        accept(split(whole(), SENDER, PARTS), SENDER, ACCEPTANCE)


def test_part_follows_the_arrival_the_refusal_and_the_end_of_the_whole() -> None:
    awaited = split(whole(CustodyState.awaited), SENDER, PARTS)
    part = become_part(Custody(referral_id=PARTS[0]), awaited)
    accepted = accept(part, SENDER, ACCEPTANCE)
    arrived = follow(accepted, arrive(awaited, SENDER, None, "kid"))
    assert (arrived.state, arrived.kid, disposition_of(arrived)) == (
        CustodyState.held,
        "kid",
        Disposition.reseal,
    )
    assert follow(part, step(awaited, CustodyEvent.refusal)).state is CustodyState.refused
    released = step(arrived, CustodyEvent.release)
    assert follow(released, whole(CustodyState.held)) == released
    assert follow(released, whole(CustodyState.erased)).state is CustodyState.erased


def test_part_that_has_ended_stays_so_when_the_case_arrives() -> None:
    awaited = split(whole(CustodyState.awaited), SENDER, PARTS)
    ended = step(become_part(Custody(referral_id=PARTS[0]), awaited), CustodyEvent.closing)
    assert follow(ended, arrive(awaited, SENDER, None, "kid")) == ended


def test_replacement_for_an_acceptor_leaves_nothing_that_the_next_acceptor_could_get() -> None:
    released = custody(CustodyState.released, accepted=True)
    replaced = replace_for_acceptor(released, SENDER, ACCEPTOR, "other")
    assert (replaced.state, replaced.receiver, replaced.kid) == (CustodyState.released, ACCEPTOR, "other")
    following = accept(
        revoke(replaced, ACCEPTOR, "offer-1"), SENDER, replace(ACCEPTANCE, organization=STRANGER)
    )
    assert disposition_of(following) is Disposition.request
    assert replace_for_acceptor(following, SENDER, STRANGER, "third").state is CustodyState.released


@pytest.mark.parametrize("state", CustodyState)
def test_case_in_custody_is_renewed_while_the_vault_has_one(state: CustodyState) -> None:
    before = custody(state, accepted=True, receiver=ACCEPTOR)
    if state in (CustodyState.held, CustodyState.released):
        after = renew(before, SENDER, "new")
        assert (after.receiver, after.kid) == (None, "new")
        assert disposition_of(after) is Disposition.reseal
        with pytest.raises(Refused, match="Only the sender"):
            renew(before, ACCEPTOR, "new")
    else:
        with pytest.raises(Refused, match="no replaceable case"):
            renew(before, SENDER, "new")
