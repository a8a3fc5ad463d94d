"""Partners in a chaos run: each is a thread that uses the public API and repeats failed requests."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import orjson

from tests.journey.running_hub import RunningHub
from tests.support.partners import PatientPartner

# A hub answers sooner than this after a kill. A partner that waits this long gives up, and so does the run.
PATIENCE_SECONDS = 120.0
_PAGE = 200
# The subject of a message besides its referral; each subject has one message.
_SUBJECTS = ("submission_id", "offer_id", "message_type")
# The content type of a batch.
LINES = {"Content-Type": "application/x-ndjson"}


@dataclass(kw_only=True)
class Diary:
    """Observations of all partners, for the verdict. Times are monotonic unless they come from the hub."""

    submitted: dict[str, float] = field(default_factory=dict)  # referral -> when intake admitted it
    offered: dict[str, float] = field(default_factory=dict)  # referral -> when its first offer was read
    offers: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # offer -> offer.opened
    offer_ends: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # offer -> event that ended it
    answers: dict[str, str] = field(default_factory=dict)  # offer -> its organisation's answer
    ended: dict[str, str] = field(default_factory=dict)  # referral -> completed, withdrawn or unplaced
    messages: dict[tuple[str, str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    again: list[str] = field(default_factory=list)  # messages received after their acknowledgement
    refused: list[str] = field(default_factory=list)


def patient(hub: RunningHub, who: str, stop: threading.Event | None = None) -> PatientPartner:
    """A client of an organisation or the staff for a hub whose processes are killed."""
    return PatientPartner(hub.address, lambda: hub.token(who), who=who, patience=PATIENCE_SECONDS, stop=stop)


class Partner(threading.Thread):
    """Reads one organisation's mailbox and answers its messages."""

    def __init__(
        self, hub: RunningHub, who: str, diary: Diary, random: Random, failed: Callable[[Exception], None]
    ) -> None:
        super().__init__(name=f"partner {who}", daemon=True)
        self.who = who
        self._diary, self._random, self._failed = diary, random, failed
        self._stop_asked = threading.Event()
        self._door = patient(hub, who, self._stop_asked)
        self._read: set[str] = set()
        self._acknowledged: set[str] = set()
        self._early: list[dict[str, Any]] = []

    def run(self) -> None:
        try:
            while not self._stop_asked.is_set():
                self._turn()
        except Exception as error:
            if not self._stop_asked.is_set():
                self._failed(error)
        finally:
            self._door.close()

    def stop(self) -> None:
        self._stop_asked.set()

    def _turn(self) -> None:
        page = self._door.ask("GET", "delivery", f"/v1/mailbox?limit={_PAGE}&wait=3").json()["items"]
        said, self._early = self._early, []
        for message in page:
            if message["id"] in self._acknowledged:
                self._diary.again.append(message["id"])
            elif message["id"] not in self._read:
                self._read.add(message["id"])
                said += self._answers(message)
        self._say(said)
        if page:
            ids = [message["id"] for message in page]
            self._door.ask(
                "POST", "delivery", "/v1/mailbox:acknowledge", json={"ids": ids}
            ).raise_for_status()
            self._acknowledged.update(ids)

    def _answers(self, message: Mapping[str, Any]) -> list[dict[str, Any]]:
        fact, data = message["type"].removeprefix("kopuro.").removesuffix(".v1"), message["data"]
        if fact == "receipts.issued":
            for receipt in data["receipts"]:
                logged = orjson.loads(receipt["head"])["message_id"]
                self._diary.messages[self.who, fact, logged].add(message["id"])
            return []
        if fact == "message.closed":
            return []  # several messages about one referral may have been closed
        referral = data["referral_id"]
        subject = next((data[name] for name in _SUBJECTS if name in data), referral)
        self._diary.messages[self.who, fact, f"{referral} {subject}"].add(message["id"])
        match fact:
            case "offer.opened":
                self._diary.offered.setdefault(referral, time.monotonic())
                self._diary.offers[data["offer_id"]] = message
                return self._answer(data["offer_id"])
            case "offer.accepted" | "offer.expired" | "offer.revoked":
                self._diary.offer_ends[data["offer_id"]] = message
            case "case.released":
                progress = {"submit": "progress", "referral_id": referral, "status": "in_progress"}
                return [progress, {"submit": "complete", "referral_id": referral, "outcome": "resolved"}]
            case "referral.completed" | "referral.withdrawn" | "referral.unplaced" | "referral.failed":
                self._diary.ended[referral] = fact.removeprefix("referral.")
            case "submission.refused" | "answer.refused":
                self._diary.refused.append(data["problem"]["detail"])
        return []

    def _answer(self, offer: str) -> list[dict[str, Any]]:
        chance = self._random.random()
        accept = {"submit": "accept", "offer_id": offer}
        if chance < 0.04:
            self._diary.answers[offer] = "silence"
            return []
        if chance < 0.12:
            self._diary.answers[offer] = "decline"
            return [{"submit": "decline", "offer_id": offer, "reason": "conflict_of_interest"}]
        self._diary.answers[offer] = "accept"
        return [accept, dict(accept)] if chance < 0.16 else [accept]

    def _say(self, said: Sequence[dict[str, Any]]) -> None:
        for number, one in enumerate(said):
            one.setdefault("idempotency_key", f"{self.who} {time.monotonic_ns()} {number}")
        left = list(said)
        while left:
            body = b"\n".join(map(orjson.dumps, left[:500]))
            answer = self._door.ask("POST", "intake", "/v1/submissions:batch", content=body, headers=LINES)
            for line in map(orjson.loads, answer.raise_for_status().content.splitlines()):
                one = left[line["line"] - 1]
                if line["status"] in (404, 503):
                    self._early.append(one)  # intake does not know the offer yet, or is unavailable
                elif line["status"] != 202:
                    self._diary.refused.append(line["problem"]["detail"])
            left = left[500:]
