"""A member submits referrals and withdraws them again and again, to fill a candidate's mailbox."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence

import pytest

from contracts.records import plain
from sandbox.demo.participants import Participant
from services.routing.domain.places import OffersPerSender
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until

# One candidate, ru.baikal-shore-help, whose maximum is 15.
REFERRAL = "food-for-the-dormitory"
CANDIDATE = "ru.baikal-shore-help"
PLACES = 15
# More referrals than can be offered, but few enough that each unplaced one has its own alert.
CYCLES = 27
HOSTILE = "kg.find-the-road"
ALLOWED = OffersPerSender().withdrawn


@pytest.fixture(scope="module")
def withdrawn(hub: RunningHub) -> Sequence[str]:
    """The ids of routine referrals that a member has submitted and withdrawn at once, three at a time."""
    sender = hub.organization(HOSTILE)
    facts = {**hub.facts(REFERRAL), "urgency": "routine"}
    case = plain(hub.network.referral(REFERRAL).case)
    ids: list[str] = []
    for _ in range(CYCLES // 3):
        made = [one["id"] for one in sender.hub.submit_batch([{**facts, "case": case}] * 3)]
        sender.hub.submit_statements(
            [{"submit": "withdraw", "referral_id": one, "reason": "entered_in_error"} for one in made]
        )
        ids += made
    return ids


def statuses(sender: Participant, ids: Sequence[str]) -> Counter[str]:
    """Count the member's referrals by status."""
    wanted = set(ids)
    return Counter(one["status"] for one in sender.hub.referrals(limit=200) if one["id"] in wanted)


def test_every_withdrawal_takes_effect_and_few_reach_the_candidate(
    hub: RunningHub, withdrawn: Sequence[str]
) -> None:
    sender, candidate = hub.organization(HOSTILE), hub.organization(CANDIDATE)
    until(lambda: statuses(sender, withdrawn) == {"entered_in_error": CYCLES}, "the withdrawals", within=60)
    offered = {one for one in withdrawn if any(sender.hub.referral(one)["offers"])}
    # Besides the bound, at most the offers count that were open when it was reached.
    assert ALLOWED <= len(offered) < ALLOWED + PLACES

    def told() -> Counter[str]:
        messages = candidate.hub.mailbox(limit=200)["items"]
        return Counter(one["type"] for one in messages if one["data"]["referral_id"] in withdrawn)

    # An offer that its holder has not read is closed when it is revoked.
    both = {"kopuro.message.closed.v1": len(offered), "kopuro.offer.revoked.v1": len(offered)}
    until(lambda: told() == both, "the candidate's messages")


def test_sender_reads_why_its_next_referral_waits_and_until_when(
    hub: RunningHub, withdrawn: Sequence[str]
) -> None:
    sender = hub.organization(HOSTILE)
    facts = {**hub.facts(REFERRAL), "urgency": "routine"}
    referral_id = sender.hub.submit(facts, case=plain(hub.network.referral(REFERRAL).case))["id"]
    sender.await_message("referral.unplaced", referral_id)
    (decision,) = sender.hub.decision(referral_id)["decisions"]
    (candidate,) = decision["candidates"]
    (failed,) = [rule for rule in candidate["rules"] if not rule["passed"]]
    assert (failed["rule"], failed["reason"]) == ("place_left", "withdrawn_too_often")
    left = dt.datetime.fromisoformat(failed["detail"]["until"]) - dt.datetime.now(dt.UTC)
    assert dt.timedelta() < left <= dt.timedelta(hours=1, minutes=1)
    sender.hub.withdraw(referral_id, reason="other")


def test_other_sender_is_offered_after_the_cycles(hub: RunningHub, withdrawn: Sequence[str]) -> None:
    sender, referral_id = hub.submit(REFERRAL, urgency="routine")
    asked, _ = hub.next_offer(sender, referral_id)
    assert asked.id == CANDIDATE
    sender.hub.withdraw(referral_id, reason="other")


def test_urgent_referral_of_the_same_sender_is_offered_after_routine_cycles(
    hub: RunningHub, withdrawn: Sequence[str]
) -> None:
    sender = hub.organization(HOSTILE)
    facts = {**hub.facts(REFERRAL), "urgency": "urgent"}
    referral_id = sender.hub.submit(facts, case=plain(hub.network.referral(REFERRAL).case))["id"]
    asked, _ = hub.next_offer(sender, referral_id)
    assert asked.id == CANDIDATE
    sender.hub.withdraw(referral_id, reason="other")
