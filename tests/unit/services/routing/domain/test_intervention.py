"""Coordinators' acts on offered and overdue referrals."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import pytest

from contracts.codes import (
    Answer,
    CoordinatorAct,
    DeclineReason,
    InterventionReason,
    OfferState,
    ProgressStatus,
    ReferralStatus,
    Urgency,
)
from contracts.facts import (
    AcceptanceRevoked,
    AnswerSubmitted,
    Fact,
    InterventionApplied,
    InterventionRefused,
    InterventionSubmitted,
    OfferOpened,
    OfferRevoked,
    PlacementAnswered,
    PlacementRefused,
    PlacementSubmitted,
    ProgressSubmitted,
    ReferralUnplaced,
    RevocationSubmitted,
)
from services.routing.domain.decision import Trigger
from services.routing.domain.lifecycle import act_when_due, apply, remind
from services.routing.domain.observation import Observation
from services.routing.domain.offer import Offer
from services.routing.domain.policy import RoutingPolicy
from tests.support.events import message_of
from tests.unit.services.routing.samples import (
    DAY,
    HOUR,
    NOW,
    REFERRAL,
    SENDER,
    ReferralDriver,
    network,
    organization,
    service,
)

COORDINATOR = "kg.coordinator"
SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def driver() -> ReferralDriver:
    return ReferralDriver(network("ru.one", "ru.two"))


def act(
    driver: ReferralDriver,
    what: CoordinatorAct,
    organization: str | None = None,
    *,
    until: dt.datetime | None = None,
    offers: tuple[str, ...] | None = None,
) -> tuple[Fact, ...]:
    return driver.apply(
        InterventionSubmitted(
            referral_id=REFERRAL,
            organization=organization,
            coordinator=COORDINATOR,
            act=what,
            reason=InterventionReason.no_answer,
            until=until,
            offers=offers,
        )
    )


def place(
    driver: ReferralDriver,
    organization: str,
    reason: InterventionReason | None = InterventionReason.person_at_risk,
    offers: tuple[str, ...] | None = None,
) -> tuple[Fact, ...]:
    return driver.apply(
        PlacementSubmitted(
            referral_id=REFERRAL,
            organization=organization,
            coordinator=COORDINATOR,
            reason=reason,
            offers=offers,
        )
    )


def accept(driver: ReferralDriver) -> str:
    (offer, *_) = driver.known.open_offers
    driver.apply(
        AnswerSubmitted(
            referral_id=REFERRAL,
            offer_id=offer.id,
            organization=offer.organization,
            answer=Answer.accept,
        )
    )
    return offer.organization


def decline(driver: ReferralDriver, offer: Offer) -> None:
    driver.apply(
        AnswerSubmitted(
            referral_id=REFERRAL,
            offer_id=offer.id,
            organization=offer.organization,
            answer=Answer.decline,
            reason=DeclineReason.language,
        )
    )


def overdue(driver: ReferralDriver) -> str:
    """Have the first candidate accept and miss its report; return it."""
    driver.submit()
    acceptor = accept(driver)
    driver.now += 14 * DAY
    driver.take(remind(driver.known, driver.context()))
    return acceptor


def refused(published: tuple[Fact, ...]) -> str:
    (fact,) = published
    assert isinstance(fact, InterventionRefused | PlacementRefused)
    return str(fact.problem["type"]).rpartition(":")[2]


def detail(published: tuple[Fact, ...]) -> str:
    (fact,) = published
    assert isinstance(fact, InterventionRefused | PlacementRefused)
    return str(fact.problem["detail"])


def faults(published: tuple[Fact, ...]) -> list[str]:
    """Return the members that the refusal names."""
    (fact,) = published
    assert isinstance(fact, InterventionRefused | PlacementRefused)
    return [error["pointer"] for error in fact.problem["errors"]]


# --- offers that the coordinator saw ------------------------------------------------------------------


@pytest.mark.parametrize("what", CoordinatorAct)
def test_act_on_an_offer_that_the_coordinator_did_not_see_is_refused(
    driver: ReferralDriver, what: CoordinatorAct
) -> None:
    driver.submit()
    (shown,) = driver.known.open_offers
    decline(driver, shown)
    (unseen,) = driver.known.open_offers
    until = unseen.deadline + HOUR
    (fact,) = act(driver, what, until=until, offers=(shown.id,))
    assert isinstance(fact, InterventionRefused)
    assert str(fact.problem["detail"]).startswith(
        f"The referral has changed: it waits for {unseen.organization}"
    )
    assert driver.known.open_offers == (unseen,)
    assert not isinstance(
        act(driver, what, until=until, offers=(shown.id, unseen.id))[0], InterventionRefused
    )


def test_move_on_revokes_no_offer_that_was_opened_since(driver: ReferralDriver) -> None:
    driver.submit(urgency=Urgency.emergency)
    first, second = driver.known.open_offers
    act(driver, CoordinatorAct.move_on, offers=(first.id,))
    assert [offer.id for offer in driver.known.open_offers] == [second.id]


def test_placement_that_would_revoke_an_unseen_offer_is_refused(driver: ReferralDriver) -> None:
    driver = ReferralDriver(network("ru.one", "ru.two", "ru.three"))
    driver.submit()
    (shown,) = driver.known.open_offers
    decline(driver, shown)
    (unseen,) = driver.known.open_offers
    (third,) = {"ru.one", "ru.two", "ru.three"} - {shown.organization, unseen.organization}
    assert refused(place(driver, third, offers=(shown.id,))) == "conflict"
    assert refused(place(driver, third, offers=())) == "conflict"
    assert driver.known.open_offers == (unseen,)
    place(driver, third, offers=(unseen.id,))
    assert [offer.organization for offer in driver.known.open_offers] == [third]


# --- reminders --------------------------------------------------------------------------------------


def test_reminder_goes_to_the_holder_of_the_open_offer(driver: ReferralDriver) -> None:
    driver.submit()
    (offer,) = driver.known.open_offers
    assert act(driver, CoordinatorAct.nudge) == (
        InterventionApplied(
            referral_id=REFERRAL,
            sender=SENDER,
            organization=offer.organization,
            coordinator=COORDINATOR,
            act=CoordinatorAct.nudge,
            reason=InterventionReason.no_answer,
            deadline=offer.deadline,
        ),
    )
    assert driver.known.status is ReferralStatus.offered


def test_second_reminder_within_the_interval_is_refused(driver: ReferralDriver) -> None:
    driver.submit()
    act(driver, CoordinatorAct.nudge)
    interval = driver.policy.reminder_interval(Urgency.routine)
    driver.now += interval - SECOND
    published = act(driver, CoordinatorAct.nudge)
    assert refused(published) == "conflict"
    assert detail(published) == (
        "A coordinator has reminded the organisation already. The next reminder is possible from "
        f"{NOW + interval:%Y-%m-%d %H:%M:%S} UTC."
    )
    driver.now += SECOND
    (fact,) = act(driver, CoordinatorAct.nudge)
    assert isinstance(fact, InterventionApplied)


def test_reminder_of_an_emergency_goes_to_each_holder_that_is_due(driver: ReferralDriver) -> None:
    driver.submit(urgency=Urgency.emergency)
    act(driver, CoordinatorAct.nudge, "ru.one")
    (second,) = act(driver, CoordinatorAct.nudge)
    assert isinstance(second, InterventionApplied)
    assert second.organization == "ru.two"


def test_reminder_of_an_acceptor_requires_an_overdue_report(driver: ReferralDriver) -> None:
    driver.submit()
    acceptor = accept(driver)
    published = act(driver, CoordinatorAct.nudge)
    assert refused(published) == "not-in-this-state"
    due = f"{NOW + 14 * DAY:%Y-%m-%d %H:%M:%S} UTC"
    assert detail(published) == f"The acceptor can be reminded once its report is overdue, after {due}."
    driver.now += 14 * DAY
    driver.take(remind(driver.known, driver.context()))
    (fact,) = act(driver, CoordinatorAct.nudge)
    assert isinstance(fact, InterventionApplied)
    assert (fact.organization, fact.deadline) == (acceptor, NOW + 28 * DAY)


@pytest.mark.parametrize("what", CoordinatorAct)
def test_intervention_at_an_organization_that_is_not_a_party_is_refused(
    driver: ReferralDriver, what: CoordinatorAct
) -> None:
    driver.submit()
    published = act(driver, what, "ru.nobody", until=NOW + 4 * DAY)
    assert refused(published) == "conflict"
    assert len(driver.known.open_offers) == 1


@pytest.mark.parametrize("what", CoordinatorAct)
def test_act_on_an_unplaced_referral_is_refused(what: CoordinatorAct) -> None:
    driver = ReferralDriver(network())
    driver.submit()
    assert refused(act(driver, what, until=NOW + DAY)) == "not-in-this-state"


# --- extensions -------------------------------------------------------------------------------------


def test_extended_offer_expires_at_its_new_deadline(driver: ReferralDriver) -> None:
    driver.submit()
    (offer,) = driver.known.open_offers
    (fact,) = act(driver, CoordinatorAct.extend, until=NOW + 6 * DAY)
    assert isinstance(fact, InterventionApplied)
    assert fact.deadline == NOW + 6 * DAY
    driver.now = offer.deadline
    driver.take(act_when_due(driver.known, offer.id, driver.now, driver.context()))
    assert [one.id for one in driver.known.open_offers] == [offer.id]
    driver.now = NOW + 5 * DAY
    accept(driver)
    assert driver.known.status is ReferralStatus.accepted


@pytest.mark.parametrize("until", [None, NOW + 3 * DAY, NOW + 6 * DAY + SECOND, NOW - DAY])
def test_extension_outside_the_bounds_is_refused(driver: ReferralDriver, until: dt.datetime | None) -> None:
    driver.submit()
    published = act(driver, CoordinatorAct.extend, until=until)
    assert refused(published) == "invalid-submission"
    assert faults(published) == ["/until"]
    assert driver.known.open_offers[0].deadline == NOW + 3 * DAY


@pytest.mark.parametrize("extension", [2, 1], ids=["at the limit", "beyond the limit of another policy"])
def test_refusal_says_that_an_offer_cannot_be_extended_further(
    driver: ReferralDriver, extension: int
) -> None:
    driver.submit()
    act(driver, CoordinatorAct.extend, until=NOW + 6 * DAY)
    driver.policy = RoutingPolicy(extension=extension)
    published = act(driver, CoordinatorAct.extend, until=NOW + 7 * DAY)
    assert faults(published) == ["/until"]
    (fact,) = published
    assert isinstance(fact, InterventionRefused)
    latest = f"{NOW + extension * 3 * DAY:%Y-%m-%d %H:%M:%S} UTC"
    assert fact.problem["detail"] == (
        f"No later deadline is possible: the policy (`extension`) permits {extension} times the answer time, "
        f"from the offer's opening, until {latest}."
    )


def test_extended_report_is_no_longer_overdue(driver: ReferralDriver) -> None:
    acceptor = overdue(driver)
    until = driver.now + 2 * DAY
    (fact,) = act(driver, CoordinatorAct.extend, until=until)
    assert isinstance(fact, InterventionApplied)
    assert (fact.organization, fact.deadline) == (acceptor, until)
    assert (driver.known.due_at, driver.known.overdue_since) == (until, None)
    latest = driver.now + 28 * DAY
    assert refused(act(driver, CoordinatorAct.extend, until=latest + SECOND)) == "invalid-submission"


# --- moving on --------------------------------------------------------------------------------------


def test_moving_on_revokes_the_offer_and_asks_the_next(driver: ReferralDriver) -> None:
    driver.submit()
    (offer,) = driver.known.open_offers
    applied, revoked, opened = act(driver, CoordinatorAct.move_on)
    assert isinstance(applied, InterventionApplied)
    assert isinstance(revoked, OfferRevoked)
    assert (revoked.organization, revoked.reason) == (offer.organization, "moved_on")
    assert isinstance(opened, OfferOpened)
    assert opened.organization != offer.organization
    assert driver.decisions[-1].trigger is Trigger.moved_on_by_coordinator


def moved_on(driver: ReferralDriver, reason: InterventionReason) -> Mapping[str, Observation]:
    """Move on from the open offers; return the change of the observations."""
    submission = InterventionSubmitted(
        referral_id=REFERRAL,
        organization=None,
        coordinator=COORDINATOR,
        act=CoordinatorAct.move_on,
        reason=reason,
    )
    step = apply(driver.known, message_of(submission, REFERRAL, time=driver.now), driver.context())
    driver.take(step)
    return step.observed


def test_silent_organization_loses_rank_although_a_coordinator_moves_on(driver: ReferralDriver) -> None:
    """Otherwise it would stay unknown, or prompt, for ever, and come first again for the next person."""
    driver.submit()
    (offer,) = driver.known.open_offers
    driver.now += (offer.deadline - offer.opened_at) / 2
    assert moved_on(driver, InterventionReason.no_answer) == {offer.organization: Observation(expired=1)}


def test_silent_organization_loses_rank_although_a_coordinator_places_the_referral(
    driver: ReferralDriver,
) -> None:
    driver.submit()
    (offer,) = driver.known.open_offers
    (other,) = {"ru.one", "ru.two"} - {offer.organization}
    driver.now += (offer.deadline - offer.opened_at) / 2
    placement = PlacementSubmitted(
        referral_id=REFERRAL,
        organization=other,
        coordinator=COORDINATOR,
        reason=InterventionReason.no_answer,
    )
    step = apply(driver.known, message_of(placement, REFERRAL, time=driver.now), driver.context())
    assert step.observed == {offer.organization: Observation(expired=1)}


@pytest.mark.parametrize(
    "reason", [reason for reason in InterventionReason if reason is not InterventionReason.no_answer]
)
def test_moving_on_for_another_reason_says_nothing_about_the_organization(
    driver: ReferralDriver, reason: InterventionReason
) -> None:
    driver.submit()
    (offer,) = driver.known.open_offers
    driver.now += (offer.deadline - offer.opened_at) / 2
    assert moved_on(driver, reason) == {}


def test_moving_on_before_half_of_the_time_says_nothing_about_the_organization(
    driver: ReferralDriver,
) -> None:
    driver.submit()
    (offer,) = driver.known.open_offers
    driver.now += (offer.deadline - offer.opened_at) / 2 - SECOND
    assert moved_on(driver, InterventionReason.no_answer) == {}


def test_moving_on_from_the_last_candidate_leaves_the_referral_unplaced(driver: ReferralDriver) -> None:
    driver.submit()
    act(driver, CoordinatorAct.move_on)
    *_, last = act(driver, CoordinatorAct.move_on)
    assert isinstance(last, ReferralUnplaced)
    assert driver.known.status is ReferralStatus.unplaced


def test_moving_on_from_an_overdue_acceptor_revokes_its_acceptance(driver: ReferralDriver) -> None:
    acceptor = overdue(driver)
    _, revoked, opened = act(driver, CoordinatorAct.move_on)
    assert isinstance(revoked, AcceptanceRevoked)
    assert (revoked.organization, revoked.reason) == (acceptor, "report_overdue")
    assert isinstance(opened, OfferOpened)
    assert opened.organization != acceptor
    referral = driver.known
    assert (referral.acceptor, referral.due_at, referral.overdue_since) == (None, None, None)
    assert referral.status is ReferralStatus.offered


def test_moving_on_from_the_only_candidate_that_is_overdue_leaves_the_referral_unplaced() -> None:
    driver = ReferralDriver(network("ru.one"))
    overdue(driver)
    *_, last = act(driver, CoordinatorAct.move_on)
    assert isinstance(last, ReferralUnplaced)
    assert driver.known.status is ReferralStatus.unplaced
    assert not driver.known.open_offers


def test_moving_on_from_an_acceptor_in_time_is_refused(driver: ReferralDriver) -> None:
    driver.submit()
    acceptor = accept(driver)
    assert refused(act(driver, CoordinatorAct.move_on)) == "not-in-this-state"
    driver.apply(
        ProgressSubmitted(referral_id=REFERRAL, organization=acceptor, status=ProgressStatus.in_progress)
    )
    assert driver.known.acceptor == acceptor


# --- placements -------------------------------------------------------------------------------------


def test_placement_of_an_offered_referral_revokes_its_open_offers(driver: ReferralDriver) -> None:
    driver.directory.put_organization(organization("ru.far", service(areas=("RU-SPE",))))
    driver.submit(urgency=Urgency.emergency)
    first, second, opened = place(driver, "ru.far")
    assert [one.reason for one in (first, second) if isinstance(one, OfferRevoked)] == ["moved_on"] * 2
    assert isinstance(opened, OfferOpened)
    assert [offer.organization for offer in driver.known.open_offers] == ["ru.far"]


def test_placement_of_an_offered_referral_requires_a_reason(driver: ReferralDriver) -> None:
    driver.directory.put_organization(organization("ru.far", service(areas=("RU-SPE",))))
    driver.submit()
    published = place(driver, "ru.far", reason=None)
    assert refused(published) == "invalid-submission"
    assert faults(published) == ["/reason"]
    assert len(driver.known.open_offers) == 1


def test_placement_with_the_holder_of_the_open_offer_is_refused(driver: ReferralDriver) -> None:
    driver.submit()
    (offer,) = driver.known.open_offers
    assert refused(place(driver, offer.organization)) == "conflict"
    assert driver.known.open_offers == (offer,)


def test_placement_that_no_rule_allows_keeps_the_open_offer(driver: ReferralDriver) -> None:
    driver.submit()
    (offer,) = driver.known.open_offers
    assert refused(place(driver, SENDER)) == "conflict"
    assert driver.known.open_offers == (offer,)


def test_placement_of_an_overdue_referral_requires_a_reason(driver: ReferralDriver) -> None:
    acceptor = overdue(driver)
    other = ({"ru.one", "ru.two"} - {acceptor}).pop()
    assert refused(place(driver, other, reason=None)) == "invalid-submission"
    revoked, opened = place(driver, other)
    assert isinstance(revoked, AcceptanceRevoked)
    assert isinstance(opened, OfferOpened)
    assert [offer.state for offer in driver.known.offers] == [OfferState.revoked, OfferState.open]


def test_placement_with_the_overdue_acceptor_itself_keeps_the_acceptance(driver: ReferralDriver) -> None:
    acceptor = overdue(driver)
    before = driver.known
    published = place(driver, acceptor)
    assert refused(published) == "conflict"
    (fact,) = published
    assert isinstance(fact, PlacementRefused)
    assert fact.problem["detail"] == "The organisation has already accepted this referral."
    assert driver.known == before


def test_placement_of_a_referral_that_has_ended_says_how_it_ended(driver: ReferralDriver) -> None:
    driver.submit()
    driver.apply(RevocationSubmitted(referral_id=REFERRAL, organization=SENDER))
    (fact,) = place(driver, "ru.one")
    assert isinstance(fact, PlacementRefused)
    assert fact.problem["detail"] == "The referral is withdrawn."


def test_moving_on_from_a_placement_reports_its_end(driver: ReferralDriver) -> None:
    driver.submit()
    (offer,) = driver.known.open_offers
    other = ({"ru.one", "ru.two"} - {offer.organization}).pop()
    place(driver, other)
    driver.now += HOUR
    published = act(driver, CoordinatorAct.move_on)
    (answered,) = [fact for fact in published if isinstance(fact, PlacementAnswered)]
    assert (answered.organization, answered.result, answered.reason) == (other, "revoked", "moved_on")
