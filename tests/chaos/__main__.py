"""`python -m tests.chaos --seed 7 --referrals 10000 --kills 20`: exit status 1 when a rule is broken."""

from __future__ import annotations

import argparse
import secrets
import sys

from sandbox.temporary_directory import temporary_directory
from tests.chaos.chaos_run import Plan, chaos_run
from tests.chaos.verdict import judge


def plan_of(arguments: list[str]) -> Plan:
    """Return the plan of the command line; without kills it is a calm run."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument(
        "--seed", type=int, default=None, help="seed of the run; by default a random one, which is printed"
    )
    parser.add_argument("--referrals", type=int, default=1000)
    parser.add_argument(
        "--kills", type=int, default=None, help="one for each 500 referrals by default, at least 5"
    )
    chosen = parser.parse_args(arguments)
    return Plan(
        seed=secrets.randbelow(10**6) if chosen.seed is None else chosen.seed,
        referrals=chosen.referrals,
        kills=max(5, chosen.referrals // 500) if chosen.kills is None else chosen.kills,
    )


def main(arguments: list[str]) -> int:
    """Run the plan; print the kills as they happen, then the report."""
    plan = plan_of(arguments)
    _say(f"seed {plan.seed}: {plan.referrals} referrals, {plan.kills} kills")
    with (
        temporary_directory("chaos") as folder,
        chaos_run(plan, folder, _say) as after,
    ):
        verdict = judge(after)
    width = max(len(rule) for rule, _ in verdict.rows)
    for rule, found in verdict.rows:
        _say(f"{rule:{width}}  {found}")
    for violation in verdict.violations:
        _say(f"VIOLATION {violation}")
    return 1 if verdict.violations else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
