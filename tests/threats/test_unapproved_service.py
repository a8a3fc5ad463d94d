"""An organisation vetted for money services declares help for trafficked people everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from kopuro_client import RefusedError
from sandbox.demo.participants import Participant
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until

ATTACKER = "kg.second-harvest"  # vetted, and a party to the agreement on sensitive cases
TRAFFICKING, VIOLENCE = "protection.trafficking", "protection.violence"
SERVICE = {
    "id": "rescue",
    "name": "Rescue",
    "needs": [TRAFFICKING, VIOLENCE, "psychosocial.crisis_support", "basic_needs.shelter"],
    "areas": ["KG", "KZ", "RU", "TJ", "UZ"],
    "languages": ["ky", "ru", "tg", "uz"],
    "cost": "free",
    "capacity": {"status": "capacity", "updated_at": "2026-03-01T09:00:00Z"},
    "always_open": True,
}


@pytest.fixture(scope="module")
def observed(hub: RunningHub) -> Iterator[str]:
    """The id of an open referral. A search for it shows what routing's replica says now.

    A referral for each look would exclude its sender soon: withdrawn offers count (ADR 0150).
    """
    sender, referral_id = hub.submit("girl-taken-to-the-city")
    until(lambda: sender.hub.referral(referral_id)["offers"] or None, "the offers")
    yield referral_id
    sender.hub.withdraw(referral_id, "placed_elsewhere")


@pytest.fixture
def attacker(hub: RunningHub) -> Iterator[Participant]:
    """The organisation with the new service among its own."""
    participant = hub.organization(ATTACKER)
    before = participant.hub.organization(ATTACKER)["services"]
    participant.hub.update_organization(ATTACKER, {"services": [*before, SERVICE]})
    yield participant
    participant.hub.update_organization(ATTACKER, {"services": before})
    approve(hub, withdrawn=True)


def approve(
    hub: RunningHub, *, role: str = "coordinator", needs: tuple[str, ...] = (), withdrawn: bool = False
) -> int:
    """Approve the attacker's service, or withdraw its approval; return the status."""
    address = f"{hub.address('directory')}/v1/organizations/{ATTACKER}"
    authorization = {"Authorization": f"Bearer {hub.token(role)}"}
    seen = {"If-Match": httpx.get(address, headers=authorization).headers.get("ETag", '"0"')}
    answer = httpx.post(
        f"{address}/services/rescue/approval{'/withdraw' if withdrawn else ''}",
        json={"reason": "person_at_risk"} if withdrawn else {"needs": list(needs)},
        headers={**authorization, **({} if withdrawn else seen)},
    )
    return answer.status_code


def verdict(hub: RunningHub, key: str) -> tuple[set[str], Mapping[str, Any] | None]:
    """Submit a sample referral; return who is asked, and the attacker's failed rules by reason."""
    sender, referral_id = hub.submit(key)

    def decided() -> Mapping[str, Any] | None:
        try:
            decisions = sender.hub.decision(referral_id)["decisions"]
        except RefusedError as refusal:
            if refusal.type != "urn:kopuro:problem:not-found":
                raise
            return None  # routing has not read the referral yet
        return decisions[0] if decisions else None

    decision = until(decided, "the decision")
    asked = {offer["organization"] for offer in sender.hub.referral(referral_id)["offers"]}
    sender.hub.withdraw(referral_id, "placed_elsewhere")
    for candidate in decision["candidates"]:
        if candidate["organization"] == ATTACKER:
            return asked, {
                rule["reason"]: rule["detail"] for rule in candidate["rules"] if not rule["passed"]
            }
    return asked, None


def until_routing_has_the_service(hub: RunningHub, observed: str, *, approved: bool = False) -> None:
    """Wait until routing's replica has the new service, and its approval or none."""
    coordinator = hub.participants.staff("coordinator")

    def has() -> bool:
        services = coordinator.candidates(observed, organization=ATTACKER)["candidates"]
        rules = {one["service"]: one["rules"] for one in services}.get("rescue")
        if rules is None:
            return False
        # The observed referral may have been offered to the attacker meanwhile. Another rule is about that.
        failed = {rule["reason"] for rule in rules if not rule["passed"]}
        return ("service_not_approved" not in failed) == approved

    until(has, f"the service in routing's replica, approved: {approved}")


def test_service_that_nobody_approved_is_not_asked(
    hub: RunningHub, attacker: Participant, observed: str
) -> None:
    until_routing_has_the_service(hub, observed)
    asked, failed = verdict(hub, "girl-taken-to-the-city")
    assert failed == {"service_not_approved": {"service": "rescue", "needs": [TRAFFICKING]}}
    assert ATTACKER not in asked


