"""docs/coordinating.md: every command runs as printed against a hub, and the acts take effect."""

from __future__ import annotations

import datetime as dt
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kopuro_client.errors import RefusedError
from tests.journey.running_hub import STRANGER, RunningHub
from tests.journey.waiting import until
from tests.support.kopuro_forks import Kopuro
from tests.threats.readmission import readmitted_after

GUIDE = (Path(__file__).parents[2] / "docs" / "coordinating.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", GUIDE, flags=re.DOTALL)


@pytest.mark.timeout(300)  # some thirty commands, each a process
@pytest.mark.parametrize("hub", ["sqlite"], indirect=True)
def test_guide_runs_as_printed_from_top_to_bottom(hub: RunningHub, kopuro: Kopuro, tmp_path: Path) -> None:
    sender, unplaced = hub.submit("nobody")
    sender.await_message("referral.unplaced", unplaced)
    # Urgent: the journey's policy gives routine offers three seconds.
    waiting, offered = hub.submit("wage-claim-osh-moscow", urgency="urgent")
    first, _ = hub.next_offer(waiting, offered)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=36)
    values = {"UNPLACED": unplaced, "OFFERED": offered, "UNTIL": f"{later:%Y-%m-%dT%H:%M:%SZ}"}
    commands = [line for block in BLOCKS for line in block.splitlines()]
    assert len(commands) > 15
    until(lambda: _report(hub), "the report of the week before")
    with readmitted_after(hub, STRANGER):
        for line in commands:
            ran = _shell(hub, kopuro, tmp_path, line, **values)
            assert ran.returncode == 0, f"{line}\n{ran.stderr}"
            if line.startswith("kopuro mailbox list"):
                (values["MESSAGE"],) = re.findall(r"message=(\S+)", ran.stdout)[-1:]
            if " move-on " in line:
                # The next command acts on the referral as it is then.
                first.await_message("offer.revoked", offered)
    by_coordinator = until(lambda: _changes_by(hub, "kg.coordinator"), "the suspension in the log")
    assert [change["organization"] for change in by_coordinator] == [STRANGER]
    for referral in (unplaced, offered):
        house = hub.organization("ru.primorye-seafarers-house")
        assert house.await_message("offer.opened", referral)["rank"] == 1
    nudged = first.await_message("intervention.applied", offered)
    assert (nudged["act"], nudged["reason"]) == ("nudge", "no_answer")
    history = [entry["type"] for entry in hub.history(offered, last="offer.opened")]
    assert history.count("kopuro.intervention.submitted.v1") == 3
    story = until(lambda: _told(waiting.hub.story(offered)), "the placement in the story")
    assert "decided to remind the organisation (the organisation does not answer)." in story
    for participant, referral in ((sender, unplaced), (waiting, offered)):
        participant.hub.withdraw(referral, "placed_elsewhere")


def _report(hub: RunningHub) -> Mapping[str, Any] | None:
    """The guide is for a hub that has reports; the first one is made within seconds of the start."""
    try:
        return hub.participants.staff("coordinator").weekly_report()
    except RefusedError:
        return None


def _told(story: str) -> str | None:
    return story if "asked for an offer to ru.primorye-seafarers-house" in story else None


def _changes_by(hub: RunningHub, actor: str) -> list[Mapping[str, Any]]:
    auditor = hub.participants.staff("auditor")
    page = auditor.history(event_type="kopuro.organization.changed.v1", actor=actor, organization=STRANGER)
    return [dict(entry) for entry in page["items"]]


def _shell(
    hub: RunningHub, kopuro: Kopuro, directory: Path, line: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line],
        cwd=directory,
        env={
            **os.environ,
            **variables,
            "PATH": f"{kopuro.path}:{os.environ['PATH']}",
            "KOPURO_DISCOVERY_URL": hub.files.discovery_address(),
            "KOPURO_CREDENTIALS": str(hub.files.credentials),
            "KOPURO_AS": "coordinator",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
