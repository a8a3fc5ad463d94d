"""Onward referral: who may continue a chain, how long it may be, and who is not asked again in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from contracts.codes import (
    Answer,
    HandBackReason,
    OfferState,
    Outcome,
    ReferralStatus,
    Vetting,
    WithdrawalReason,
)
from contracts.facts import (
    AcceptanceRevoked,
    AnswerSubmitted,
    HandBackSubmitted,
    OfferOpened,
    OutcomeSubmitted,
    PlacementSubmitted,
    ReferralFailed,
    ReferralReferredOnward,
    ReferralSubmitted,
    RevocationSubmitted,
    WithdrawalSubmitted,
)
from contracts.records import dump, plain
from services.routing.domain.chain import LONGEST_CHAIN, Chain
from services.routing.domain.directory import Directory
from services.routing.domain.lifecycle import apply
from services.routing.domain.offer import Offer
from services.routing.domain.onward import MOST_ONWARD, continued
from services.routing.domain.open_offers import recorded_as_overridden
from services.routing.domain.recomputation import made_again
from services.routing.domain.referral import Referral
from services.routing.domain.transition import Transition
from services.routing.domain.view import decision_view, referral_view
from tests.support.events import message_of
from tests.unit.services.routing.samples import (
    NOW,
    REFERRAL,
    SENDER,
    ReferralDriver,
    facts,
    network,
    organization,
)

ONWARD = "018f0000-0000-7000-8000-000000000002"
STRANGER = "ru.stranger"


def held() -> ReferralDriver:
    """Return a referral that `ru.one`, its only candidate, has accepted."""
    driver = ReferralDriver(network("ru.one"))
    driver.submit()
    (offer,) = driver.known.open_offers
    driver.apply(
        AnswerSubmitted(referral_id=REFERRAL, offer_id=offer.id, organization="ru.one", answer=Answer.accept)
    )
    return driver


def held_onward() -> ReferralDriver:
    """Return a referral that its sender has received from `kg.first`, and `ru.one` has accepted."""
    driver = held()
    driver.referral = replace(
        driver.known,
        chain=Chain(onward_from=ONWARD, previous="kg.first", length=1, holders=("kg.first", SENDER)),
    )
    for name in ("kg.first", SENDER):
        driver.directory.put_organization(organization(name))
    return driver


def onward(
    driver: ReferralDriver,
    *receivers: str,
    sender: str = "ru.one",
    earlier: str = REFERRAL,
    counted: Callable[[str, str], int] = lambda *_: 0,
    **changes: Any,
) -> Transition:
    """Refer the driver's referral onward; the directory has the receivers besides its own organisations.

    counted: how often it has been referred onward before.
    """
    for name in (*receivers, sender):
        if driver.directory.organization(name) is None:
            driver.directory.put_organization(organization(name))
    submission = ReferralSubmitted(
        referral_id=ONWARD, sender=sender, facts=facts(**changes), onward_from=earlier
    )
    known = {REFERRAL: driver.known}
    context = replace(driver.context(), referral=known.get, onward=counted)
    return apply(None, message_of(submission, ONWARD, time=driver.now), context)


def sent(step: Transition) -> Referral:
    assert step.referral is not None
    return step.referral


def test_onward_referral_is_offered_and_the_first_sender_learns_only_of_the_link() -> None:
    driver = held()
    step = onward(driver, "ru.two")
    (opened,) = step.facts
    assert isinstance(opened, OfferOpened)
    assert opened.organization == "ru.two"
    assert step.about_others == (
        ReferralReferredOnward(referral_id=REFERRAL, sender=SENDER, organization="ru.one", onward=ONWARD),
    )
    assert sent(step).chain == Chain(
        onward_from=REFERRAL, previous=SENDER, length=1, holders=(SENDER, "ru.one")
    )


def test_completed_referral_may_be_referred_onward() -> None:
    driver = held()
    driver.apply(
        OutcomeSubmitted(referral_id=REFERRAL, organization="ru.one", outcome=Outcome.referred_onward)
    )
    assert sent(onward(driver, "ru.two")).status is ReferralStatus.offered


def hand_back(driver: ReferralDriver) -> None:
    driver.apply(
        HandBackSubmitted(referral_id=REFERRAL, organization="ru.one", reason=HandBackReason.no_capacity)
    )


def withdraw(driver: ReferralDriver) -> None:
    driver.apply(
        WithdrawalSubmitted(referral_id=REFERRAL, organization=SENDER, reason=WithdrawalReason.other)
    )


def revoke_consent(driver: ReferralDriver) -> None:
    driver.apply(RevocationSubmitted(referral_id=REFERRAL, organization=SENDER))


@pytest.mark.parametrize("end", [hand_back, withdraw, revoke_consent])
def test_former_acceptor_cannot_refer_onward(end: Any) -> None:
    driver = held()
    end(driver)
    step = onward(driver, "ru.two")
    assert sent(step).status is ReferralStatus.failed
    assert sent(step).offers == ()


def test_person_who_withdrew_the_consent_is_not_referred_onward() -> None:
    driver = held()
    driver.apply(OutcomeSubmitted(referral_id=REFERRAL, organization="ru.one", outcome=Outcome.resolved))
    driver.apply(RevocationSubmitted(referral_id=REFERRAL, organization=SENDER))
    step = onward(driver, "ru.two")
    (failed,) = step.facts
    assert isinstance(failed, ReferralFailed)
    assert failed.reason == "not_the_acceptor"
    assert step.about_others == ()


@pytest.mark.parametrize(("before", "fails"), [(MOST_ONWARD - 1, False), (MOST_ONWARD, True)])
def test_acceptor_refers_onward_a_bounded_number_of_times(before: int, *, fails: bool) -> None:
    counted = {(REFERRAL, "ru.one"): before}
    step = onward(held(), "ru.two", counted=lambda *asked: counted[asked])
    failed = [fact.reason for fact in step.facts if isinstance(fact, ReferralFailed)]
    assert failed == (["too_many_onward"] if fails else [])
    assert bool(step.about_others) is not fails


def test_referral_of_others_and_unknown_referral_fail_alike() -> None:
    driver = held()
    known = onward(driver, "ru.two", sender=STRANGER)
    unknown = onward(driver, "ru.two", sender=STRANGER, earlier="018f0000-0000-7000-8000-0000000000ff")
    assert sent(known).status is sent(unknown).status is ReferralStatus.failed
    assert (
        unknown.facts
        == known.facts
        == (
            ReferralFailed(referral_id=ONWARD, sender=STRANGER, organization=None, reason="not_the_acceptor"),
        )
    )
    # Nobody else learns of the attempt, and it is not a link of a chain.
    assert known.about_others == unknown.about_others == ()
    assert sent(known).chain is sent(unknown).chain is None


def test_sender_cannot_refer_its_own_referral_onward() -> None:
    step = onward(held(), "ru.two", sender=SENDER)
    assert sent(step).status is ReferralStatus.failed


@pytest.mark.parametrize(("length", "fails"), [(LONGEST_CHAIN - 2, False), (LONGEST_CHAIN - 1, True)])
def test_onward_referral_beyond_the_longest_chain_fails(length: int, *, fails: bool) -> None:
    driver = held()
    before = Chain(onward_from=ONWARD, previous="kg.first", length=length, holders=("kg.first", SENDER))
    driver.referral = replace(driver.known, chain=before)
    step = onward(driver, "ru.two")
    reasons = [fact.reason for fact in step.facts if isinstance(fact, ReferralFailed)]
    assert reasons == (["chain_too_long"] if fails else [])
    assert (step.about_others == ()) is fails


def test_chain_does_not_return_to_an_organization_that_held_the_case() -> None:
    driver = held()
    driver.directory.put_organization(organization(SENDER))
    step = onward(driver)
    assert sent(step).status is ReferralStatus.unplaced
    (decision,) = step.decisions
    failed = {one.organization: {f.rule: f for f in one.failures} for one in decision.candidates}
    assert set(failed[SENDER]) == {"not_in_chain"}
    assert failed[SENDER]["not_in_chain"].detail == {"held": "previous"}


def test_sender_may_name_an_organization_that_held_the_case() -> None:
    driver = held()
    driver.directory.put_organization(organization(SENDER))
    step = onward(driver, to=SENDER)
    assert [offer.organization for offer in sent(step).offers] == [SENDER]


def test_holders_are_all_that_had_the_case_and_not_those_that_declined_it() -> None:
    states = {
        "ru.declined": (OfferState.declined, "no_capacity"),
        "ru.lost": (OfferState.revoked, "accepted_elsewhere"),
        "ru.returned": (OfferState.returned, "other"),
        "ru.replaced": (OfferState.revoked, "report_overdue"),
        "ru.asked": (OfferState.revoked, "organization_suspended"),
        "ru.one": (OfferState.accepted, None),
    }
    offers = tuple(
        Offer(
            id=f"offer-{name}",
            referral_id=REFERRAL,
            organization=name,
            service="legal",
            rank=1,
            opened_at=NOW,
            deadline=NOW,
            state=state,
            reason=reason,
        )
        for name, (state, reason) in states.items()
    )
    before = Chain(onward_from=ONWARD, previous="kg.first", length=1, holders=("kg.first", SENDER))
    earlier = replace(held().known, offers=offers, chain=before)
    assert continued(earlier) == Chain(
        onward_from=REFERRAL,
        previous=SENDER,
        length=2,
        holders=("kg.first", SENDER, "ru.returned", "ru.replaced", "ru.one"),
    )


def test_acceptor_that_lost_the_case_by_a_suspension_is_not_asked_again_after_its_readmission() -> None:
    driver = held()
    driver.directory.put_organization(organization("ru.one", vetting=Vetting.suspended))
    driver.directory.put_organization(organization("ru.two"))
    placed = PlacementSubmitted(
        referral_id=REFERRAL, organization="ru.two", coordinator="kg.coordinator", reason=None
    )
    revoked, *_ = driver.apply(placed)
    assert isinstance(revoked, AcceptanceRevoked)
    assert revoked.reason == "organization_suspended"
    (offer,) = driver.known.open_offers
    driver.apply(
        AnswerSubmitted(referral_id=REFERRAL, offer_id=offer.id, organization="ru.two", answer=Answer.accept)
    )
    driver.directory.put_organization(organization("ru.one"))
    step = onward(driver, "ru.three", sender="ru.two")
    assert [offer.organization for offer in sent(step).offers] == ["ru.three"]
    assert sent(step).chain == Chain(
        onward_from=REFERRAL, previous=SENDER, length=1, holders=(SENDER, "ru.one", "ru.two")
    )
    shown = referral_view(driver.known, (), viewer=SENDER, oversight=False)
    assert [one.reason for one in shown.offers] == ["organization_suspended", None]


def test_decision_of_an_onward_referral_is_made_again_from_its_record() -> None:
    driver = held()
    driver.directory.put_organization(organization(SENDER))
    step = onward(driver, "ru.two")
    (decision,) = step.decisions
    again = made_again(
        plain(decision),
        sender="ru.one",
        facts=sent(step).facts,
        policy=driver.policy,
        directory=driver.directory,
    )
    assert dump(again) == dump(decision)


def test_sender_sees_no_organization_that_held_the_case_before_it_was_asked() -> None:
    driver = held_onward()
    (decision,) = onward(driver, "ru.two").decisions
    stored = plain(decision)

    def shown(*, oversight: bool) -> set[str]:
        return {
            one["organization"]
            for one in decision_view(stored, Directory(), oversight=oversight)["candidates"]
        }

    assert shown(oversight=True) == {"kg.first", SENDER, "ru.one", "ru.two"}
    assert shown(oversight=False) == {SENDER, "ru.one", "ru.two"}


@pytest.mark.parametrize("with_it", ["kg.first", "ru.two", SENDER])
def test_sender_does_not_see_that_an_organization_placed_with_held_the_case(with_it: str) -> None:
    driver = held_onward()
    driver.referral = sent(onward(driver))
    assert driver.known.status is ReferralStatus.unplaced
    driver.directory.put_organization(organization("ru.two"))
    driver.apply(
        PlacementSubmitted(
            referral_id=driver.known.id, organization=with_it, coordinator="kg.coordinator", reason=None
        )
    )
    stored = plain(driver.decisions[-1])
    assert driver.decisions[-1].overridden == (() if with_it == "ru.two" else ("not_in_chain",))
    assert recorded_as_overridden(driver.decisions[-1]) == ()
    shown = decision_view(stored, Directory(), oversight=False)
    (candidate,) = shown["candidates"]
    assert candidate["organization"] == with_it
    rules = {rule["rule"]: rule["overridden"] for rule in candidate["rules"]}
    # It has received the person from the previous sender itself.
    known = with_it == SENDER
    assert ("not_in_chain" in rules, shown["overridden"]) == (known, ["not_in_chain"] if known else [])
    assert not any(overridden for rule, overridden in rules.items() if rule != "not_in_chain")


@pytest.mark.parametrize(
    ("viewer", "oversight", "seen"),
    [
        (SENDER, False, (ONWARD,)),
        ("ru.one", False, (ONWARD,)),
        ("ru.two", False, ()),
        ("kg.desk", True, (ONWARD,)),
    ],
)
def test_link_is_shown_to_the_sender_the_acceptor_and_staff(
    viewer: str, seen: tuple[str, ...], *, oversight: bool
) -> None:
    view = referral_view(held().known, (), [(ONWARD, "ru.one")], viewer=viewer, oversight=oversight)
    assert view.onward == seen


@pytest.mark.parametrize(
    ("viewer", "oversight", "seen"),
    [
        ("ru.one", False, REFERRAL),
        ("ru.two", False, None),
        (SENDER, False, None),
        ("kg.desk", True, REFERRAL),
    ],
)
def test_candidates_do_not_see_which_referral_is_continued(
    viewer: str, seen: str | None, *, oversight: bool
) -> None:
    referral = sent(onward(held(), "ru.two"))
    assert referral_view(referral, (), viewer=viewer, oversight=oversight).onward_from == seen
