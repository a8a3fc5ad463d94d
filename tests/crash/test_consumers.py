"""Consumers killed at each crash point of a message: delivered, processed, committed, acknowledged.

Every crash point that `runtime.messaging.inbox` and `entrypoints` name lies between two of these moments.
"""

from __future__ import annotations

import pytest

from contracts.codes import DeclineReason
from contracts.facts import (
    CaseReleased,
    EventsLogged,
    OfferDeclined,
    OfferOpened,
    PartOpened,
    ReferralSplit,
    ReferralSubmitted,
    ReferralUnplaced,
)
from contracts.part_id import part_id
from runtime.identifiers import new_id
from runtime.messaging.outbox.unreceipted import digest_text
from tests.crash.crashing import CrashHub, Listener, consumed, until
from tests.crash.faults import Moment, named
from tests.services.neighbours import ACCEPTOR, SENDER, accepted, opened, revoked
from tests.unit.services.routing.samples import consent, facts

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

# How often the message takes effect and how often it is known, after the restart.
MOMENTS = [
    # "delivered, not committed"
    (Moment.delivered, 1, 0),
    (Moment.before_commit, 1, 0),
    # "committed, not yet acknowledged"
    (Moment.before_acknowledgement, 0, 1),
    (Moment.acknowledged, 0, 0),
]


@pytest.mark.parametrize(("moment", "applied", "known"), MOMENTS, ids=named)
def test_mailbox_has_fact_once_when_delivery_is_killed(
    crash_hub: CrashHub, moment: Moment, applied: int, known: int
) -> None:
    crashing = crash_hub.crashing_delivery()
    fact, next_fact = revoked(), revoked()
    with crashing.dying:
        crashing.until_settled()
        crashing.plan(moment)
        crash_hub.publish(fact)
        crashing.until_dead()
    # It is behind the first one in the queue: once it is processed, so are all redeliveries.
    crash_hub.publish(next_fact)
    with crashing.whole:
        crashing.whole.until_ready()
        until(
            lambda: consumed(crashing.whole, "delivery.events", "applied") == applied + 1,
            "what came again, and the next fact",
        )
        assert consumed(crashing.whole, "delivery.events", "known") == known
        items = crash_hub.mailbox(crashing.whole)
        assert items is not None
        assert [item["data"]["offer_id"] for item in items] == [fact.offer_id, next_fact.offer_id]
    assert crashing.rows("mailbox_messages") == 2


@pytest.mark.parametrize("moment", [Moment.before_commit, Moment.before_acknowledgement], ids=named)
def test_message_is_closed_when_delivery_is_killed_at_the_end_of_its_offer(
    crash_hub: CrashHub, moment: Moment
) -> None:
    crashing = crash_hub.crashing_delivery()
    offer = opened()
    with crashing.dying:
        crashing.until_settled()
        crash_hub.publish(offer)
        until(lambda: consumed(crashing.dying, "delivery.events", "applied") == 1, "the offer is there")
        crashing.plan(moment)
        crash_hub.publish(
            OfferDeclined(
                referral_id=offer.referral_id,
                offer_id=offer.offer_id,
                organization=ACCEPTOR,
                sender=SENDER,
                reason=DeclineReason.language,
            )
        )
        crashing.until_dead()
    with crashing.whole:
        crashing.whole.until_ready()
        until(lambda: crashing.rows("ended_offers") == 1, "the end of the offer")
        items = crash_hub.mailbox(crashing.whole)
        assert items is not None
        (item,) = items
        assert (item["type"], item["data"]["reason"]) == ("kopuro.message.closed.v1", "declined")


@pytest.mark.parametrize(
    "moment", [Moment.delivered, Moment.before_acknowledgement, Moment.acknowledged], ids=named
)
def test_receipt_ends_the_copies_when_intake_is_killed(crash_hub: CrashHub, moment: Moment) -> None:
    crashing = crash_hub.crashing_intake()
    with crashing.dying:
        crashing.until_settled()
        until(lambda: bool(crashing.copies()), "a copy of the request for a snapshot")
        digests = tuple(digest_text(copy.body) for copy in crashing.copies())
        crashing.plan(moment)
        crash_hub.receipt(EventsLogged(service="intake", size=1, digests=digests))
        crashing.until_dead()
        # "receipted, copy not yet deleted"
        assert bool(crashing.copies()) == (moment is Moment.delivered)
    with crashing.whole:
        crashing.whole.until_ready()
        until(lambda: not crashing.copies(), "the copies are deleted")


@pytest.mark.parametrize("moment", [Moment.before_commit, Moment.before_acknowledgement], ids=named)
def test_referral_is_offered_once_when_routing_is_killed(
    crash_hub: CrashHub, listener: Listener, moment: Moment
) -> None:
    crashing = crash_hub.crashing_routing()
    with crashing.dying:
        crashing.until_settled()
        crashing.plan(moment)
        said = ReferralSubmitted(referral_id=new_id(), sender=SENDER, facts=facts())
        crash_hub.publish(said)
        crashing.until_dead()
    with crashing.whole:
        crashing.whole.until_ready()
        assert listener.until_heard(OfferOpened).referral_id == said.referral_id
        crashing.until_published()
        assert len(listener.effects(OfferOpened)) == 1
    assert crashing.rows("referrals") == crashing.rows("offers") == crashing.rows("decisions") == 1


