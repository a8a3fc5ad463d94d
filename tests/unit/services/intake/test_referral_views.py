from __future__ import annotations

import pytest

from contracts.codes import OfferState, ReferralStatus
from contracts.errors import Refused, Unavailable
from contracts.queries import OfferQuery, ReferralListQuery, ReferralQuery
from contracts.records import plain
from contracts.responses.referrals import OfferView, ReferralSummary, ReferralView, Step
from runtime.identifiers import new_id
from tests.unit.services.intake.intake_fixture import IntakeBench, not_found_detail
from tests.unit.services.intake.samples import MOSCOW, NOON, OFFER, OSH, STRANGER


def offer_view(offer_id: str) -> OfferView:
    return OfferView(
        id=offer_id,
        organization=MOSCOW,
        service="legal",
        state=OfferState.open,
        rank=1,
        opened_at=NOON,
        deadline=NOON,
        closed_at=None,
        reason=None,
    )


def referral_view(referral_id: str, *offers: OfferView) -> ReferralView:
    return ReferralView(
        id=referral_id,
        sender=OSH,
        status=ReferralStatus.offered,
        status_fhir="requested",
        acceptor=None,
        outcome=None,
        submitted_at=NOON,
        updated_at=NOON,
        facts={"needs": ["legal"]},
        offers=offers,
        timeline=(Step(time=NOON, fact="offer.opened", organization=MOSCOW, detail={"rank": 1}),),
    )


def test_referral_is_shown_as_routing_replies(bench: IntakeBench) -> None:
    reply = plain(referral_view(OFFER))
    bench.routing.answers[ReferralQuery(id=OFFER, viewer=MOSCOW, oversight=False)] = reply
    assert bench.views.referral(OFFER, MOSCOW, oversight=False) == referral_view(OFFER)


def test_offer_is_shown_with_sender_to_its_organization_only(bench: IntakeBench) -> None:
    referral = new_id()
    reply = plain(referral_view(referral, offer_view(referral), offer_view(OFFER)))
    bench.routing.answers = {
        OfferQuery(id=OFFER): [referral, MOSCOW],
        ReferralQuery(id=referral, viewer=MOSCOW, oversight=False): reply,
    }
    expected = {**plain(offer_view(OFFER)), "referral_id": referral, "sender": OSH}
    assert plain(bench.views.offer(OFFER, MOSCOW)) == expected
    not_found_detail(lambda: bench.views.offer(OFFER, STRANGER))


def test_referral_not_yet_processed_by_routing_is_shown_to_sender(bench: IntakeBench) -> None:
    referral = bench.submit()
    for viewer, oversight in ((OSH, False), ("auditor", True)):
        shown = bench.views.referral(referral, viewer, oversight=oversight)
        assert (shown.id, shown.sender, shown.status) == (referral, OSH, "requested")
        assert shown.submitted_at == NOON
    not_found_detail(lambda: bench.views.referral(referral, STRANGER, oversight=False))
    not_found_detail(lambda: bench.views.referral(OFFER, OSH, oversight=False))
    not_found_detail(lambda: bench.views.referral(OFFER, "auditor", oversight=True))


@pytest.mark.parametrize(
    "fault", [Unavailable("No answer in time."), Refused("invalid-parameter", "Invalid query.")]
)
def test_other_error_of_routing_is_raised(bench: IntakeBench, fault: Exception) -> None:
    referral = bench.submit()
    bench.routing.answers[ReferralQuery(id=referral, viewer=OSH, oversight=False)] = fault
    with pytest.raises(type(fault)):
        bench.views.referral(referral, OSH, oversight=False)


def test_referral_list_is_routings_reply(bench: IntakeBench) -> None:
    query = ReferralListQuery(viewer=OSH, oversight=False, limit=3)
    listed = ReferralSummary(
        id=OFFER,
        sender=OSH,
        status=ReferralStatus.offered,
        acceptor=None,
        urgency=None,
        region=None,
        needs=("legal",),
        submitted_at=NOON,
        updated_at=NOON,
    )
    bench.routing.answers[query] = [plain(listed)]
    assert bench.views.listing(query) == [listed]
