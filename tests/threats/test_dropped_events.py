"""A thief takes events out of the log's queue before audit reads them. Their authors notice it."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from contextlib import closing
from typing import Any

import httpx

from contracts.topology import LOG_QUEUE
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until
from tests.threats.conftest import RECEIPT_SECONDS
from tests.threats.thief import Thief

REFERRAL = "wage-claim-osh-moscow"


def warning(hub: RunningHub, service: str) -> str:
    found: str = hub.operations(service, "/readyz").json()["warnings"]["receipts"]
    return found


def offered_again(hub: RunningHub, service: str) -> float:
    for line in hub.operations(service, "/metrics").text.splitlines():
        if line.startswith("kopuro_events_offered_again_total "):
            return float(line.split()[1])
    return 0.0


def is_ready(hub: RunningHub, service: str) -> bool:
    try:
        return hub.operations(service, "/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def test_event_taken_from_the_logs_queue_is_reported_and_logged_after_all(hub: RunningHub) -> None:
    before = offered_again(hub, "routing")
    stolen: list[dict[str, Any]] = []
    with closing(Thief(hub).consumer(LOG_QUEUE)) as thief:
        thief.take(1, 0.2)  # waits behind audit, and is next when audit's connection ends
        os.kill(hub.pid("audit"), signal.SIGKILL)
        sender, referral_id = hub.submit(REFERRAL)
        hub.next_offer(sender, referral_id)

        def has_offer() -> bool:
            taken = thief.take(1000, 0.5)
            thief.acknowledge(taken)
            stolen.extend(json.loads(one.body) for one in taken)
            return any(
                one["type"] == "kopuro.offer.opened.v1" and one["partitionkey"] == referral_id
                for one in stolen
            )

        until(has_offer, "the stolen offer")
    until(lambda: is_ready(hub, "audit"), "audit", within=60)
    ids = {one["id"] for one in stolen if one["partitionkey"] == referral_id}
    # The authors' own copies bring the events into the log without anybody's help.
    auditor = hub.participants.staff("auditor")

    def are_logged() -> bool:
        entries = auditor.history(referral=referral_id, limit=200)["items"]
        found = Counter(entry["message_id"] for entry in entries)
        assert set(found.values()) <= {1}, "an event stands in the log twice"
        return ids <= found.keys()

    until(are_logged, "the stolen events in the log", within=RECEIPT_SECONDS * 6)
    assert offered_again(hub, "routing") > before
    # The alarm stays although the log is complete again.
    until(lambda: "were offered to the log again" in warning(hub, "routing"), "routing's warning")
    lines = [json.loads(line) for line in hub.files.log("routing").read_text(encoding="utf-8").splitlines()]
    reported = {
        line["message_id"]
        for line in lines
        if line["message"] == "event without a receipt, offered to the log again"
        and line["event_type"] == "kopuro.offer.opened.v1"
    }
    assert reported & ids
