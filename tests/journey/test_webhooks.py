"""Webhooks from a real hub to a real receiver, through the partner's client."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlsplit

import httpx
import pytest

from contracts.facts import TYPE_PREFIX
from kopuro_client import RefusedError
from kopuro_client.records import WebhookAttempt
from kopuro_client.webhooks import Webhooks
from tests.journey.running_hub import STRANGER, RunningHub
from tests.journey.waiting import until
from tests.support.webhook_receiver import Received, WebhookReceiver

CANARY = "Azamat Webhookov"


def test_partner_hears_of_its_mailbox_and_verifies_every_request(hub: RunningHub) -> None:
    key = "wage-claim-osh-moscow"
    sender, referral_id = hub.submit(key, case={"name": CANARY, "phones": [], "narrative": CANARY})
    candidate, offer_id = hub.next_offer(sender, referral_id)
    webhooks = candidate.hub.webhooks
    with WebhookReceiver() as receiver:
        new = webhooks.register(receiver.url)
        endpoint = new["endpoint"]["id"]
        webhooks.test(endpoint)  # challenges it now, not in five seconds
        until(lambda: webhooks.endpoint(endpoint)["state"] == "active", "the endpoint is verified")

        candidate.hub.accept(offer_id)
        expected = [f"{TYPE_PREFIX}{name}.v1" for name in ("offer.accepted", "case.released")]
        heard = receiver.until(lambda all_: set(expected) <= {each.type for each in all_})
        for request in heard:
            request.verify(new["secret"], new["public_key"])
            assert CANARY not in request.body.decode()
        (accepted,) = [each for each in heard if each.type == expected[0]]
        assert accepted.document["data"]["referral_id"] == referral_id

        rotated = webhooks.rotate_secret(endpoint)
        candidate.hub.complete(referral_id, "resolved")
        receiver.until(lambda all_: bool(_of(all_, "referral.completed")))
        (completed, *_) = _of(receiver.received, "referral.completed")
        for one in (new, rotated):
            completed.verify(one["secret"], one["public_key"])

        # The address in a notice reads its message, also once that is acknowledged.
        token = hub.token(candidate.id)
        (changed, *_) = _of(
            receiver.until(lambda all_: bool(_of(all_, "webhook.changed"))), "webhook.changed"
        )
        candidate.hub.acknowledge(changed.id)
        for notice in (completed, changed):
            (item,) = httpx.get(
                notice.document["data"]["mailbox"],
                headers={"Authorization": f"Bearer {token}"},
            ).json()["items"]
            assert item["id"] == notice.id

        page = webhooks.attempts_page(endpoint)
        assert {each["response"]["status"] for each in page["items"] if each["response"]} <= {200, 204}
        assert CANARY not in str(page) + str(webhooks.notices_page(endpoint))
        webhooks.delete(endpoint)
    assert webhooks.endpoints() == []
    assert CANARY not in hub.logs()
    for secret in (new["secret"], rotated["secret"]):
        assert secret not in hub.logs()
    assert 'kopuro_webhook_attempts_total{result="sent"}' in hub.operations("delivery", "/metrics").text


def test_webhook_reaches_no_port_of_the_hub(hub: RunningHub) -> None:
    webhooks = hub.organization(STRANGER).hub.webhooks
    for url in (
        f"{hub.address('delivery')}/v1/mailbox",
        f"{hub.address('intake')}/v1/referrals",
        f"http://127.0.0.1:{hub.files.ports('vault').operations}/metrics",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]:80/",
        "http://10.0.0.1/",
    ):
        with pytest.raises(RefusedError) as refused:
            webhooks.register(url)
        assert (refused.value.status, refused.value.type) == (422, "urn:kopuro:problem:invalid-submission")
    # A name is looked up when the hub connects.
    for port in (urlsplit(hub.address("delivery")).port, hub.files.ports("vault").operations):
        url = f"http://localhost:{port}/metrics"
        endpoint = webhooks.register(url)["endpoint"]["id"]
        webhooks.test(endpoint)
        (attempt,) = until(partial(_attempts, webhooks, endpoint), "an attempt")
        assert (attempt["fault"], attempt["response"]) == ("address-refused", None)
        webhooks.delete(endpoint)


def _attempts(webhooks: Webhooks, endpoint: str) -> list[WebhookAttempt] | None:
    return webhooks.attempts_page(endpoint)["items"] or None


def _of(requests: list[Received], name: str) -> list[Received]:
    return [each for each in requests if each.type == f"{TYPE_PREFIX}{name}.v1"]
