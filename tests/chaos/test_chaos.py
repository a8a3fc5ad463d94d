"""A short storm in every test run; `make chaos` is the long one."""

from __future__ import annotations

import secrets
from pathlib import Path

from tests.chaos.__main__ import plan_of
from tests.chaos.storm import Plan, storm
from tests.chaos.verdict import judge


def test_a_hub_stands_while_its_processes_are_killed(tmp_path: Path) -> None:
    plan = Plan(seed=secrets.randbelow(10**6), referrals=60, kills=4, in_flight=30, batch=5, answer=8)
    lines: list[str] = []
    with storm(plan, tmp_path, lines.append) as after:
        verdict = judge(after)
    assert verdict.violations == [], "\n".join([f"seed {plan.seed}", *lines, *verdict.violations])


def test_as_many_kills_as_were_asked_for() -> None:
    assert plan_of(["--kills", "0"]).kills == 0
    assert plan_of(["--referrals", "10000"]).kills == 20
    assert plan_of([]).kills == 5
