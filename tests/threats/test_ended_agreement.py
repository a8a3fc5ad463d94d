"""An organisation that is no longer a party to the agreement accepts an offer that was made before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from kopuro_client import RefusedError
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until

SENSITIVE = "sensitive-cases"


@contextmanager
def without_party(hub: RunningHub, party: str) -> Iterator[None]:
    """Take a party out of the agreement on sensitive cases for the block."""
    before = agreement(hub)
    agree(hub, {**before, "parties": [one for one in before["parties"] if one != party]})
    try:
        yield
    finally:
        agree(hub, before)


def agreement(hub: RunningHub) -> Mapping[str, Any]:
    """Return the agreement as the directory has it now, without its revision."""
    listed = request(hub, "GET", params={"limit": 200}).json()["items"]
    found = next(one for one in listed if one["id"] == SENSITIVE)
    return {name: value for name, value in found.items() if name != "revision"}


def agree(hub: RunningHub, wanted: Mapping[str, Any]) -> None:
    changed = request(hub, "POST", json=wanted, headers={"If-Match": "*"})
    assert changed.status_code == 200, changed.text


def request(
    hub: RunningHub, method: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> httpx.Response:
    authorization = {"Authorization": f"Bearer {hub.token('operator')}"}
    address = f"{hub.address('directory')}/v1/agreements"
    return httpx.request(method, address, headers={**authorization, **(headers or {})}, **more)


def test_open_offer_of_a_former_party_is_revoked_and_releases_no_case(hub: RunningHub) -> None:
    sender, referral_id = hub.submit("girl-taken-to-the-city")

    def asked() -> list[tuple[str, str]] | None:
        parties = agreement(hub)["parties"]
        found = [
            (one["organization"], one["id"])
            for one in sender.hub.referral(referral_id)["offers"]
            if one["state"] == "open" and one["organization"] in parties
        ]
        return found or None

    holder, offer_id = until(asked, "the offers")[0]
    with without_party(hub, holder):
        participant = hub.organization(holder)
        revoked = participant.await_message("offer.revoked", referral_id)
        assert (revoked["offer_id"], revoked["reason"]) == (offer_id, "agreement_ended")
        participant.hub.accept(offer_id)
        refused = participant.await_message("answer.refused", referral_id)
        assert refused["problem"]["type"] == "urn:kopuro:problem:offer-closed"
        with pytest.raises(RefusedError) as caught:
            participant.hub.sealed_case(referral_id)
        assert caught.value.status == 404
    sender.hub.withdraw(referral_id, "placed_elsewhere")
