"""Splitting a referral into parts, and how the ends of the parts and of the whole follow from each other."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pytest

from contracts.codes import (
    CONSENT_REVOKED,
    Answer,
    CapacityStatus,
    CoordinatorAct,
    DeclineReason,
    DisclosureClass,
    HandBackReason,
    InterventionReason,
    Outcome,
    ReferralStatus,
    WithdrawalReason,
)
from contracts.facts import (
    AnswerRefused,
    AnswerSubmitted,
    CaseRefused,
    CoordinatorWithdrawalSubmitted,
    Fact,
    HandBackSubmitted,
    InterventionRefused,
    InterventionSubmitted,
    OfferAccepted,
    OfferDeclined,
    OfferOpened,
    OfferRevoked,
    PartOpened,
    PlacementRefused,
    PlacementSubmitted,
    ReferralAcceptorDeclinedPart,
    ReferralCompleted,
    ReferralFailed,
    ReferralRejoined,
    ReferralSplit,
    ReferralSubmitted,
    ReferralUnplaced,
    ReferralWithdrawn,
    RevocationSubmitted,
    SubmissionRefused,
    WithdrawalSubmitted,
)
from contracts.organization import ApprovedService, Capacity, Organization
from contracts.part_id import part_id
from contracts.records import dump, plain
from services.routing.domain.decision import Trigger
from services.routing.domain.lifecycle import act_when_due, apply
from services.routing.domain.observation import load_between
from services.routing.domain.offer import ALREADY_EXPIRED, Offer
from services.routing.domain.open_offers import ask_again
from services.routing.domain.recomputation import made_again
from services.routing.domain.referral import Referral
from services.routing.domain.split_ends import ended_by, outcome_of
from services.routing.domain.view import referral_view
from services.routing.domain.withdrawn_offers import withdrawn_between
from tests.support.events import message_of
from tests.unit.services.routing.families import LEGAL, SHELTER, WORK, Families
from tests.unit.services.routing.samples import (
    NOW,
    REFERRAL,
    SENDER,
    agreement,
    facts,
    network,
    organization,
    service,
)

HIV = "health.hiv"
ONWARD = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a99"


def helping(name: str, *needs: str) -> Organization:
    return organization(name, service(needs=needs))


def families(*receivers: Organization) -> Families:
    return Families(network(*receivers))


@pytest.fixture
def two() -> Families:
    """A referral with two needs, which two organisations cover."""
    family = families(helping("ru.legal", LEGAL), helping("ru.home", SHELTER))
    family.submit(LEGAL, SHELTER)
    return family


def of_type(published: Sequence[tuple[str, Fact]], kind: type) -> list[str]:
    return [referral_id for referral_id, fact in published if isinstance(fact, kind)]


def test_needs_of_two_organizations_are_split_and_each_part_is_offered() -> None:
    family = families(helping("ru.legal", LEGAL), helping("ru.home", SHELTER))

    whole = family.submit(LEGAL, SHELTER)

    assert (whole.status, whole.offers, whole.due_at) == (ReferralStatus.split, (), None)
    first, second = family.parts
    assert (first.id, second.id) == (part_id(REFERRAL, 1), part_id(REFERRAL, 2))
    assert [part.facts.needs for part in family.parts] == [(LEGAL,), (SHELTER,)]
    assert [part.status for part in family.parts] == [ReferralStatus.offered] * 2
    assert [offer.organization for part in family.parts for offer in part.offers] == ["ru.legal", "ru.home"]
    assert first.facts == replace(whole.facts, needs=(LEGAL,))
    assert (first.sender, first.submitted_at) == (whole.sender, whole.submitted_at)
    split = family.facts[0][1]
    assert isinstance(split, ReferralSplit)
    assert split.parts == (first.id, second.id)
    assert [(referral_id, type(fact)) for referral_id, fact in family.facts[1:]] == [
        (first.id, PartOpened),
        (first.id, OfferOpened),
        (second.id, PartOpened),
        (second.id, OfferOpened),
    ]
    assert [fact.part_of for _, fact in family.facts if isinstance(fact, PartOpened)] == [REFERRAL] * 2
    # The offer of a part shows its own needs alone.
    assert [fact.facts.needs for _, fact in family.facts if isinstance(fact, OfferOpened)] == [
        (LEGAL,),
        (SHELTER,),
    ]


def test_referral_stays_whole_without_the_persons_permission() -> None:
    family = families(helping("ru.legal", LEGAL), helping("ru.home", SHELTER))
    whole = family.submit(LEGAL, SHELTER, several=False)
    assert (whole.status, whole.parts) == (ReferralStatus.offered, 0)


def test_referral_stays_whole_if_one_organization_covers_all_needs() -> None:
    family = families(helping("ru.legal", LEGAL), helping("ru.both", LEGAL, SHELTER))
    whole = family.submit(LEGAL, SHELTER)
    assert (whole.status, whole.parts) == (ReferralStatus.offered, 0)


def test_referral_to_a_named_organization_stays_whole() -> None:
    family = families(helping("ru.legal", LEGAL), helping("ru.home", SHELTER))
    whole = family.submit(LEGAL, SHELTER, to="ru.legal")
    assert (whole.status, whole.parts) == (ReferralStatus.offered, 0)


def test_referral_about_which_nobody_can_be_asked_stays_whole() -> None:
    family = families(helping("ru.work", WORK))
    whole = family.submit(LEGAL, SHELTER)
    assert (whole.status, whole.parts) == (ReferralStatus.unplaced, 0)


def test_repeated_need_is_one_need_and_the_referral_stays_whole() -> None:
    family = families(helping("ru.legal", LEGAL))
    assert family.submit(LEGAL, LEGAL).parts == 0


def test_part_that_nobody_can_take_goes_to_the_coordinators_while_the_other_is_offered() -> None:
    family = families(helping("ru.legal", LEGAL))
    family.submit(LEGAL, SHELTER)
    assert [part.status for part in family.parts] == [ReferralStatus.offered, ReferralStatus.unplaced]
    assert of_type(family.facts, ReferralUnplaced) == [part_id(REFERRAL, 2)]


def test_whole_is_split_once_its_only_full_candidate_has_declined_and_that_one_is_not_asked_again() -> None:
    family = families(
        helping("ru.both", LEGAL, SHELTER), helping("ru.legal", LEGAL), helping("ru.home", SHELTER)
    )
    whole = family.submit(LEGAL, SHELTER)
    (offer,) = whole.open_offers
    assert offer.organization == "ru.both"
    family.apply(
        AnswerSubmitted(
            referral_id=REFERRAL,
            offer_id=offer.id,
            organization="ru.both",
            answer=Answer.decline,
            reason=DeclineReason.other,
        )
    )
    assert family.whole.status is ReferralStatus.split
    assert [part.open_offers[0].organization for part in family.parts] == ["ru.legal", "ru.home"]
    assert all(part.part is not None and part.part.asked == ("ru.both",) for part in family.parts)
    recorded = family.decisions[-1]
    assert recorded.inputs.asked == ("ru.both",)


@pytest.fixture
def expired() -> tuple[Families, AnswerSubmitted]:
    """A referral whose last offer expired, so that it was split, and an acceptance of that offer in time."""
    family = families(
        helping("ru.both", LEGAL, SHELTER), helping("ru.legal", LEGAL), helping("ru.home", SHELTER)
    )
    (offer,) = family.submit(LEGAL, SHELTER).open_offers
    family.now = offer.deadline
    family.take(act_when_due(family.whole, offer.id, offer.deadline, family.context()))
    assert family.whole.status is ReferralStatus.split
    family.now = offer.opened_at
    accepted = AnswerSubmitted(
        referral_id=REFERRAL, offer_id=offer.id, organization="ru.both", answer=Answer.accept
    )
    return family, accepted


def test_acceptance_in_time_that_is_read_after_the_split_makes_the_referral_whole_again(
    expired: tuple[Families, AnswerSubmitted],
) -> None:
    family, accepted = expired
    published = family.apply(accepted)
    assert (family.whole.status, family.whole.acceptor) == (ReferralStatus.accepted, "ru.both")
    assert family.whole.due_at is not None
    first, second = family.parts
    assert [part.status for part in family.parts] == [ReferralStatus.withdrawn] * 2
    assert not any(part.open_offers for part in family.parts)
    assert [(referral_id, type(fact)) for referral_id, fact in published] == [
        (REFERRAL, ReferralRejoined),
        (REFERRAL, OfferAccepted),
        (first.id, OfferRevoked),
        (first.id, ReferralWithdrawn),
        (second.id, OfferRevoked),
        (second.id, ReferralWithdrawn),
    ]


def test_late_acceptance_is_refused_once_a_part_has_an_acceptor_or_has_ended(
    expired: tuple[Families, AnswerSubmitted],
) -> None:
    family, accepted = expired
    family.accept(family.parts[0])
    before = dict(family.referrals)
    ((_, refused),) = family.apply(accepted)
    assert isinstance(refused, AnswerRefused)
    # It says neither that there are parts nor that somebody accepted one.
    assert refused.problem["detail"] == ALREADY_EXPIRED
    assert family.referrals == before


def test_timely_decline_read_after_the_split_is_reported_and_changes_no_part(
    expired: tuple[Families, AnswerSubmitted],
) -> None:
    family, accepted = expired
    parts = family.parts
    declined = replace(accepted, answer=Answer.decline, reason=DeclineReason.other)
    ((_, told),) = family.apply(declined)
    assert isinstance(told, OfferDeclined)
    assert (family.whole.status, family.parts) == (ReferralStatus.split, parts)


@pytest.mark.parametrize("read_late", [False, True])
def test_organization_that_was_full_for_the_whole_is_asked_about_a_part_once_it_has_room(
    read_late: bool,
) -> None:
    """It may be the only one that meets the need of the part."""
    family = families(helping("ru.both", LEGAL, SHELTER), helping("ru.legal", LEGAL))
    (offer,) = family.submit(LEGAL, SHELTER).open_offers
    assert offer.organization == "ru.both"
    if read_late:
        family.now = offer.deadline
        family.take(act_when_due(family.whole, offer.id, offer.deadline, family.context()))
        family.now = offer.opened_at
    family.apply(declining(offer, DeclineReason.no_capacity))
    part = family.parts[1]
    assert (part.facts.needs, part.status) == ((SHELTER,), ReferralStatus.unplaced)

    def status_with_room(stated_at: dt.datetime) -> ReferralStatus:
        room = Capacity(status=CapacityStatus.capacity, updated_at=stated_at)
        family.directory.put_organization(
            organization("ru.both", service(needs=(LEGAL, SHELTER), capacity=room))
        )
        family.take(ask_again(family.parts[1], family.context(), Trigger.directory_changed))
        return family.parts[1].status

    full_for = family.policy.counts_as_full(part.facts.urgency)
    family.now += full_for
    assert status_with_room(offer.opened_at) is ReferralStatus.unplaced
    assert status_with_room(family.now) is ReferralStatus.offered
    assert [one.organization for one in family.parts[1].open_offers] == ["ru.both"]
    family.apply(declining(family.parts[1].open_offers[0], DeclineReason.other), part.id)
    family.now += full_for
    assert status_with_room(family.now) is ReferralStatus.unplaced


def test_late_decline_of_the_whole_for_the_person_excludes_the_organization_from_all_parts(
    expired: tuple[Families, AnswerSubmitted],
) -> None:
    family, accepted = expired
    first, second = family.parts
    placed = PlacementSubmitted(
        referral_id=second.id,
        organization="ru.both",
        coordinator="kg.coordinator",
        reason=InterventionReason.other,
    )
    family.apply(placed, second.id)
    assert [offer.organization for offer in family.parts[1].open_offers] == ["ru.both"]
    family.apply(replace(accepted, answer=Answer.decline, reason=DeclineReason.conflict_of_interest))
    assert [part.left_out for part in family.parts] == [{"ru.both": "conflict_of_interest"}] * 2
    # The offer that a coordinator had placed ends, and the next candidate is asked, if there is one.
    assert family.parts[1].open_offers == ()
    ((_, refused),) = family.apply(replace(placed, referral_id=first.id), first.id)
    assert isinstance(refused, PlacementRefused)
    assert "not_declined_for_person" in refused.problem["detail"]


def test_referral_that_rejoined_is_not_split_again_and_its_parts_stay_ended(
    expired: tuple[Families, AnswerSubmitted],
) -> None:
    family, accepted = expired
    family.apply(accepted)
    parts = family.parts
    family.apply(
        HandBackSubmitted(referral_id=REFERRAL, organization="ru.both", reason=HandBackReason.no_capacity)
    )
    assert family.whole.status is ReferralStatus.offered
    assert family.parts == parts


def test_decision_about_a_part_can_be_made_again_from_its_record() -> None:
    family = families(helping("ru.legal", LEGAL), helping("ru.home", SHELTER))
    family.submit(LEGAL, SHELTER)
    for part, decision in zip(family.parts, family.decisions, strict=True):
        again = made_again(
            plain(decision),
            sender=SENDER,
            facts=part.facts,
            policy=family.policy,
            directory=family.directory,
        )
        assert dump(again) == dump(decision)


def test_organization_without_approval_for_a_need_of_the_whole_is_asked_about_no_part() -> None:
    """It would receive the case, which contains the sensitive need too."""
    approved = ApprovedService(service="legal", needs=(HIV,), by="kg.coordinator", at=NOW)
    clinic = organization("ru.clinic", service(needs=(HIV,)), approved_services=(approved,))
    family = Families(
        network(
            helping("ru.legal", LEGAL),
            clinic,
            agreements=(agreement(needs=(), disclosure=DisclosureClass.sensitive),),
        )
    )
    family.submit(LEGAL, HIV)
    assert [part.status for part in family.parts] == [ReferralStatus.unplaced, ReferralStatus.offered]
    assert [offer.organization for part in family.parts for offer in part.offers] == ["ru.clinic"]
    refused = family.apply(
        PlacementSubmitted(
            referral_id=family.parts[0].id, organization="ru.legal", coordinator="kg.coordinator", reason=None
        ),
        family.parts[0].id,
    )
    assert [type(fact) for _, fact in refused] == [PlacementRefused]
    assert "service not approved" in refused[0][1].problem["detail"]  # type: ignore[attr-defined]


def test_part_of_several_needs_is_offered_only_to_those_that_meet_all_of_them() -> None:
    family = families(
        helping("ru.a-first", LEGAL), helping("ru.legal-home", LEGAL, SHELTER), helping("ru.work", WORK)
    )
    family.submit(LEGAL, SHELTER, WORK)
    assert [part.facts.needs for part in family.parts] == [(LEGAL, SHELTER), (WORK,)]
    (first,) = family.parts[0].offers
    assert first.organization == "ru.legal-home"
    excluded = {one.organization: [f.rule for f in one.failures] for one in family.decisions[0].candidates}
    assert excluded["ru.a-first"] == ["need_met"]
    family.apply(
        AnswerSubmitted(
            referral_id=first.referral_id,
            offer_id=first.id,
            organization="ru.legal-home",
            answer=Answer.decline,
            reason=DeclineReason.other,
        ),
        first.referral_id,
    )
    assert family.parts[0].status is ReferralStatus.unplaced


@pytest.mark.parametrize("handed_back", [False, True], ids=["declined", "handed back"])
@pytest.mark.parametrize(
    ("reason", "is_left_out"), [("conflict_of_interest", True), ("language", False), ("no_capacity", False)]
)
def test_organization_that_may_not_help_the_person_is_asked_about_no_other_part(
    reason: str, is_left_out: bool, handed_back: bool
) -> None:
    """Every part has the one case of the one person. Both organisations could take either part."""
    family = families(helping("ru.one", LEGAL, SHELTER), helping("ru.two", WORK))
    family.submit(LEGAL, SHELTER, WORK)
    first, second = family.parts
    family.directory.put_organization(helping("ru.two", WORK, LEGAL, SHELTER))
    family.directory.put_organization(helping("ru.one", LEGAL, SHELTER, WORK))
    (offer,) = second.open_offers
    assert offer.organization == "ru.two"
    family.apply(declining(offer, DeclineReason.other), second.id)
    assert [one.organization for one in family.parts[1].open_offers] == ["ru.one"]
    (offer,) = first.open_offers
    assert offer.organization == "ru.one"
    if handed_back:
        family.accept(first)
        family.apply(
            HandBackSubmitted(referral_id=first.id, organization="ru.one", reason=HandBackReason(reason)),
            first.id,
        )
    else:
        family.apply(declining(offer, DeclineReason(reason)), first.id)
    assert [one.organization for one in family.parts[1].open_offers] == ([] if is_left_out else ["ru.one"])
    assert family.parts[1].left_out == ({"ru.one": reason} if is_left_out else {})
    if is_left_out:
        placed = PlacementSubmitted(
            referral_id=second.id,
            organization="ru.one",
            coordinator="kg.coordinator",
            reason=InterventionReason.other,
        )
        ((_, refused),) = family.apply(placed, second.id)
        assert isinstance(refused, PlacementRefused)
        assert "not_declined_for_person" in refused.problem["detail"]


def conflicted_family() -> tuple[Families, Offer]:
    """A referral that was split after the offer of the whole expired; return that offer too."""
    family = families(
        helping("ru.both", LEGAL, SHELTER), helping("ru.legal", LEGAL), helping("ru.home", SHELTER)
    )
    (offer,) = family.submit(LEGAL, SHELTER).open_offers
    family.now = offer.deadline
    family.take(act_when_due(family.whole, offer.id, offer.deadline, family.context()))
    return family, offer


def test_offers_of_parts_that_end_because_the_whole_is_accepted_do_not_count_as_withdrawn() -> None:
    family, offer = conflicted_family()
    before = family.parts
    (lost,) = before[0].open_offers
    family.now = offer.opened_at
    published = family.apply(
        AnswerSubmitted(referral_id=REFERRAL, offer_id=offer.id, organization="ru.both", answer=Answer.accept)
    )
    assert all(part.status is ReferralStatus.withdrawn for part in family.parts)
    for part, after in zip(before, family.parts, strict=True):
        assert withdrawn_between(part, after) == {}
        assert load_between(part, after)
    revoked = [fact for _, fact in published if isinstance(fact, OfferRevoked)]
    assert {(one.organization, one.reason) for one in revoked} == {
        (lost.organization, "accepted_elsewhere"),
        ("ru.home", "accepted_elsewhere"),
    }


def test_offers_of_parts_that_their_sender_withdraws_count_as_withdrawn() -> None:
    family, _ = conflicted_family()
    before = family.parts
    family.apply(
        WithdrawalSubmitted(
            referral_id=REFERRAL, organization=SENDER, reason=WithdrawalReason.placed_elsewhere
        )
    )
    counted = [withdrawn_between(part, after) for part, after in zip(before, family.parts, strict=True)]
    assert [list(one) for one in counted] == [["ru.legal"], ["ru.home"]]


def test_rejoined_referral_is_not_offered_to_an_organization_that_declined_a_part_for_the_person() -> None:
    family, offer = conflicted_family()
    (asked,) = family.parts[0].open_offers
    assert asked.organization == "ru.legal"
    family.apply(declining(asked, DeclineReason.conflict_of_interest), family.parts[0].id)
    family.now = offer.opened_at
    family.apply(
        AnswerSubmitted(referral_id=REFERRAL, offer_id=offer.id, organization="ru.both", answer=Answer.accept)
    )
    assert family.whole.status is ReferralStatus.accepted
    back = HandBackReason.no_capacity
    family.apply(HandBackSubmitted(referral_id=REFERRAL, organization="ru.both", reason=back))
    assert family.whole.open_offers == ()
    assert family.whole.left_out == {"ru.legal": "conflict_of_interest"}


def test_coordinators_learn_of_an_acceptor_that_declines_another_part_for_the_person() -> None:
    family = families(helping("ru.one", LEGAL, SHELTER), helping("ru.two", WORK))
    family.submit(LEGAL, SHELTER, WORK)
    first, second = family.parts
    family.directory.put_organization(helping("ru.one", LEGAL, SHELTER, WORK))
    family.apply(declining(second.open_offers[0], DeclineReason.other), second.id)
    assert family.accept(second) == "ru.one"
    told = family.apply(declining(first.open_offers[0], DeclineReason.conflict_of_interest), first.id)
    assert (
        second.id,
        ReferralAcceptorDeclinedPart(
            referral_id=second.id,
            sender=SENDER,
            organization="ru.one",
            reason=DeclineReason.conflict_of_interest,
        ),
    ) in told
    assert family.parts[1].acceptor == "ru.one"


def test_offer_that_a_coordinator_placed_ends_when_its_holder_declines_another_part_for_the_person() -> None:
    family, _ = conflicted_family()
    first, second = family.parts
    family.directory.put_organization(helping("ru.both", LEGAL, SHELTER))
    for part in (first, second):
        placed = PlacementSubmitted(
            referral_id=part.id,
            organization="ru.both",
            coordinator="kg.coordinator",
            reason=InterventionReason.other,
        )
        family.apply(placed, part.id)
        assert [one.organization for one in family.referrals[part.id].open_offers][-1] == "ru.both"
    offer = family.parts[0].open_offers[-1]
    family.apply(declining(offer, DeclineReason.conflict_of_interest), first.id)
    assert "ru.both" not in [one.organization for one in family.parts[1].open_offers]


def test_chain_of_an_onward_referral_from_a_part_names_every_holder_of_the_family() -> None:
    family = families(
        helping("ru.both", LEGAL, SHELTER), helping("ru.legal", LEGAL), helping("ru.home", SHELTER)
    )
    family.submit(LEGAL, SHELTER)
    family.accept(family.whole)
    back = HandBackReason.person_prefers_another
    family.apply(HandBackSubmitted(referral_id=REFERRAL, organization="ru.both", reason=back))
    for part in family.parts:
        family.accept(part)
    onward = message_of(
        ReferralSubmitted(
            referral_id=ONWARD, sender="ru.legal", facts=facts(needs=(LEGAL,)), onward_from=family.parts[0].id
        ),
        ONWARD,
        time=family.now,
        id_=family.new_id(),
    )
    step = apply(None, onward, family.context())
    assert step.referral is not None
    assert step.referral.chain is not None
    assert set(step.referral.chain.holders) == {SENDER, "ru.both", "ru.legal", "ru.home"}


def declining(offer: Offer, reason: DeclineReason) -> AnswerSubmitted:
    return AnswerSubmitted(
        referral_id=offer.referral_id,
        offer_id=offer.id,
        organization=offer.organization,
        answer=Answer.decline,
        reason=reason,
    )


def test_unplaced_referral_is_split_when_an_organization_joins_that_takes_a_part(two: Families) -> None:
    family = families(helping("ru.work", WORK))
    family.submit(LEGAL, SHELTER)
    family.directory.put_organization(helping("ru.legal", LEGAL))
    family.take(ask_again(family.whole, family.context(), Trigger.directory_changed))
    assert family.whole.status is ReferralStatus.split
    assert [part.status for part in family.parts] == [ReferralStatus.offered, ReferralStatus.unplaced]


def test_part_is_not_split_again() -> None:
    family = families(helping("ru.one", LEGAL, SHELTER), helping("ru.work", WORK))
    family.submit(LEGAL, SHELTER, WORK)
    first = family.parts[0]
    assert first.facts.needs == (LEGAL, SHELTER)
    family.directory.put_organization(helping("ru.legal", LEGAL))
    (offer,) = first.open_offers
    decline = AnswerSubmitted(
        referral_id=first.id,
        offer_id=offer.id,
        organization=offer.organization,
        answer=Answer.decline,
        reason=DeclineReason.other,
    )
    family.apply(decline, first.id)
    assert family.parts[0].parts == 0


def test_whole_completes_with_its_last_part(two: Families) -> None:
    first, second = two.parts
    published = two.complete(first)
    assert of_type(published, ReferralCompleted) == [first.id]
    assert two.whole.status is ReferralStatus.split
    published = two.complete(second)
    assert of_type(published, ReferralCompleted) == [second.id, REFERRAL]
    completed = published[-1][1]
    assert isinstance(completed, ReferralCompleted)
    assert (completed.organization, completed.outcome) == (None, Outcome.resolved)
    assert (two.whole.status, two.whole.outcome) == (ReferralStatus.completed, Outcome.resolved)


@pytest.mark.parametrize("reason", list(WithdrawalReason))
def test_withdrawal_of_the_whole_ends_every_open_part_at_once(
    two: Families, reason: WithdrawalReason
) -> None:
    first, second = two.parts
    two.accept(first)
    published = two.apply(WithdrawalSubmitted(referral_id=REFERRAL, organization=SENDER, reason=reason))
    assert of_type(published, ReferralWithdrawn) == [REFERRAL, first.id, second.id]
    assert of_type(published, OfferRevoked) == [second.id]
    told = [fact.organization for _, fact in published if isinstance(fact, ReferralWithdrawn)]
    assert told == [None, "ru.legal", None]
    void = reason is WithdrawalReason.entered_in_error
    ended = ReferralStatus.entered_in_error if void else ReferralStatus.withdrawn
    assert {one.status for one in two.referrals.values()} == {ended}


def test_withdrawal_leaves_a_part_that_has_ended_as_it_is(two: Families) -> None:
    first, second = two.parts
    two.complete(first)
    published = two.apply(
        WithdrawalSubmitted(referral_id=REFERRAL, organization=SENDER, reason=WithdrawalReason.other)
    )
    assert of_type(published, ReferralWithdrawn) == [REFERRAL, second.id]
    assert two.parts[0].status is ReferralStatus.completed


def test_coordinator_who_withdraws_the_whole_withdraws_its_parts(two: Families) -> None:
    two.directory.put_organization(replace(organization(SENDER), services=(), active=False))
    published = two.apply(
        CoordinatorWithdrawalSubmitted(
            referral_id=REFERRAL, organization=SENDER, coordinator="kg.desk", reason=CONSENT_REVOKED
        )
    )
    named = [fact.coordinator for _, fact in published if isinstance(fact, ReferralWithdrawn)]
    assert named == ["kg.desk"] * 3


@pytest.mark.parametrize("of_part", [False, True])
def test_revoked_consent_ends_the_whole_and_every_part_whoever_reports_it(
    two: Families, of_part: bool
) -> None:
    first, second = two.parts
    acceptor = two.accept(first)
    reported = first.id if of_part else REFERRAL
    published = two.apply(
        RevocationSubmitted(referral_id=reported, organization=acceptor if of_part else SENDER), reported
    )
    assert sorted(of_type(published, ReferralWithdrawn)) == sorted([REFERRAL, first.id, second.id])
    reasons = {fact.reason for _, fact in published if isinstance(fact, ReferralWithdrawn)}
    assert reasons == {CONSENT_REVOKED}
    assert {one.status for one in two.referrals.values()} == {ReferralStatus.withdrawn}


def test_consent_revoked_after_the_end_is_published_again_for_every_part(two: Families) -> None:
    for part in two.parts:
        two.complete(part)
    published = two.apply(RevocationSubmitted(referral_id=REFERRAL, organization=SENDER))
    assert of_type(published, ReferralWithdrawn) == [REFERRAL, *two.whole.part_ids]
    assert {one.status for one in two.referrals.values()} == {ReferralStatus.completed}


def test_acceptor_of_a_part_has_no_say_over_the_whole(two: Families) -> None:
    acceptor = two.accept(two.parts[0])
    for fact in (
        RevocationSubmitted(referral_id=REFERRAL, organization=acceptor),
        WithdrawalSubmitted(referral_id=REFERRAL, organization=acceptor, reason=WithdrawalReason.other),
    ):
        assert of_type(two.apply(fact), SubmissionRefused) == [REFERRAL]
    assert two.whole.status is ReferralStatus.split


def test_sender_withdraws_one_part_and_the_others_continue(two: Families) -> None:
    first, second = two.parts
    withdrawal = WithdrawalSubmitted(
        referral_id=first.id, organization=SENDER, reason=WithdrawalReason.placed_elsewhere
    )
    published = two.apply(withdrawal, first.id)
    assert of_type(published, ReferralWithdrawn) == [first.id]
    assert two.whole.status is ReferralStatus.split
    published = two.complete(second)
    assert of_type(published, ReferralCompleted) == [second.id, REFERRAL]
    assert two.whole.outcome is Outcome.partly_resolved


def test_refused_case_fails_the_whole_and_every_part(two: Families) -> None:
    published = two.apply(CaseRefused(referral_id=REFERRAL, organization=SENDER, problem={}))
    assert of_type(published, ReferralFailed) == [REFERRAL, *two.whole.part_ids]
    assert {one.status for one in two.referrals.values()} == {ReferralStatus.failed}


def test_handed_back_part_is_offered_again_and_the_whole_continues(two: Families) -> None:
    two.directory.put_organization(helping("ru.other", LEGAL))
    first = two.parts[0]
    acceptor = two.accept(first)
    two.apply(
        HandBackSubmitted(referral_id=first.id, organization=acceptor, reason=HandBackReason.other), first.id
    )
    assert [offer.organization for offer in two.parts[0].open_offers] == ["ru.other"]
    assert two.whole.status is ReferralStatus.split


def test_whole_that_was_split_cannot_be_placed(two: Families) -> None:
    placement = PlacementSubmitted(
        referral_id=REFERRAL, organization="ru.legal", coordinator="kg.desk", reason=None
    )
    ((referral_id, refused),) = two.apply(placement)
    assert isinstance(refused, PlacementRefused)
    first, second = two.parts
    assert (referral_id, refused.problem["detail"]) == (
        REFERRAL,
        f"The referral continues in parts. Act on one of them: {first.id}, {second.id}.",
    )
    nudge = InterventionSubmitted(
        referral_id=REFERRAL,
        organization=None,
        coordinator="kg.desk",
        act=CoordinatorAct.nudge,
        reason=InterventionReason.no_answer,
    )
    ((_, refused),) = two.apply(nudge)
    assert isinstance(refused, InterventionRefused)
    assert first.id in refused.problem["detail"]


# The end of the whole, for every pair of ends of its parts.
_C, _F, _W, _V = (
    ReferralStatus.completed,
    ReferralStatus.failed,
    ReferralStatus.withdrawn,
    ReferralStatus.entered_in_error,
)
WHOLE_ENDS = {
    frozenset({_C}): _C,
    frozenset({_C, _F}): _C,
    frozenset({_C, _W}): _C,
    frozenset({_C, _V}): _C,
    frozenset({_F}): _F,
    frozenset({_F, _W}): _F,
    frozenset({_F, _V}): _F,
    frozenset({_W}): _W,
    frozenset({_W, _V}): _W,
    frozenset({_V}): _V,
}


@pytest.mark.parametrize(("one", "other"), list(product((_C, _F, _W, _V), repeat=2)))
def test_end_of_the_whole_follows_from_the_ends_of_its_parts(
    two: Families, one: ReferralStatus, other: ReferralStatus
) -> None:
    parts = [
        replace(part, status=status, outcome=Outcome.resolved if status is _C else None)
        for part, status in zip(two.parts, (one, other), strict=True)
    ]
    after = ended_by(two.whole, parts, two.context()).referral
    assert after is not None
    assert after.status is WHOLE_ENDS[frozenset({one, other})]


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (("resolved", "resolved"), "resolved"),
        (("could_not_reach", "could_not_reach"), "could_not_reach"),
        (("resolved", "not_resolved"), "partly_resolved"),
        (("partly_resolved", "person_declined"), "partly_resolved"),
        (("resolved", None), "partly_resolved"),
        (("referred_onward", "not_resolved"), "referred_onward"),
        (("not_resolved", None), "not_resolved"),
        (("could_not_reach", "person_declined"), "not_resolved"),
    ],
)
def test_outcome_of_the_whole_follows_from_those_of_its_parts(
    two: Families, outcomes: tuple[str | None, ...], expected: str
) -> None:
    parts = [
        replace(part, outcome=None if outcome is None else Outcome(outcome))
        for part, outcome in zip(two.parts, outcomes, strict=True)
    ]
    assert outcome_of(parts) == expected


def _view(family: Families, referral: Referral, viewer: str, *, oversight: bool = False) -> object:
    return referral_view(
        referral,
        (),
        (),
        [family.referrals[id_] for id_ in referral.part_ids],
        viewer=viewer,
        oversight=oversight,
    )


def test_sender_and_staff_see_parts_and_candidates_see_nothing_of_them(two: Families) -> None:
    first = two.parts[0]
    acceptor = two.accept(first)
    first = two.parts[0]
    for viewer, oversight in ((SENDER, False), ("kg.desk", True)):
        whole = plain(_view(two, two.whole, viewer, oversight=oversight))
        assert [(part["id"], part["needs"], part["status"], part["acceptor"]) for part in whole["parts"]] == [
            (first.id, [LEGAL], "accepted", acceptor),
            (two.parts[1].id, [SHELTER], "offered", None),
        ]
        assert plain(_view(two, first, viewer, oversight=oversight))["part_of"] == REFERRAL
    shown = plain(_view(two, first, acceptor))
    assert shown["part_of"] is None
    assert REFERRAL not in str(shown)
    assert two.parts[1].id not in str(shown)
    assert SHELTER not in str(shown)
