"""Routing killed when an offer's deadline is due and the expiry not yet committed."""

from __future__ import annotations

import pytest

from contracts.codes import Urgency
from contracts.facts import OfferExpired, OfferOpened, ReferralSubmitted
from runtime.identifiers import new_id
from tests.crash.crashing import CrashHub, Listener
from tests.crash.faults import Moment, named
from tests.services.neighbours import SENDER
from tests.unit.services.routing.samples import facts

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


@pytest.mark.parametrize("moment", [Moment.before_commit, Moment.committed], ids=named)
def test_offer_expires_once_when_routing_is_killed_at_its_deadline(
    crash_hub: CrashHub, listener: Listener, moment: Moment
) -> None:
    crashing = crash_hub.crashing_routing()
    with crashing.dying:
        crashing.until_settled()
        said = facts(urgency=Urgency.urgent)
        crash_hub.publish(ReferralSubmitted(referral_id=new_id(), sender=SENDER, facts=said))
        first = listener.until_heard(OfferOpened)
        crashing.until_published()
        # From now on only the deadline causes a durable commit of routing.
        crashing.plan(moment)
        crashing.until_dead()
    with crashing.whole:
        crashing.whole.until_ready()
        assert listener.until_heard(OfferExpired).offer_id == first.offer_id
        crashing.until_published()
        expired = [fact.offer_id for fact in listener.effects(OfferExpired)]
        assert expired.count(first.offer_id) == 1
        asked = [fact.organization for fact in listener.effects(OfferOpened)]
        assert len(set(asked)) == len(asked) == crashing.rows("offers")
