"""The times and the observations of offers that are closed."""

from __future__ import annotations

import datetime as dt

import pytest

from services.routing.domain.offer import OfferEvent
from services.routing.domain.offer_closing import close_offer
from tests.unit.services.routing.samples import HOUR, NOW, ReferralDriver, network


@pytest.mark.parametrize(
    ("answered_at", "counted"),
    [(NOW + HOUR, HOUR), (NOW + 2 * HOUR, HOUR), (NOW - HOUR, 0 * HOUR)],
    ids=["now", "by a clock ahead", "by a clock behind"],
)
def test_acceptance_is_dated_between_its_opening_and_now(
    answered_at: dt.datetime, counted: dt.timedelta
) -> None:
    driver = ReferralDriver(network("ru.one"))
    driver.submit()
    (offer,) = driver.known.open_offers
    closed = close_offer(driver.known, offer, OfferEvent.accept, NOW + HOUR, answered_at=answered_at)
    accepted = closed.referral.offer(offer.id)
    assert accepted is not None
    assert accepted.closed_at == NOW + counted
    assert closed.observed["ru.one"].answer_seconds == counted.total_seconds()
