"""A short storm in every test run; `make chaos` is the long one."""

from __future__ import annotations

import secrets
from pathlib import Path

from tests.chaos.storm import Plan, storm
from tests.chaos.verdict import judge


def test_a_hub_stands_while_its_processes_are_killed(tmp_path: Path) -> None:
    plan = Plan(seed=secrets.randbelow(10**6), referrals=60, kills=4, in_flight=30, batch=5, answer=8)
    lines: list[str] = []
    with storm(plan, tmp_path, lines.append) as after:
        verdict = judge(after)
    assert verdict.violations == [], "\n".join([f"seed {plan.seed}", *lines, *verdict.violations])
