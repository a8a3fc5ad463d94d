"""A case that its sender replaces: later acceptors and the acceptors of all parts get the new one."""

from __future__ import annotations

from typing import Any

from contracts.records import plain
from kopuro_client import RefusedError
from sandbox.demo.participants import Participant
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until

KEY = "wage-claim-osh-moscow"
NEEDS = ["legal.wage_claim", "information.rights"]


def test_replaced_case_reaches_the_next_acceptor_and_every_part(hub: RunningHub) -> None:
    newer = _newer(hub)
    sender, former, referral = hub.accepted(KEY)
    sender.hub.replace_case(referral, newer)
    until(lambda: _opens(former, referral) == newer, "the new case at its acceptor")
    former.hub.hand_back(referral, "needs_reassessment")
    sender.await_message("referral.handed_back", referral)
    following = _accepted(hub, sender, referral)
    assert following.id != former.id
    assert _opens(following, referral) == newer
    sender.hub.withdraw(referral, "other")

    facts = hub.facts(KEY)
    consent = {**facts["consent"], "several_organizations": True}
    sender, whole = hub.submit(KEY, **{**facts, "needs": NEEDS, "consent": consent})
    first, second = sender.await_message("referral.split", whole)["parts"]
    holders = [(_accepted(hub, sender, part), part) for part in (first, second)]
    sender.hub.replace_case(whole, newer)
    for holder, part in holders:
        until(lambda holder=holder, part=part: _opens(holder, part) == newer, "the new case of a part")  # type: ignore[misc]
    sender.hub.withdraw(whole, "other")


def test_next_acceptor_is_asked_for_when_a_case_was_replaced_for_one_acceptor(hub: RunningHub) -> None:
    """The sender's system seals each replacement to the acceptor only."""
    newer = _newer(hub)
    sender, former, referral = hub.accepted(KEY)
    sender.hub.replace_case(referral, newer, acceptor=former.id)
    until(lambda: _opens(former, referral) == newer, "the new case at its acceptor")
    former.hub.hand_back(referral, "needs_reassessment")
    sender.await_message("referral.handed_back", referral)
    following, offer_id = hub.next_offer(sender, referral)
    following.hub.accept(offer_id)
    assert sender.await_message("case.requested", referral)["organization"] == following.id
    following.await_message("case.requested", referral)
    assert _opens(following, referral) is None
    sender.hub.replace_case(referral, newer)
    following.await_message("case.released", referral)
    assert _opens(following, referral) == newer
    sender.hub.withdraw(referral, "other")


def _newer(hub: RunningHub) -> dict[str, Any]:
    case = plain(hub.network.referral(KEY).case)
    return {**case, "phones": ["+996700111111"], "safe_contact": "Never call the old number."}


def _accepted(hub: RunningHub, sender: Participant, referral: str) -> Participant:
    acceptor, offer_id = hub.next_offer(sender, referral)
    acceptor.hub.accept(offer_id)
    acceptor.await_message("case.released", referral)
    return acceptor


def _opens(holder: Participant, referral: str) -> Any:
    try:
        return holder.hub.case(referral)
    except RefusedError:
        return None
