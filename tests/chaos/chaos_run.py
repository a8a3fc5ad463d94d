"""One chaos run: a hub, its partners and a thread that kills processes, reproducible from a seed."""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import orjson

from contracts.records import plain
from sandbox.broker import PrivateBroker
from sandbox.hub import Hub
from sandbox.hub_files import SERVICES
from sandbox.supervisor import Supervisor
from services.routing.domain.directory import Directory
from tests.chaos.kills import Kill, Killer
from tests.chaos.partners import LINES, Diary, Partner, patient
from tests.journey.running_hub import RunningHub

# Each of these has three candidates: after a decline, a missing or a late answer the next one gets an offer.
_STORIES = ("second-candidate", "emergency", "wage-claim-osh-moscow")
MARKERS = (
    "Ысмайылова-Көкбулут Сайкал",
    "+996700441902",
    "Barinov-Zarechensky kept her passport",
    "ZX-7741-QP",
)
_CASE = {
    "name": MARKERS[0],
    "phones": [MARKERS[1]],
    "safe_contact": None,
    "narrative": f"The foreman {MARKERS[2]} kept her passport; certificate {MARKERS[3]}.",
    "documents": [],
}
_DRAIN_SECONDS = 180.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Parameters of a run. in_flight: referrals open at a time. answer: deadline of an offer, seconds."""

    seed: int
    referrals: int
    kills: int
    in_flight: int = 300
    batch: int = 50
    answer: int = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class ChaosResult:
    """The state after the run; the hub still runs."""

    plan: Plan
    hub: RunningHub
    broker: PrivateBroker
    diary: Diary
    kills: Sequence[Kill]
    seconds: float


@contextmanager
def chaos_run(plan: Plan, directory: Path, say: Callable[[str], None]) -> Iterator[ChaosResult]:
    """Run the plan. Raises TimeoutError when referrals stay open, or the error that stopped a partner."""
    policy = directory / "policy.json"
    deadlines = {"answer": plan.answer, "progress": 86_400}
    urgencies = dict.fromkeys(("emergency", "urgent", "routine"), deadlines)
    policy.write_text(json.dumps({"version": "chaos", "practice": True, **urgencies}))
    broker = PrivateBroker(directory / "broker")
    with Supervisor([[broker]]) as supervisor:
        broker.wait_until_ready()
        environment = {**os.environ, "KOPURO_AMQP_URI": broker.uri}
        # A few partners send as much as a whole network.
        for name in ("REQUESTS_PER_MINUTE", "SUBMISSIONS_PER_MINUTE", "SUBMISSIONS_BURST"):
            environment[f"KOPURO_{name}"] = "999999"
        hub = Hub(directory / "hub", policy=policy, environment=environment)
        try:
            hub.start()
            # A killed RabbitMQ 3.10 loses queues that are younger than a second or two.
            broker.flush_declarations()
            url = "sqlite:///{}".format
            running = RunningHub(hub, databases={s: url(hub.files.database(s)) for s in SERVICES})
            yield _ChaosRun(plan, running, broker, supervisor, say).run()
        finally:
            hub.stop()


class _ChaosRun:
    def __init__(
        self,
        plan: Plan,
        hub: RunningHub,
        broker: PrivateBroker,
        supervisor: Supervisor,
        say: Callable[[str], None],
    ) -> None:
        self._plan, self._hub, self._broker, self._say = plan, hub, broker, say
        self._random = Random(plan.seed)
        self._killer = Killer(hub, supervisor, broker.identity.amqp_port, self._random)
        self._diary = Diary()
        self._failures: list[Exception] = []
        self._senders = {key: hub.network.referral(key).sender for key in _STORIES}
        self._clients = {who: patient(hub, who) for who in sorted(set(self._senders.values()))}
        self._bodies = {key: self._body(key) for key in _STORIES}
        self._stories = itertools.cycle(_STORIES)
        self._submitting = threading.Lock()
        self._keys = itertools.count()
        self._kills: list[Kill] = []

    def run(self) -> ChaosResult:
        began = time.monotonic()
        partners = [
            Partner(self._hub, who, self._diary, Random(self._random.random()), self._failures.append)
            for who in sorted({*self._senders.values(), *self._possible_candidates()})
        ]
        for partner in partners:
            partner.start()
        killing = threading.Thread(target=self._kill_at_intervals, name="killer", daemon=True)
        killing.start()
        self._submit_all(killing)
        killing.join()
        self._wait(lambda: len(self._diary.ended) >= len(self._diary.submitted), "every referral to end")
        self._wait(self._offers_have_ended, "every offer to end")
        for partner in partners:
            partner.stop()
        for partner in partners:
            partner.join()
        return ChaosResult(
            plan=self._plan,
            hub=self._hub,
            broker=self._broker,
            diary=self._diary,
            kills=self._kills,
            seconds=time.monotonic() - began,
        )

    def _submit_all(self, killing: threading.Thread) -> None:
        left = self._plan.referrals
        while left > 0:
            self._check()
            room = self._plan.in_flight - (len(self._diary.submitted) - len(self._diary.ended))
            size = min(self._plan.batch, room, left)
            # The last batch waits for the last kill, so that every kill interrupts some work.
            if size <= 0 or (left <= self._plan.batch and killing.is_alive()):
                time.sleep(0.05)
                continue
            self._submit(next(self._stories), size)
            left -= size

    def _submit(self, key: str, size: int) -> list[str]:
        with self._submitting:
            lines = [
                {**self._bodies[key], "idempotency_key": f"chaos {next(self._keys)}"} for _ in range(size)
            ]
            body = b"\n".join(map(orjson.dumps, lines))
            answer = self._clients[self._senders[key]].ask(
                "POST", "intake", "/v1/referrals:batch", content=body, headers=LINES
            )
            results = [orjson.loads(line) for line in answer.raise_for_status().content.splitlines()]
            admitted = [result["id"] for result in results if result["status"] == 202]
            assert len(admitted) == size, results
            self._diary.submitted.update(dict.fromkeys(admitted, time.monotonic()))
            return admitted

    def _kill_at_intervals(self) -> None:
        try:
            for number in range(1, self._plan.kills + 1):
                due = self._plan.referrals * (number - self._random.random()) / (self._plan.kills + 1)
                while len(self._diary.submitted) < due and not self._failures:
                    time.sleep(0.01)
                time.sleep(self._random.random())
                kill = self._killer.strike(self._probe)
                self._kills.append(kill)
                self._say(
                    f"kill {number:3} at {kill.at:6.1f} s  {'+'.join(kill.victims):20}"
                    f"  ready after {kill.ready:5.2f} s, offering after {kill.offered:5.2f} s"
                )
        except Exception as error:
            self._failures.append(error)

    def _probe(self) -> Callable[[], bool]:
        (referral,) = self._submit(_STORIES[0], 1)
        return lambda: referral in self._diary.offered or referral in self._diary.ended

    def _offers_have_ended(self) -> bool:
        declined = {offer for offer, answer in self._diary.answers.items() if answer == "decline"}
        return self._diary.offers.keys() <= self._diary.offer_ends.keys() | declined

    def _wait(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _DRAIN_SECONDS
        while not holds():
            self._check()
            if time.monotonic() > deadline:
                left = [r for r in self._diary.submitted if r not in self._diary.ended]
                raise TimeoutError(f"waited {_DRAIN_SECONDS:.0f} s for {what}: {len(left)} left, {left[:5]}")
            time.sleep(0.1)

    def _check(self) -> None:
        if self._failures:
            raise self._failures[0]

    def _possible_candidates(self) -> set[str]:
        directory = Directory()
        for organization in self._hub.network.organizations:
            directory.put_organization(organization)
        facts = [self._hub.network.referral(key).facts for key in _STORIES]
        return {
            offered.organization.id
            for referral_facts in facts
            for offered in directory.offered_services_for(referral_facts.needs[0], referral_facts.region)
        }

    def _body(self, key: str) -> dict[str, Any]:
        sender = self._hub.organization(self._senders[key])
        facts: dict[str, Any] = plain(self._hub.network.referral(key).facts)
        return {**facts, "case": sender.hub.seal(_CASE)}