@pytest.mark.parametrize("moment", [Moment.before_commit, Moment.before_acknowledgement], ids=named)
def test_referral_is_split_once_when_routing_is_killed_at_the_split(
    crash_hub: CrashHub, listener: Listener, moment: Moment
) -> None:
    crashing = crash_hub.crashing_routing()
    # The receivers meet the first need; the second one goes to the coordinators.
    stated = facts(needs=("legal.wage_claim", "basic_needs"), consent=consent(several_organizations=True))
    said = ReferralSubmitted(referral_id=new_id(), sender=SENDER, facts=stated)
    parts = (part_id(said.referral_id, 1), part_id(said.referral_id, 2))
    with crashing.dying:
        crashing.until_settled()
        crashing.plan(moment)
        crash_hub.publish(said)
        crashing.until_dead()
        assert crashing.rows("referrals") == (3 if moment is Moment.before_acknowledgement else 0)
    with crashing.whole:
        crashing.whole.until_ready()
        assert listener.until_heard(ReferralSplit).parts == parts
        crashing.until_published()
        assert len(listener.effects(ReferralSplit)) == 1
        assert {one.referral_id for one in listener.effects(PartOpened)} == set(parts)
        assert [one.referral_id for one in listener.effects(OfferOpened)] == [parts[0]]
        assert [one.referral_id for one in listener.effects(ReferralUnplaced)] == [parts[1]]
    assert (crashing.rows("referrals"), crashing.rows("offers"), crashing.rows("decisions")) == (3, 1, 2)


@pytest.mark.parametrize("moment", [Moment.before_commit, Moment.before_acknowledgement], ids=named)
def test_part_gets_the_case_when_vault_is_killed_at_the_split(
    crash_hub: CrashHub, listener: Listener, moment: Moment
) -> None:
    crashing = crash_hub.crashing_vault()
    case = crash_hub.sealed_case(new_id())
    parts = (part_id(case.referral_id, 1), part_id(case.referral_id, 2))
    with crashing.dying:
        crashing.until_settled()
        crash_hub.publish(case)
        until(lambda: consumed(crashing.dying, "vault.sealed", "applied") == 1, "the case is there")
        crashing.plan(moment)
        crash_hub.publish(ReferralSplit(referral_id=case.referral_id, sender=SENDER, parts=parts))
        crashing.until_dead()
    crash_hub.publish(accepted(parts[0]))
    with crashing.whole:
        crashing.whole.until_ready()
        letters = crash_hub.hear("delivery.sealed", lambda heard: bool(heard))
        released = listener.until_heard(CaseReleased)
        assert (released.referral_id, released.organization) == (parts[0], ACCEPTOR)
        crashing.until_published()
        assert len(listener.effects(CaseReleased)) == 1
    assert len({letter.id for letter in letters}) == 1
    assert (crashing.rows("custodies"), crashing.rows("sealed_cases")) == (3, 1)


@pytest.mark.parametrize("moment", [Moment.before_commit, Moment.before_acknowledgement], ids=named)
def test_case_is_released_once_when_vault_is_killed(
    crash_hub: CrashHub, listener: Listener, moment: Moment
) -> None:
    crashing = crash_hub.crashing_vault()
    case = crash_hub.sealed_case(new_id())
    with crashing.dying:
        crashing.until_settled()
        crash_hub.publish(case)
        until(lambda: consumed(crashing.dying, "vault.sealed", "applied") == 1, "the case is there")
        crashing.plan(moment)
        crash_hub.publish(accepted(case.referral_id))
        crashing.until_dead()
    with crashing.whole:
        crashing.whole.until_ready()
        letters = crash_hub.hear("delivery.sealed", lambda heard: bool(heard))
        assert listener.until_heard(CaseReleased).organization == ACCEPTOR
        crashing.until_published()
        assert len(listener.effects(CaseReleased)) == 1
    assert len({letter.id for letter in letters}) == 1
    assert crashing.rows("sealed_cases") == 1


def test_batch_whose_commit_is_reported_failed_is_redelivered_and_deduplicated(crash_hub: CrashHub) -> None:
    crashing = crash_hub.crashing_delivery()
    fact, next_fact = revoked(), revoked()
    with crashing.dying:
        crashing.until_settled()
        crashing.plan(Moment.commit_reported_failed)
        crash_hub.publish(fact)
        crashing.until_reached()
        crash_hub.publish(next_fact)
        until(lambda: crashing.rows("mailbox_messages") == 2, "the next fact is in the mailbox")
        items = crash_hub.mailbox(crashing.dying)
        assert items is not None
        assert [item["data"]["offer_id"] for item in items] == [fact.offer_id, next_fact.offer_id]
