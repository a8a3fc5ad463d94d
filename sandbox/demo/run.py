"""Plays the demo from curtain to curtain: a hub of its own, five stories, the evidence, and nothing left."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from rich.console import Console

from kopuro_client import ClientError
from sandbox import network
from sandbox.broker import BrokerError
from sandbox.demo import evidence
from sandbox.demo.output import DemoOutput, new_console
from sandbox.demo.participants import Missed, Participants
from sandbox.demo.stories import STORIES, TITLES, DemoHub
from sandbox.hub import Hub, HubError
from sandbox.supervisor import sigterm_raises

POLICY = Path(__file__).parent / "policy.json"
INTERRUPTED = 130


def play(data_dir: Path | None, console: Console | None = None) -> int:
    """Exit code: 0 every story came to its end, 1 one did not, 130 interrupted."""
    stage = DemoOutput(console or new_console())
    directory = data_dir or Path(tempfile.mkdtemp(prefix="kopuro-demo-"))
    hub = Hub(directory, policy=POLICY, progress=stage.aside)
    try:
        with sigterm_raises():
            return _play(hub, stage)
    except (HubError, BrokerError, ClientError, Missed) as error:
        stage.step("demo", f"stopped: {error}", style="red")
        return 1
    except KeyboardInterrupt:
        stage.step("demo", "interrupted: everything is being stopped", style="red")
        return INTERRUPTED
    finally:
        hub.stop()
        if data_dir is None:
            shutil.rmtree(directory, ignore_errors=True)


def _play(hub: Hub, stage: DemoOutput) -> int:
    started = time.monotonic()
    stage.title("Kopuro: five referrals through a hub of their own. Everybody in them is invented.")
    with stage.waiting("the hub is starting"):
        hub.start()
    stage.aside(f"ready after {time.monotonic() - started:.1f} s: {hub.files.discovery_address()}")
    sample = network.load()
    names = {organization.id: organization.name for organization in sample.organizations}
    cast = Participants(hub.files.discovery_address(), hub.files.people(), names)
    before = evidence.figures(hub.files)
    theatre = DemoHub(cast=cast, network=sample, stage=stage)
    referrals = {}
    for number, (key, story) in enumerate(STORIES.items(), start=1):
        stage.scene(number, TITLES[key], sample.referral(key).story)
        referrals[key] = story(theatre)
    forbidden = sample.referral("consulate-forbidden")
    sender = cast.organization(forbidden.sender).hub
    evidence.show_decision(stage, sender, referrals["consulate-forbidden"])
    evidence.show_history(stage, cast.staff("auditor"), referrals["second-candidate"])
    evidence.show_figures(stage, before, evidence.figures(hub.files))
    stage.title(f"{len(referrals)} referrals, {len(referrals)} closed loops.")
    cast.leave()
    return 0
