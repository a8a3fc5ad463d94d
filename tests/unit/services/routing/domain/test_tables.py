"""The two transition tables: allowed transitions succeed, others change nothing."""

from __future__ import annotations

from itertools import product

import pytest

from contracts.codes import OfferState, ReferralStatus
from contracts.errors import Refused
from services.routing.domain.offer import OFFER_TRANSITIONS, Offer, OfferEvent, close
from services.routing.domain.referral import REFERRAL_TRANSITIONS, ReferralEvent, next_status
from tests.unit.services.routing.samples import DAY, NOW, REFERRAL

LEGAL_OFFER = {
    OfferState.open: {"accept": "accepted", "decline": "declined", "expire": "expired", "revoke": "revoked"},
    OfferState.accepted: {"revoke": "revoked", "hand_back": "returned"},
    OfferState.expired: {"accept": "accepted", "decline": "declined"},
}
ENDS = {
    ReferralStatus.completed,
    ReferralStatus.withdrawn,
    ReferralStatus.failed,
    ReferralStatus.entered_in_error,
}
# A deliberate second copy of the table, as documented on the design page.
LEGAL_REFERRAL = {
    "requested": {"offer": "offered", "exhaust": "unplaced", "split": "split"},
    "offered": {"offer": "offered", "exhaust": "unplaced", "accept": "accepted", "split": "split"},
    "unplaced": {"offer": "offered", "accept": "accepted", "split": "split"},
    "split": {"complete": "completed", "rejoin": "unplaced"},
    "accepted": {
        "progress": "in_progress",
        "hold": "on_hold",
        "complete": "completed",
        "revoke": "unplaced",
        "hand_back": "requested",
    },
    "in_progress": {
        "progress": "in_progress",
        "hold": "on_hold",
        "complete": "completed",
        "revoke": "unplaced",
        "hand_back": "requested",
    },
    "on_hold": {
        "progress": "in_progress",
        "hold": "on_hold",
        "complete": "completed",
        "revoke": "unplaced",
        "hand_back": "requested",
    },
}
LEAVING = {"withdraw": "withdrawn", "fail": "failed", "void": "entered_in_error"}


def offer(state: OfferState) -> Offer:
    return Offer(
        id="o",
        referral_id=REFERRAL,
        organization="ru.one",
        service="legal",
        rank=1,
        opened_at=NOW,
        deadline=NOW + DAY,
        state=state,
    )


@pytest.mark.parametrize(("state", "event"), list(product(OfferState, OfferEvent)))
def test_offer_follows_its_transition_table(state: OfferState, event: OfferEvent) -> None:
    before = offer(state)
    if event in (legal := LEGAL_OFFER.get(state, {})):
        after = close(before, event, NOW, "because")
        assert after.state == legal[event]
        assert (after.closed_at, after.reason) == (NOW, "because")
    else:
        with pytest.raises(Refused) as refused:
            close(before, event, NOW)
        assert refused.value.slug == "offer-closed"
        assert before == offer(state)


@pytest.mark.parametrize(("status", "event"), list(product(ReferralStatus, ReferralEvent)))
def test_referral_follows_its_transition_table(status: ReferralStatus, event: ReferralEvent) -> None:
    legal = {**LEGAL_REFERRAL[status], **LEAVING} if status not in ENDS else {}
    if event in legal:
        assert next_status(status, event) == legal[event]
    else:
        with pytest.raises(Refused) as refused:
            next_status(status, event)
        assert refused.value.slug == "not-in-this-state"


def test_transition_tables_cover_every_state() -> None:
    assert set(OFFER_TRANSITIONS) == set(OfferState)
    assert set(REFERRAL_TRANSITIONS) == set(ReferralStatus)
    assert {status for status, events in REFERRAL_TRANSITIONS.items() if not events} == ENDS
