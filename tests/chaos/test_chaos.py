"""A short chaos run as a test; `make chaos` runs a long one."""

from __future__ import annotations

import secrets
from pathlib import Path

from tests.chaos.__main__ import plan_of
from tests.chaos.chaos_run import Plan, chaos_run
from tests.chaos.verdict import judge
from tests.long_run import times


def test_hub_loses_nothing_while_its_processes_are_killed(tmp_path: Path) -> None:
    referrals, kills = times(30, 60), times(3, 4)
    plan = Plan(
        seed=secrets.randbelow(10**6), referrals=referrals, kills=kills, in_flight=30, batch=5, answer=8
    )
    lines: list[str] = []
    with chaos_run(plan, tmp_path, lines.append) as after:
        verdict = judge(after)
    assert verdict.violations == [], "\n".join([f"seed {plan.seed}", *lines, *verdict.violations])


def test_command_line_sets_the_number_of_kills() -> None:
    assert plan_of(["--kills", "0"]).kills == 0
    assert plan_of(["--referrals", "10000"]).kills == 20
    assert plan_of([]).kills == 5
