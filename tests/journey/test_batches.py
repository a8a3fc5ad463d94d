"""Two hundred referrals in one request, three of them invalid; lists longer than a page."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from typing import Any

import httpx

from contracts.records import plain
from kopuro_client.records import Page, ReferralSummary
from sandbox.demo.participants import Participant
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until

LINES = 200
# No organisation of the sample network has a bed in Kamchatka, so all referrals stay in the list.
KEY = "nobody"
SENDER = "kg.garment-workers-union"


def test_batch_admits_valid_lines_and_reports_invalid_ones(hub: RunningHub) -> None:
    sender = hub.organization(SENDER)
    sealed = sender.hub.seal(plain(hub.network.referral(KEY).case))
    document = {**hub.facts(KEY), "case": sealed}
    lines = [
        json.dumps({**document, "idempotency_key": f"{hub.address('intake')}-{n}"}) for n in range(LINES)
    ]
    lines[10] = '{"needs": ['
    lines[100] = json.dumps({**document, "needs": ["legal.wage_claim", "legal.witchcraft"]})
    lines[199] = json.dumps({name: value for name, value in document.items() if name != "consent"})

    results = _send(hub, lines)

    assert [result["line"] for result in results] == list(range(1, LINES + 1))
    assert Counter(result["status"] for result in results) == {202: 197, 400: 1, 422: 2}
    assert results[10]["problem"]["type"] == "urn:kopuro:problem:malformed-json"
    assert _pointers(results[100]) == ["/needs/1"]
    assert _pointers(results[199]) == ["/consent"]
    admitted = [result["id"] for result in results if result["status"] == 202]
    assert len(set(admitted)) == 197

    until(lambda: len(_unplaced(sender)) == 197, "the batch before the coordinator")
    assert set(_unplaced(sender)) == set(admitted)
    waiting = [item["id"] for item in hub.participants.staff("coordinator").unplaced(limit=60)]
    assert Counter(waiting) & Counter(admitted) == Counter(admitted)
    # Sent again because the answer was lost: the same ids, nothing twice.
    again = _send(hub, lines)
    assert [result.get("id") for result in again] == [result.get("id") for result in results]
    _page_through_the_referrals(sender, set(admitted))
    _page_through_the_mailbox(sender, set(admitted))


def _page_through_the_referrals(sender: Participant, admitted: set[str]) -> None:
    seen: list[str] = []
    sizes = []
    after = None
    for _ in range(10):
        page: Page[ReferralSummary] = sender.hub.referrals_page(after=after, limit=50)
        sizes.append(len(page["items"]))
        seen += [item["id"] for item in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert sizes == [50, 50, 50, 47]
    assert Counter(seen) == Counter(admitted)
    assert not list(sender.hub.referrals(status="completed"))


def _page_through_the_mailbox(sender: Participant, admitted: set[str]) -> None:
    """The mailbox returns the same messages in order until they are acknowledged, then no more."""
    first, again = (_mailbox(sender) for _ in range(2))
    assert [message["id"] for message in first] == [message["id"] for message in again]
    told = [m["data"]["referral_id"] for m in first if m["type"] == "kopuro.referral.unplaced.v1"]
    assert Counter(told) == Counter(admitted)
    for message in itertools.islice(first, 5):
        sender.hub.acknowledge(message["id"])
    assert [message["id"] for message in _mailbox(sender)] == [message["id"] for message in first[5:]]


def _mailbox(player: Participant) -> list[Any]:
    messages: list[Any] = []
    after = None
    while True:
        page = player.hub.mailbox(after=after, limit=40)
        assert len(page["items"]) <= 40
        messages += page["items"]
        after = page["next"]
        if not page["items"] or after is None:
            return messages


def _unplaced(player: Participant) -> list[str]:
    return [item["id"] for item in player.hub.referrals(status="unplaced", limit=100)]


def _send(hub: RunningHub, lines: list[str]) -> list[dict[str, Any]]:
    answer = httpx.post(
        f"{hub.address('intake')}/v1/referrals:batch",
        content="\n".join(lines).encode(),
        headers={
            "Authorization": f"Bearer {hub.token(SENDER)}",
            "Content-Type": "application/x-ndjson",
        },
        timeout=30,
    )
    assert answer.status_code == 200
    return [json.loads(line) for line in answer.text.splitlines()]


def _pointers(result: dict[str, Any]) -> list[str]:
    return [error["pointer"] for error in result["problem"]["errors"]]
