"""`python -m tests.journey.pictures [--seconds 150]`: draw docs/watching-*.svg from a hub under way.

A Prometheus scrapes the hub while its organisations answer sample referrals, some not at all. The queries are
those of the dashboards.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import time

from rich.console import Console

from admin.embedded_broker import LOOPBACK
from contracts.codes import DeclineReason
from docs.dashboards.panel import Kind
from docs.dashboards.pictures import PICTURES, drawn
from sandbox import network
from sandbox.demo.output import DemoOutput
from sandbox.demo.participants import DemoError, Participants
from sandbox.demo.stories import DemoHub
from sandbox.hub import Hub
from sandbox.hub_files import SERVICES
from sandbox.temporary_directory import temporary_directory
from tests.support.prometheus_server import Target, prometheus
from tests.unit.docs.pages import ROOT

# Short answer times, so that some offers expire during the run.
POLICY = {"version": "pictures-1", "practice": True, "routine": {"answer": 20, "progress": 1209600}}
# A short sample is drawn with fewer points than it has scrapes.
STEP_SECONDS = 2


def main(arguments: list[str]) -> int:
    """Run a hub, watch it and draw; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.journey.pictures")
    parser.add_argument("--seconds", type=float, default=150)
    seconds = parser.parse_args(arguments).seconds
    with temporary_directory("pictures") as directory:
        policy = directory / "policy.json"
        policy.write_text(json.dumps(POLICY), encoding="utf-8")
        hub = Hub(directory / "hub", policy=policy)
        try:
            hub.start()
            (directory / "prometheus").mkdir()
            targets = [
                Target(service=one, address=f"{LOOPBACK}:{hub.files.ports(one).operations}")
                for one in SERVICES
            ]
            with prometheus(directory / "prometheus", targets, {}) as server:
                start = time.time()
                _play(hub, seconds)
                end = time.time()
                for picture in PICTURES:
                    (query,) = picture.panel.queries
                    results = (
                        server.results(query.expression)
                        if picture.panel.kind is Kind.bars
                        else server.range(query.expression, start + STEP_SECONDS, end, STEP_SECONDS)
                    )
                    text = drawn(picture, results, seconds)
                    (ROOT / "docs" / picture.file).write_text(text, encoding="utf-8")
        finally:
            hub.stop()
    return 0


def _play(hub: Hub, seconds: float) -> None:
    """Submit the sample referrals in turn; one organisation in five answers nothing, some decline."""
    chance = random.Random(7)
    sample = network.load()
    names = {organization.id: organization.name for organization in sample.organizations}
    participants = Participants(hub.files.discovery_address(), hub.files.people(), names)
    demo = DemoHub(participants=participants, network=sample, output=DemoOutput(Console(quiet=True)))
    deadline = time.monotonic() + seconds
    for one in itertools.cycle(sample.referrals):
        if time.monotonic() >= deadline:
            break
        sender, referral_id = demo.submit(one.key)
        try:
            asked = demo.offers(sender, referral_id)[0]
        except DemoError:
            continue  # nobody can help: the referral waits for a coordinator
        if chance.random() < 0.2:
            continue
        offer_id = demo.receive_offer(asked, referral_id)["offer_id"]
        if chance.random() < 0.4:
            asked.hub.decline(offer_id, chance.choice(list(DeclineReason)[:5]).value)
            continue
        asked.hub.accept(offer_id)
        if chance.random() < 0.5:
            asked.await_message("case.released", referral_id)
            asked.hub.complete(referral_id, "resolved")
    participants.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
