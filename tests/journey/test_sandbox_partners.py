"""The sandbox's organisations with fixed behaviour, on one hub with deadlines of seconds."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from contracts.records import plain
from kopuro_client.tracing.next_action import Owner
from sandbox.broker import PrivateBroker
from sandbox.demo.participants import Participant
from sandbox.hub import FAST_POLICY, Hub
from sandbox.partners.behaviour import Behaviour
from sandbox.partners.organizations import NEED, REGIONS, organization_id
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until

KEY = "second-candidate"
ACCEPTS = organization_id(Behaviour.accepts)
DECLINING = [behaviour for behaviour in Behaviour if behaviour.reason is not None]
# An offer's deadline, the next offer, and a report's deadline.
PATIENCE = 120.0


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory, broker: PrivateBroker) -> Iterator[RunningHub]:
    vhost = f"partners-{secrets.token_hex(6)}"
    environment = {**os.environ, "KOPURO_AMQP_URI": broker.add_vhost(vhost)}
    hub = Hub(tmp_path_factory.mktemp("partners"), partners=True, policy=FAST_POLICY, environment=environment)
    try:
        hub.start()
        yield RunningHub(hub, databases={})
    finally:
        hub.stop()
        broker.remove_vhost(vhost)


@pytest.fixture(scope="module")
def sender(fast: RunningHub) -> Participant:
    return fast.organization(fast.network.referral(KEY).sender)


def submit(fast: RunningHub, sender: Participant, **facts: Any) -> str:
    sample = fast.network.referral(KEY)
    whole = {**fast.facts(KEY), "needs": [NEED], "urgency": "urgent", **facts}
    return sender.hub.submit(whole, case=plain(sample.case))["id"]


@pytest.fixture(scope="module")
def referrals(fast: RunningHub, sender: Participant) -> Mapping[Behaviour, str]:
    """A referral in the region of each organisation, all submitted at once so that they wait together."""
    return {
        behaviour: submit(fast, sender, region="KZ-71")
        if behaviour is Behaviour.accepts
        else submit(fast, sender, region=REGIONS[behaviour])
        for behaviour in Behaviour
    }


def ends(sender: Participant, referral: str) -> list[tuple[str, str, str | None]] | None:
    """Return organisation, state and reason of each offer once the referral is completed."""
    found = sender.hub.referral(referral)
    if found["status"] != "completed":
        return None
    return [(offer["organization"], offer["state"], offer["reason"]) for offer in found["offers"]]


def completed(sender: Participant, referral: str) -> list[tuple[str, str, str | None]]:
    return until(lambda: ends(sender, referral), "the outcome", within=PATIENCE)


@pytest.mark.parametrize("behaviour", DECLINING)
def test_organization_declines_with_its_reason_and_the_next_one_accepts(
    sender: Participant, referrals: Mapping[Behaviour, str], behaviour: Behaviour
) -> None:
    assert completed(sender, referrals[behaviour]) == [
        (organization_id(behaviour), "declined", behaviour.reason),
        (ACCEPTS, "accepted", None),
    ]


def test_accepting_organization_closes_the_loop(
    sender: Participant, referrals: Mapping[Behaviour, str]
) -> None:
    assert completed(sender, referrals[Behaviour.accepts]) == [(ACCEPTS, "accepted", None)]
    assert sender.hub.trace(referrals[Behaviour.accepts]).next.owner is Owner.nobody


def test_silent_organization_lets_its_offer_expire(
    sender: Participant, referrals: Mapping[Behaviour, str]
) -> None:
    offers = completed(sender, referrals[Behaviour.silent])
    assert [offer[:2] for offer in offers] == [
        (organization_id(Behaviour.silent), "expired"),
        (ACCEPTS, "accepted"),
    ]


def test_late_answer_is_refused(sender: Participant, referrals: Mapping[Behaviour, str]) -> None:
    offers = completed(sender, referrals[Behaviour.late])
    assert [offer[:2] for offer in offers] == [
        (organization_id(Behaviour.late), "expired"),
        (ACCEPTS, "accepted"),
    ]

    def refused() -> bool:
        return f"The answer of {organization_id(Behaviour.late)} could not" in sender.hub.story(
            referrals[Behaviour.late]
        )

    until(refused, "the refusal of the late answer", within=PATIENCE)


def test_unreadable_case_is_reported_and_opened_once_it_was_sent_again(
    fast: RunningHub, sender: Participant, referrals: Mapping[Behaviour, str]
) -> None:
    referral = referrals[Behaviour.unreadable]
    told = sender.await_message("case.unreadable", referral, timeout=PATIENCE)
    assert told["reason"] == "cannot_decrypt"
    sender.hub.replace_case(referral, plain(fast.network.referral(KEY).case))
    assert completed(sender, referral) == [(organization_id(Behaviour.unreadable), "accepted", None)]


def test_organization_that_never_reports_becomes_overdue(
    sender: Participant, referrals: Mapping[Behaviour, str]
) -> None:
    referral = referrals[Behaviour.no_report]
    told = sender.await_message("referral.overdue", referral, timeout=PATIENCE)
    assert told["organization"] == organization_id(Behaviour.no_report)
    assert sender.hub.trace(referral).next.action == "report_overdue"


def test_referral_that_is_handed_back_goes_to_the_next_one(
    sender: Participant, referrals: Mapping[Behaviour, str]
) -> None:
    offers = completed(sender, referrals[Behaviour.hands_back])
    assert [offer[:2] for offer in offers] == [
        (organization_id(Behaviour.hands_back), "returned"),
        (ACCEPTS, "accepted"),
    ]


def test_named_organization_that_declines_leaves_the_referral_unplaced(
    fast: RunningHub, sender: Participant
) -> None:
    behaviour = Behaviour.declines_language
    referral = submit(fast, sender, region=REGIONS[behaviour], to=organization_id(behaviour))
    sender.await_message("referral.unplaced", referral, timeout=PATIENCE)
    assert sender.hub.trace(referral).next.owner is Owner.network
