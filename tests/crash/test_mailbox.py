"""Delivery killed when a message is recorded as handed out and the response not yet sent."""

from __future__ import annotations

import pytest

from contracts.facts import DeliveryAcknowledged, DeliveryDelivered
from tests.crash.crashing import CrashHub, Listener, consumed, until
from tests.crash.faults import Moment, named
from tests.services.neighbours import ACCEPTOR, opened

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


@pytest.mark.parametrize("moment", [Moment.before_commit, Moment.committed, None], ids=named)
def test_mailbox_message_is_recorded_once_when_delivery_is_killed_during_a_read(
    crash_hub: CrashHub, listener: Listener, moment: Moment | None
) -> None:
    """moment None: killed after the response was sent."""
    crashing = crash_hub.crashing_delivery()
    with crashing.dying:
        crashing.until_settled()
        crash_hub.publish(opened())
        until(lambda: consumed(crashing.dying, "delivery.events", "applied") == 1, "it is in the mailbox")
        if moment is None:
            assert crash_hub.mailbox(crashing.dying)
            crashing.dying.process.kill()
        else:
            crashing.plan(moment)
            assert crash_hub.mailbox(crashing.dying) is None, "no response before it is recorded"
            crashing.until_dead()
    with crashing.whole:
        crashing.whole.until_ready()
        for _ in range(2):  # an unacknowledged message is returned at every read
            items = crash_hub.mailbox(crashing.whole)
            assert items is not None
            (item,) = items
        assert crash_hub.partner(ACCEPTOR, crashing.whole).acknowledge(item["id"]) == 204
        crashing.until_published()
        for kind in (DeliveryDelivered, DeliveryAcknowledged):
            (fact,) = listener.effects(kind)
            assert fact.message_id == item["id"]
