"""Who sees when an acceptor's report is due."""

from __future__ import annotations

import datetime as dt

import pytest

from contracts.codes import OfferState, ReferralStatus
from services.routing.domain.offer import Offer
from services.routing.domain.referral import Referral
from services.routing.domain.view import referral_view
from tests.unit.services.routing.samples import facts

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
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


def test_time_of_the_next_search_is_no_due_report() -> None:
    view = referral_view(referral(None), (), viewer=SENDER, oversight=False)
    assert (view.due_at, view.overdue_since) == (None, None)
