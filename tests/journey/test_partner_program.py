"""A partner's program, written from docs/integrating.md and the published contracts alone.

It closes a loop with httpx, joserfc and a JSON Schema validator, without kopuro_client. Each answer of the
hub and each message is checked against the contracts: it has no member that they do not describe.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import httpx
from joserfc import jwe
from joserfc.jwk import OKPKey

from tests.journey.published_contract import PublishedApi, check_message, check_webhook
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until
from tests.support.webhook_receiver import Received, WebhookReceiver

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "referral.json"
SENDER, RECEIVER = "kg.osh-legal-aid", "ru.moscow-common-table"
API = PublishedApi()


class PartnerProgram:
    """One organisation's program. credential: client_id, client_secret and sealing_key (a private JWK)."""

    def __init__(self, discovery: str, credential: dict[str, Any]) -> None:
        self._http = httpx.Client(timeout=40)
        self.hub = API.checked(self._http.get(discovery))
        self._key = OKPKey.import_key(credential["sealing_key"])
        token = self._http.post(
            f"{self.hub['services']['directory']}/oauth/token",
            auth=(credential["client_id"], credential["client_secret"]),
            data={"grant_type": "client_credentials"},
        )
        self._http.headers["Authorization"] = f"Bearer {API.checked(token)['access_token']}"

    def send(
        self, method: str, service: str, path: str, body: Any = None, *, status: int = 200, **headers: str
    ) -> Any:
        """Send a request that follows the contract; return the checked answer, which has the status."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self._http.request(
            method, self.hub["services"][service] + path, json=body, headers=named, follow_redirects=False
        )
        assert answer.status_code == status, answer.text
        if body is not None and status < 400:
            API.check_request(answer.request)
        return API.checked(answer)

    def get(self, address: str) -> Any:
        return API.checked(self._http.get(address))

    def seal(self, content: Any, key: dict[str, Any]) -> str:
        header = {
            "alg": "ECDH-ES+A256KW",
            "enc": "A256GCM",
            "cty": "application/json",
            "kid": OKPKey.import_key(key).thumbprint(),
        }
        return jwe.encrypt_compact(
            header, json.dumps(content), OKPKey.import_key(key), algorithms=["ECDH-ES+A256KW", "A256GCM"]
        )

    def open(self, sealed: str) -> Any:
        opened = jwe.decrypt_compact(sealed, self._key, algorithms=["ECDH-ES+A256KW", "A256GCM"])
        assert opened.plaintext is not None
        return json.loads(opened.plaintext)

    def read(self, query: str, *wanted: str, referral: str) -> dict[str, Any]:
        """Poll the mailbox until it has these messages of the referral; return them by name."""
        found: dict[str, Any] = {}

        def all_are_there() -> bool:
            page = self.send("GET", "delivery", f"/v1/mailbox?wait=5&limit=200{query}")
            for message in page["items"]:
                check_message(message)
                if message["partitionkey"] == referral:
                    found[message["type"].removeprefix("kopuro.").removesuffix(".v1")] = message
            return set(wanted) <= found.keys()

        until(all_are_there, f"{wanted} in the mailbox")
        return found


def test_program_from_the_documents_closes_a_loop_and_every_answer_follows_the_contracts(
    hub: RunningHub,
) -> None:
    discovery, credentials = hub.files.discovery_address(), hub.people["organizations"]
    started = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    sender = PartnerProgram(discovery, credentials[SENDER])
    receiver = PartnerProgram(discovery, credentials[RECEIVER])

    with WebhookReceiver() as endpoint:
        archive = {"types": ["kopuro.offer.opened.v1"]}
        made = receiver.send("PUT", "delivery", "/v1/mailbox/consumers/archive", archive)
        assert made["types"] == ["offer.opened"]  # the contract that it pins decides the version
        webhook = receiver.send("POST", "delivery", "/v1/webhooks", {"url": endpoint.url}, status=201)
        at = f"/v1/webhooks/{webhook['endpoint']['id']}"
        receiver.send("POST", "delivery", f"{at}/test", status=202)  # challenges it now, not in five seconds
        until(lambda: receiver.send("GET", "delivery", at)["state"] == "active", "the endpoint is verified")

        # The sender excludes every other organisation, so that this one is asked.
        facts = json.loads(EXAMPLE.read_text(encoding="utf-8"))
        offering = sender.send("GET", "directory", "/v1/services?need=legal.wage_claim&limit=200")["items"]
        others = {one["organization"] for one in offering} - {RECEIVER}
        facts["consent"]["excluded_organizations"] = sorted(others)
        case = facts["case"]
        submission = {**facts, "case": sender.seal(case, sender.hub["custody_key"])}
        key = {"Idempotency_Key": f"partner-program-{webhook['endpoint']['id']}"}
        accepted = sender.send("POST", "intake", "/v1/referrals", submission, status=202, **key)
        assert sender.send("POST", "intake", "/v1/referrals", submission, status=202, **key) == accepted
        other = {**submission, "urgency": "routine"}
        refused = sender.send("POST", "intake", "/v1/referrals", other, status=409, **key)
        assert refused["type"] == "urn:kopuro:problem:idempotency-conflict"
        referral = accepted["id"]

        # The offer comes by webhook, which names the message in the mailbox.
        notice = _notice(endpoint, webhook, "offer.opened", referral)
        (offer,) = receiver.get(notice["data"]["mailbox"])["items"]
        check_message(offer)
        assert offer["id"] == notice["data"]["id"]
        assert case["name"] not in json.dumps(offer, ensure_ascii=False)
        archived = receiver.read("&consumer=archive", "offer.opened", referral=referral)["offer.opened"]
        assert archived == offer
        done = f"/v1/mailbox/{offer['id']}/acknowledge?consumer=archive"
        receiver.send("POST", "delivery", done, status=204)
        offer_id = offer["data"]["offer_id"]
        assert receiver.send("GET", "intake", f"/v1/offers/{offer_id}")["state"] == "open"
        receiver.send("POST", "intake", f"/v1/offers/{offer_id}/accept", {}, status=202)

        _notice(endpoint, webhook, "case.released", referral)
        assert receiver.open(receiver.send("GET", "delivery", f"/v1/case/{referral}")["case"]) == case
        rotated = receiver.send("POST", "delivery", f"{at}/secrets", status=201)
        receiver.send(
            "POST", "intake", f"/v1/referrals/{referral}/progress", {"status": "in_progress"}, status=202
        )
        _notice(endpoint, rotated, "referral.progressed", referral)
        receiver.send(
            "POST", "intake", f"/v1/referrals/{referral}/complete", {"outcome": "resolved"}, status=202
        )

        heard = sender.read(
            "", "offer.accepted", "referral.progressed", "referral.completed", referral=referral
        )
        assert heard["referral.completed"]["data"]["outcome"] == "resolved"
        ids = [message["id"] for message in heard.values()]
        results = sender.send("POST", "delivery", "/v1/mailbox:acknowledge", {"ids": ids})["items"]
        assert {one["status"] for one in results} == {204}
        assert sender.send("GET", "intake", f"/v1/referrals/{referral}")["status"] == "completed"

        # After a loss, both read again what they had. The receiver's offer is erased and keeps its place.
        again = sender.read(f"&from={started}", *heard, referral=referral)
        assert [again[name] for name in heard] == list(heard.values())
        erased = receiver.read(f"&from={started}", "message.closed", referral=referral)["message.closed"]
        assert (erased["id"], erased["data"]["message_type"]) == (offer["id"], offer["type"])
        receiver.send("GET", "delivery", f"{at}/attempts")
        receiver.send("GET", "delivery", f"{at}/notices")
        receiver.send("DELETE", "delivery", at, status=204)
        receiver.send("DELETE", "delivery", "/v1/mailbox/consumers/archive", status=204)


def test_faults_of_a_request_are_named_with_their_place(hub: RunningHub) -> None:
    program = PartnerProgram(hub.files.discovery_address(), hub.people["organizations"][RECEIVER])
    consumer, webhooks = "/v1/mailbox/consumers/archive", "/v1/webhooks"
    for method, path, body, pointer in (
        ("PUT", consumer, {"types": ["offer.opened", "kopuro.offer.opened.v2"]}, "/types/1"),
        ("PUT", consumer, {"contract": "2"}, "/contract"),
        ("PUT", consumer, {"start": "yesterday"}, "/start"),
        ("POST", webhooks, {"url": "http://127.0.0.1:9/", "types": ["offer.open"]}, "/types/0"),
    ):
        refused = program.send(method, "delivery", path, body, status=422)
        assert [one["pointer"] for one in refused["errors"]] == [pointer]
    for query, pointer in (
        ("from=2026-11-27T04:00:00+06:00", "/from"),  # `+` is a space in a URL
        ("type=offer", "/type"),
        ("consumer=My_Archive", "/consumer"),
    ):
        refused = program.send("GET", "delivery", f"/v1/mailbox?{query}", status=400)
        assert [one["pointer"] for one in refused["errors"]] == [pointer]
    wrong_service = httpx.get(f"{program.hub['services']['delivery']}/v1/referrals", timeout=10)
    assert (wrong_service.status_code, "/reference" in wrong_service.text) == (404, True)


def _notice(endpoint: WebhookReceiver, secret: dict[str, Any], name: str, referral: str) -> Any:
    """Return the body of the webhook request about a message of the referral, once it has come."""

    def told(received: list[Received]) -> list[Received]:
        wanted = f"kopuro.{name}.v1"
        return [
            one
            for one in received
            if one.type == wanted and one.document["data"].get("referral_id") == referral
        ]

    received = endpoint.until(lambda all_: bool(told(all_)))
    (request,) = told(received)
    request.verify(secret["secret"], secret["public_key"])
    for one in received:
        check_webhook(one.document)
    return request.document
