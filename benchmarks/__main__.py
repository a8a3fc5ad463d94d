"""`python -m benchmarks [WHAT] [--json FILE]`; without WHAT, all of them.

`all` runs everything except flood, growth (an hour), rotation, since and soak (twenty minutes). Every timed
comparison is made within one run, in rounds of alternating order. No figure is asserted anywhere.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from benchmarks import report
from benchmarks.comparison import Bench, ComparisonPlan
from benchmarks.driver import HIGHEST_SINGLE_RATE
from benchmarks.journey import Plan
from benchmarks.runs import Run, say
from benchmarks.since import PARTS, resolved_commit
from sandbox.broker import PrivateBroker
from sandbox.ending_signals import ending_signals_raise, raise_lost_signal
from sandbox.temporary_directory import temporary_directory

Number = TypeVar("Number", int, float)

FULL = ComparisonPlan(plan=Plan(seconds=15, loads=(50, 100, 200)))
QUICK = ComparisonPlan(
    plan=Plan(seconds=4, warm_up=2, in_flight=300, loads=(100,), load_seconds=3),
    peers_warm_up=3,
    ceiling_repeat=20,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    single = (
        "journey",
        "fsyncs",
        "submit",
        "flood",
        "ceiling",
        "peers",
        "matching",
        "webhooks",
        "amqp",
        "audit",
        "growth",
        "rotation",
        "since",
        "soak",
    )
    commands: dict[str, tuple[str, ...]] = {
        "all": ("peers", "fsyncs", "submit", "matching", "webhooks", "amqp", "audit"),
        **{name: (name,) for name in single},
    }
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="?", choices=commands, default="all")
    parser.add_argument(
        "--rounds", type=_positive(int), help="rounds of each comparison (default 5, with --quick 1)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="smoke test: short runs whose figures mean nothing"
    )
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--charts", type=Path, help="write the charts to this directory")
    parser.add_argument(
        "--directory",
        type=Path,
        help="directory for databases and broker (default: the temporary directory). For growth on PostgreSQL"
        " as root, other users must be able to enter it",
    )
    parser.add_argument(
        "--referrals",
        type=_positive(int),
        help="growth: referrals of history (default 1,000,000, with --quick 500)",
    )
    parser.add_argument("--days", type=_positive(int), help="growth: days of history (default 365)")
    parser.add_argument(
        "--database",
        choices=("sqlite", "postgresql", "both"),
        help="growth: databases (default both, with --quick sqlite)",
    )
    parser.add_argument(
        "--minutes", type=_positive(float), help="soak: duration (default 20, with --quick 0.5)"
    )
    parser.add_argument(
        "--rate",
        type=_positive(float),
        default=50.0,
        help="rotation, soak: referrals per second (default 50, at most 100)",
    )
    parser.add_argument("--commit", help="since: the earlier commit, of this repository")
    parser.add_argument(
        "--part",
        action="append",
        choices=PARTS,
        help="since: measure this part only; may be given more than once (default: all)",
    )
    given = parser.parse_args(arguments)
    if given.what == "since":
        if given.commit is None:
            parser.error("since: --commit must name the earlier commit")
        try:
            given.commit = resolved_commit(given.commit)
        except ValueError as error:
            parser.error(f"since: {error}")
    if given.rate > HIGHEST_SINGLE_RATE:
        # The time of admission is unknown for single lines of a batch.
        parser.error(f"soak: --rate must be at most {HIGHEST_SINGLE_RATE}")
    database = given.database or ("sqlite" if given.quick else "both")
    with ending_signals_raise(), _place(given.directory) as (directory, broker):
        run = Run(
            quick=given.quick,
            rounds=given.rounds or (1 if given.quick else 5),
            bench=Bench(
                broker=broker,
                directory=directory,
                effort=QUICK if given.quick else FULL,
                tell=lambda text: say(text, sys.stderr),
            ),
            charts=given.charts,
            referrals=given.referrals,
            days=given.days,
            databases=("sqlite", "postgresql") if database == "both" else (database,),
            minutes=given.minutes or (0.5 if given.quick else 20.0),
            rate=given.rate,
            commit=given.commit,
            parts=given.part or PARTS,
            document={"machine": report.machine(directory), "quick": given.quick},
        )
        for name in commands[given.what]:
            step: Callable[[], None] = getattr(run, name)
            step()
            if given.json is not None:
                given.json.write_text(report.to_json(run.document), encoding="utf-8")
            raise_lost_signal()
    return 0


def _positive(kind: Callable[[str], Number]) -> Callable[[str], Number]:
    """Return a parser of positive numbers for the command line."""

    def read(text: str) -> Number:
        with suppress(ValueError):
            if (number := kind(text)) > 0:
                return number
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")

    return read


@contextmanager
def _place(parent: Path | None) -> Iterator[tuple[Path, PrivateBroker]]:
    """Provide a directory and a broker, and remove them at the end in any case."""
    with (
        temporary_directory("bench", parent=parent) as directory,
        PrivateBroker(directory / "broker") as broker,
    ):
        yield directory, broker


if __name__ == "__main__":
    sys.exit(main())
