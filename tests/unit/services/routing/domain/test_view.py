"""Who sees when an acceptor's report is due, and what a candidate sees once its part has ended."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from contracts.codes import OfferState, ReferralStatus
from services.routing.domain.offer import Offer
from services.routing.domain.referral import Referral
from services.routing.domain.view import referral_view, summary
from tests.unit.services.routing.samples import facts

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
CLOSED = NOW + dt.timedelta(minutes=10)
DUE, OVERDUE = NOW + dt.timedelta(days=3), NOW + dt.timedelta(days=1)
SENDER, ACCEPTOR, EARLIER = "kg.sender", "ru.acceptor", "ru.earlier"


def offer(organization: str, state: OfferState) -> Offer:
    return Offer(
        id=f"offer-{organization}",
        referral_id="r1",
        organization=organization,
        service="legal",
        rank=1,
        opened_at=NOW,
        deadline=NOW + dt.timedelta(hours=1),
        state=state,
        closed_at=None if state is OfferState.open else CLOSED,
    )


def referral(acceptor: str | None) -> Referral:
    return Referral(
        id="r1",
        sender=SENDER,
        facts=facts(),
        status=ReferralStatus.unplaced if acceptor is None else ReferralStatus.accepted,
        submitted_at=NOW,
        updated_at=NOW,
        correlation_id="c1",
        acceptor=acceptor,
        due_at=DUE,
        overdue_since=None if acceptor is None else OVERDUE,
        offers=(offer(EARLIER, OfferState.declined), offer(ACCEPTOR, OfferState.accepted)),
    )


@pytest.mark.parametrize(
    ("viewer", "oversight", "shown"),
    [(SENDER, False, True), (ACCEPTOR, False, True), ("ann", True, True), (EARLIER, False, False)],
)
def test_parties_of_an_acceptance_and_staff_see_when_the_report_is_due(
    viewer: str, oversight: bool, shown: bool
) -> None:
    view = referral_view(referral(ACCEPTOR), (), viewer=viewer, oversight=oversight)
    assert (view.due_at, view.overdue_since) == ((DUE, OVERDUE) if shown else (None, None))


def test_time_of_the_next_search_is_not_a_due_report() -> None:
    view = referral_view(referral(None), (), viewer=SENDER, oversight=False)
    assert (view.due_at, view.overdue_since) == (None, None)


@pytest.mark.parametrize("status", ReferralStatus)
@pytest.mark.parametrize(
    "state", [OfferState.declined, OfferState.expired, OfferState.revoked, OfferState.returned]
)
def test_candidate_sees_the_referral_as_it_was_when_its_part_ended(
    state: OfferState, status: ReferralStatus
) -> None:
    later = NOW + dt.timedelta(days=9)
    known = replace(referral(ACCEPTOR), status=status, updated_at=later, offers=(offer(EARLIER, state),))
    for view in (
        referral_view(known, (), viewer=EARLIER, oversight=False),
        summary(known, viewer=EARLIER, whole=False),
    ):
        assert (view.status, view.updated_at) == (ReferralStatus.offered, CLOSED)
    assert referral_view(known, (), viewer=EARLIER, oversight=False).status_fhir == "received"


@pytest.mark.parametrize("state", [OfferState.open, OfferState.accepted])
def test_organization_with_a_second_offer_has_a_part_again(state: OfferState) -> None:
    offers = (offer(EARLIER, OfferState.declined), replace(offer(EARLIER, state), id="second"))
    known = replace(referral(None), offers=offers, updated_at=DUE)
    view = referral_view(known, (), viewer=EARLIER, oversight=False)
    assert (view.status, view.updated_at) == (known.status, DUE)


@pytest.mark.parametrize(("viewer", "whole"), [(SENDER, True), (ACCEPTOR, False), ("ann", True)])
def test_sender_acceptor_and_staff_see_the_state_of_the_referral(viewer: str, whole: bool) -> None:
    known = replace(referral(ACCEPTOR), status=ReferralStatus.completed, updated_at=DUE)
    shown = summary(known, viewer=viewer, whole=whole)
    assert (shown.status, shown.updated_at) == (ReferralStatus.completed, DUE)
