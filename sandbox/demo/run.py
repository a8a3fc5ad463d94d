"""Runs the demo: starts a hub, plays five stories, shows the evidence, removes everything."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from kopuro_client import ClientError
from sandbox import network
from sandbox.broker import BrokerError
from sandbox.demo import evidence
from sandbox.demo.output import DemoOutput, new_console
from sandbox.demo.participants import DemoError, Participants
from sandbox.demo.stories import STORIES, TITLES, DemoHub
from sandbox.ending_signals import ending_signals_raise, raise_lost_signal
from sandbox.hub import Hub
from sandbox.hub_processes import HubError
from sandbox.temporary_directory import temporary_directory

POLICY = Path(__file__).parent / "policy.json"
INTERRUPTED = 130


def play(data_dir: Path | None, console: Console | None = None) -> int:
    """Run the demo. Return the exit status: 0 all stories completed, 1 one failed, 130 interrupted."""
    output = DemoOutput(console or new_console())
    with ExitStack() as at_end:
        directory = data_dir or at_end.enter_context(temporary_directory("demo"))
        hub = Hub(directory, policy=POLICY, progress=output.note)
        at_end.callback(hub.stop)
        try:
            with ending_signals_raise():
                return _play(hub, output)
        except (HubError, BrokerError, ClientError, DemoError) as error:
            output.step("demo", f"stopped: {error}", style="red")
            return 1
        except KeyboardInterrupt:
            output.step("demo", "interrupted: stopping all processes", style="red")
            return INTERRUPTED


def _play(hub: Hub, output: DemoOutput) -> int:
    started = time.monotonic()
    output.title("Kopuro: five referrals through a private hub. All people and organisations are invented.")
    with output.waiting("starting the hub"):
        hub.start()
    output.note(f"ready after {time.monotonic() - started:.1f} s: {hub.files.discovery_address()}")
    sample = network.load()
    names = {organization.id: organization.name for organization in sample.organizations}
    participants = Participants(hub.files.discovery_address(), hub.files.people(), names)
    before = evidence.figures(hub.files)
    demo = DemoHub(participants=participants, network=sample, output=output)
    referrals = {}
    for number, (key, story) in enumerate(STORIES.items(), start=1):
        output.story(number, TITLES[key], sample.referral(key).story)
        referrals[key] = story(demo)
        raise_lost_signal()
    forbidden = sample.referral("consulate-forbidden")
    sender = participants.organization(forbidden.sender).hub
    evidence.show_decision(output, sender, referrals["consulate-forbidden"])
    evidence.show_history(output, participants.staff("auditor"), referrals["second-candidate"])
    evidence.show_figures(output, before, evidence.figures(hub.files))
    output.title(f"{len(referrals)} referrals, {len(referrals)} loops closed.")
    participants.close()
    return 0
