"""A member fills every place of every candidate with its own referrals, so that another's find no place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from contracts.records import plain
from sandbox.demo.participants import Participant
from services.delivery.domain.alert_counts import SINGLE
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until

# One candidate, ru.baikal-shore-help, whose maximum is 15.
REFERRAL = "food-for-the-dormitory"
PLACES = 15
FLOOD = 300
HOSTILE = "kg.suusar-hotline"


@dataclass(frozen=True, kw_only=True, slots=True)
class Flood:
    """The flooding sender and its referrals."""

    sender: Participant
    referrals: Sequence[str]

    def statuses(self) -> Counter[str]:
        """Count the referrals by status."""
        mine = set(self.referrals)
        return Counter(one["status"] for one in self.sender.hub.referrals(limit=200) if one["id"] in mine)


@pytest.fixture(scope="module")
def flood(hub: RunningHub) -> Iterator[Flood]:
    """A member has sent 300 routine referrals, and every place of the candidate has an offer."""
    sender = hub.organization(HOSTILE)
    facts = {**hub.facts(REFERRAL), "urgency": "routine"}
    case = plain(hub.network.referral(REFERRAL).case)
    results = sender.hub.submit_batch([{**facts, "case": case}] * FLOOD)
    made = Flood(sender=sender, referrals=[one["id"] for one in results])
    decided = {"offered": PLACES, "unplaced": FLOOD - PLACES}
    until(lambda: made.statuses() == decided, "decisions about the flood", within=60)
    yield made
    sender.hub.submit_statements(
        [{"submit": "withdraw", "referral_id": one, "reason": "other"} for one in made.referrals]
    )
    until(lambda: made.statuses() == {"withdrawn": FLOOD}, "the end of the flood", within=60)


@pytest.mark.parametrize("urgency", ["urgent", "routine"])
def test_referral_of_another_sender_is_offered_during_a_flood(
    hub: RunningHub, flood: Flood, urgency: str
) -> None:
    sender, referral_id = hub.submit(REFERRAL, urgency=urgency)
    asked, _ = hub.next_offer(sender, referral_id)
    assert asked.id == "ru.baikal-shore-help"
    sender.hub.withdraw(referral_id, reason="other")


def test_declined_offer_of_a_flood_makes_room_for_a_waiting_referral(hub: RunningHub, flood: Flood) -> None:
    states = {one["id"]: one["status"] for one in flood.sender.hub.referrals(limit=200)}
    waiting = min(one for one in flood.referrals if states[one] == "unplaced")
    offered = next(one for one in flood.referrals if states[one] == "offered")
    candidate, offer_id = hub.next_offer(flood.sender, offered)
    candidate.hub.decline(offer_id, "conflict_of_interest")
    until(
        lambda: flood.sender.hub.referral(waiting)["status"] == "offered",
        "an offer for the referral that waited longest",
    )
    assert flood.statuses() == {"offered": PLACES, "unplaced": FLOOD - PLACES}
    decisions = flood.sender.hub.decision(waiting)["decisions"]
    assert [one["trigger"] for one in decisions] == ["submitted", "place_may_be_free"]


def test_flood_leaves_the_coordinators_room_for_others(hub: RunningHub, flood: Flood) -> None:
    coordinator = hub.participants.staff("coordinator")
    sender = hub.organization("kg.osh-legal-aid")
    facts = {**hub.facts("nobody"), "urgency": "routine"}
    referral_id = sender.hub.submit(facts, case=plain(hub.network.referral("nobody").case))["id"]
    sender.await_message("referral.unplaced", referral_id)
    page = coordinator.queue_page("unplaced", limit=20)
    assert referral_id in [one["id"] for one in page["items"]]
    messages = coordinator.mailbox(types=["referral.unplaced", "alerts.counted"], limit=200)["items"]
    alerts = [one["data"]["sender"] for one in messages if one["type"] == "kopuro.referral.unplaced.v1"]
    # The next hour may have begun during the flood.
    assert alerts.count(HOSTILE) in range(SINGLE, 2 * SINGLE + 1)
    assert sender.id in alerts
    counts = [one["data"] for one in messages if one["type"] == "kopuro.alerts.counted.v1"]
    assert {(one["organization"], one["message_type"]) for one in counts} == {
        (HOSTILE, "kopuro.referral.unplaced.v1")
    }
    sender.hub.withdraw(referral_id, reason="other")