def test_organization_cannot_approve_its_own_service(hub: RunningHub, attacker: Participant) -> None:
    forged = [
        {"service": "rescue", "needs": [TRAFFICKING], "by": "kg.coordinator", "at": "2026-01-01T00:00:00Z"}
    ]
    with pytest.raises(RefusedError) as refusal:
        attacker.hub.update_organization(ATTACKER, {"approved_services": forged})
    assert refusal.value.type == "urn:kopuro:problem:forbidden"
    for role in (ATTACKER, "auditor"):
        assert approve(hub, role=role, needs=(TRAFFICKING,)) == 403
        assert approve(hub, role=role, withdrawn=True) == 403


def test_approved_service_is_asked_for_the_approved_need_alone(
    hub: RunningHub, attacker: Participant, observed: str
) -> None:
    until_routing_has_the_service(hub, observed)
    assert approve(hub, needs=(TRAFFICKING,)) == 200
    until_routing_has_the_service(hub, observed, approved=True)
    assert verdict(hub, "girl-taken-to-the-city")[1] == {}
    _, failed = verdict(hub, "husband-beats")
    assert failed is not None
    assert failed["service_not_approved"] == {"service": "rescue", "needs": [VIOLENCE]}

    assert approve(hub, role="operator", withdrawn=True) == 200
    until_routing_has_the_service(hub, observed)
    assert verdict(hub, "girl-taken-to-the-city")[1] != {}


def open_offer_to_the_attacker(
    hub: RunningHub, attacker: Participant, observed: str
) -> tuple[Participant, str, str]:
    """Approve the attacker's service, and return the sender, the id and the offer of a referral to it."""
    until_routing_has_the_service(hub, observed)
    assert approve(hub, needs=(TRAFFICKING,)) == 200
    until_routing_has_the_service(hub, observed, approved=True)
    sender, referral_id = hub.submit("girl-taken-to-the-city")
    until(lambda: sender.hub.referral(referral_id)["offers"] or None, "the offers")
    try:
        hub.participants.staff("coordinator").place(referral_id, ATTACKER, reason="person_at_risk")
    except RefusedError as refusal:
        # Routing has asked it already, or has just done so: an emergency asks several.
        if refusal.type != "urn:kopuro:problem:conflict":
            raise
    offer = attacker.await_message("offer.opened", referral_id)
    return sender, referral_id, offer["offer_id"]


@pytest.mark.parametrize("end", ["withdrawn", "widened"])
def test_open_offer_of_a_service_that_loses_its_approval_is_revoked_and_made_to_the_next(
    hub: RunningHub, attacker: Participant, observed: str, end: str
) -> None:
    others = [one for one in attacker.hub.organization(ATTACKER)["services"] if one["id"] != "rescue"]
    smaller = {**SERVICE, "areas": ["RU", "TJ"]}
    attacker.hub.update_organization(ATTACKER, {"services": [*others, smaller]})
    sender, referral_id, offer_id = open_offer_to_the_attacker(hub, attacker, observed)
    if end == "withdrawn":
        assert approve(hub, role="operator", withdrawn=True) == 200
    else:
        attacker.hub.update_organization(ATTACKER, {"services": [*others, SERVICE]})
    revoked = attacker.await_message("offer.revoked", referral_id)
    assert (revoked["offer_id"], revoked["reason"]) == (offer_id, "approval_ended")

    def following() -> bool:
        offers = sender.hub.referral(referral_id)["offers"]
        return any(one["state"] == "open" and one["organization"] != ATTACKER for one in offers)

    until(following, "the next offer")
    attacker.hub.accept(offer_id)
    refused = attacker.await_message("answer.refused", referral_id)
    assert refused["problem"]["type"] == "urn:kopuro:problem:offer-closed"
    sender.hub.withdraw(referral_id, "placed_elsewhere")


def test_approval_does_not_cover_what_the_organization_adds_to_its_service(
    hub: RunningHub, attacker: Participant, observed: str
) -> None:
    until_routing_has_the_service(hub, observed)
    others = [one for one in attacker.hub.organization(ATTACKER)["services"] if one["id"] != "rescue"]
    local = {**SERVICE, "areas": ["KG-N"], "eligibility": {"sexes": ["female"]}}
    attacker.hub.update_organization(ATTACKER, {"services": [*others, local]})
    assert approve(hub, needs=(TRAFFICKING,)) == 200
    attacker.hub.update_organization(ATTACKER, {"services": [*others, SERVICE]})
    assert attacker.hub.organization(ATTACKER)["approved_services"] == []
    until_routing_has_the_service(hub, observed)
    _, failed = verdict(hub, "girl-taken-to-the-city")
    assert failed == {"service_not_approved": {"service": "rescue", "needs": [TRAFFICKING]}}
