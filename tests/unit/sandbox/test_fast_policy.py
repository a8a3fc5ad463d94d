"""`kopuro up --fast`: a valid policy with deadlines of seconds."""

from __future__ import annotations

from pathlib import Path

from contracts.codes import Urgency
from kopuro_client.commands import ExitCode, main
from sandbox.hub import FAST_POLICY
from services.routing.domain.policy_document import parse_policy


def test_every_deadline_of_the_fast_policy_passes_within_a_minute() -> None:
    policy = parse_policy(FAST_POLICY.read_bytes()).policy
    for urgency in Urgency:
        deadlines = policy.deadlines(urgency)
        assert deadlines.answer + deadlines.progress < 60
        assert deadlines.next_report(on_hold=True) < 60
    assert policy.alert_after().total_seconds() < policy.emergency.answer
    # The order of candidates depends on the referral and the directory alone.
    assert (policy.fairness.band, policy.fairness.explore) == (0, 0)


def test_fast_and_an_own_policy_exclude_each_other(tmp_path: Path) -> None:
    own = tmp_path / "policy.json"
    own.write_text("{}")
    arguments = ["up", "--data-dir", str(tmp_path / "hub"), "--fast", "--policy", str(own)]
    assert main(arguments) == ExitCode.USAGE
    assert not (tmp_path / "hub").exists()
