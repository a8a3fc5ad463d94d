"""`python -m tests.mutation`: every mutation in turn, and a table; exit status 1 when one survives.

First the same tests run on the code as it is: tests that fail anyway prove nothing.
"""

from __future__ import annotations

import argparse
import sys

from sandbox.temporary_directory import temporary_directory
from tests.mutation.mutations import MUTATIONS
from tests.mutation.trial import Copy


def main() -> int:
    argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__).parse_args()
    with (
        temporary_directory("mutation") as directory,
        Copy(directory / "tree") as copy,
    ):
        tests = dict.fromkeys(test for mutation in MUTATIONS for test in mutation.tests)
        untouched = copy.run(list(tests))
        if not untouched.passed:
            sys.stdout.write(untouched.output + "\nThe tests fail on the code as it is.\n")
            return 1
        sys.stdout.write(
            f"The code as it is: {len(tests)} sets of tests pass ({untouched.seconds:.0f} s)\n\n"
        )
        survivors = []
        width = max(len(mutation.name) for mutation in MUTATIONS)
        for mutation in MUTATIONS:
            outcome = copy.attempt(mutation)
            is_killed = outcome.proves(mutation)
            if not is_killed:
                survivors.append((mutation, outcome))
            verdict = "killed  " if is_killed else "SURVIVED"
            by = outcome.failed[0].rpartition("::")[2] if outcome.failed else "-"
            sys.stdout.write(f"{verdict}  {mutation.name:{width}}  {outcome.seconds:5.1f} s  {by}\n")
            sys.stdout.flush()
    killed = len(MUTATIONS) - len(survivors)
    sys.stdout.write(f"\n{killed} of {len(MUTATIONS)} mutations make the tests fail.\n")
    for mutation, outcome in survivors:
        sys.stdout.write(f"\n{mutation.name}:\n{outcome.output[-2000:]}\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
