"""A suspension, from the operator's change in the directory to every party concerned."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from kopuro_client import RefusedError
from sandbox.demo.participants import Participant
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until
from tests.threats.readmission import readmitted_after

# From the operator's change until the next offer and the notice to the coordinators.
SECONDS = 5.0


def change_vetting(hub: RunningHub, organization: str, vetting: str) -> None:
    """Change a record as an operator does: read it, change it, send it back with its ETag."""
    address = f"{hub.address('directory')}/v1/organizations/{organization}"
    authorization = {"Authorization": f"Bearer {hub.token('operator')}"}
    read = httpx.get(address, headers=authorization)
    changed = httpx.put(
        address,
        json={**read.json(), "vetting": vetting},
        headers={**authorization, "If-Match": read.headers["ETag"]},
    )
    assert changed.status_code == 200, changed.text


@contextmanager
def suspended(hub: RunningHub, organization: str) -> Iterator[float]:
    """Suspend the organisation for the block; yield the monotonic time of the change."""
    with readmitted_after(hub, organization):
        change_vetting(hub, organization, "suspended")
        try:
            yield time.monotonic()
        finally:
            change_vetting(hub, organization, "vetted")


def told_to_coordinators(hub: RunningHub, fact: str, referral_id: str, within: float) -> Mapping[str, Any]:
    coordinator = hub.participants.staff("coordinator")

    def look() -> Mapping[str, Any] | None:
        after: str | None = None
        while True:
            page = coordinator.mailbox(limit=200, after=after)
            for message in page["items"]:
                data: Mapping[str, Any] = message["data"]
                if message["type"] == f"kopuro.{fact}.v1" and data["referral_id"] == referral_id:
                    coordinator.acknowledge(message["id"])
                    return data
            if (after := page["next"]) is None:
                return None

    return until(look, f"{fact} in the coordinators' mailbox", within=within)


def reads_the_case(player: Participant, referral_id: str) -> bool:
    try:
        player.hub.case(referral_id)
    except RefusedError as error:
        if error.type != "urn:kopuro:problem:forbidden":
            raise
        return False
    return True


def reads_its_mailbox(player: Participant) -> bool:
    try:
        player.hub.mailbox(limit=1)
    except RefusedError as error:
        if error.type != "urn:kopuro:problem:forbidden":
            raise
        return False
    return True


def test_open_offer_of_suspended_organization_is_made_to_the_next_within_seconds(hub: RunningHub) -> None:
    sender, referral_id = hub.submit("wage-claim-osh-moscow", urgency="urgent")
    asked, offer_id = hub.next_offer(sender, referral_id)

    with suspended(hub, asked.id) as at:
        following = until(
            lambda: next(
                (
                    offer
                    for offer in sender.hub.referral(referral_id)["offers"]
                    if offer["state"] == "open" and offer["organization"] != asked.id
                ),
                None,
            ),
            "the next offer",
            within=SECONDS,
        )
        told = told_to_coordinators(hub, "offer.revoked", referral_id, SECONDS)
        assert time.monotonic() - at < SECONDS
    # The organisation reads its mailbox again once it is readmitted.
    until(lambda: reads_its_mailbox(asked), "the readmission", within=SECONDS)
    revoked = asked.await_message("offer.revoked", referral_id, timeout=SECONDS)
    assert (revoked["offer_id"], revoked["reason"]) == (offer_id, "organization_suspended")
    assert told["organization"] == asked.id
    following_player = hub.organization(following["organization"])
    assert following_player.await_message("offer.opened", referral_id)["offer_id"] == following["id"]
    sender.hub.withdraw(referral_id, "placed_elsewhere")


def test_suspended_acceptor_loses_access_and_coordinators_are_notified(hub: RunningHub) -> None:
    sender, acceptor, referral_id = hub.accepted("wage-claim-osh-moscow", urgency="urgent")
    assert reads_the_case(acceptor, referral_id)

    with suspended(hub, acceptor.id) as at:
        told = sender.await_message("referral.acceptor_suspended", referral_id, timeout=SECONDS)
        assert told_to_coordinators(hub, "referral.acceptor_suspended", referral_id, SECONDS) == told
        until(lambda: not reads_the_case(acceptor, referral_id), "the refusal of the case", within=SECONDS)
        assert time.monotonic() - at < SECONDS
        assert hub.participants.staff("coordinator").referral(referral_id)["acceptor"] == told["organization"]
    assert told["organization"] == acceptor.id
    facts = sender.hub.referral(referral_id)["facts"] or {}
    assert {name: told[name] for name in ("urgency", "region", "needs")} == {
        name: facts[name] for name in ("urgency", "region", "needs")
    }
    until(lambda: reads_the_case(acceptor, referral_id), "the case after the readmission")
    acceptor.hub.complete(referral_id, "resolved")
    sender.await_message("referral.completed", referral_id)
