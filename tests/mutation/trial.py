"""Test runs on a copy of the source tree, unchanged or with one mutation."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from tests.mutation.mutations import SIMULATION, Mutation

ROOT = Path(__file__).resolve().parents[2]
LONGEST_SECONDS = 300

# pytest's own exit codes: 1 is "tests were run, and some failed"; a module that cannot be imported is 2.
_PASSED, _SOME_FAILED = 0, 1
_COMPILED = ("contracts", "runtime", "services", "client", "admin", "sandbox", "tests")
# pytest compiles these itself, with their assertions rewritten.
_REWRITTEN = r"/(test_[^/]*|conftest)\.py$"
_LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "var", "build", "node_modules", "*.egg-info")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """failed: the tests that did. seconds: what it took. output: what pytest said."""

    exit_code: int
    failed: tuple[str, ...]
    seconds: float
    output: str

    @property
    def passed(self) -> bool:
        return self.exit_code == _PASSED

    def proves(self, mutation: Mutation) -> bool:
        """Return whether a test failed for the mutation's reason, as opposed to its environment."""
        failed = self.exit_code == _SOME_FAILED and bool(self.failed)
        return failed and re.search(mutation.reason, self.output) is not None


def _without(environment: Mapping[str, str], variable: str) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name != variable}


class Copy:
    """A copy of the tree in a directory that does not exist yet. Runs are possible inside its block."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        shutil.copytree(ROOT, directory, ignore=_LEFT_OUT)
        # Checked by hash: bytecode compiled within the second before a change would otherwise be reused.
        # Runs keep the bytecode of mutated modules, which these hashes reject, and of the rewritten test
        # modules, which no mutation edits: the first run rewrites them for all.
        hashed = ("-q", "-x", _REWRITTEN, "--invalidation-mode", "checked-hash")
        subprocess.run([sys.executable, "-m", "compileall", *hashed, *_COMPILED], cwd=directory, check=True)

    @contextmanager
    def mutated(self, mutation: Mutation) -> Iterator[None]:
        """Apply the mutation inside the block. Raises ValueError if the source line has changed."""
        originals: dict[Path, str] = {}
        try:
            for edit in mutation.edits:
                path = self.directory / edit.path
                text = path.read_text()
                originals.setdefault(path, text)
                if text.count(edit.old) != 1:
                    raise ValueError(f"{mutation.name}: {edit.path} does not have it once: {edit.old!r}")
                path.write_text(text.replace(edit.old, edit.new))
            yield
        finally:
            for path, text in originals.items():
                path.write_text(text)

    def __enter__(self) -> Self:
        self._runs = subprocess.Popen(
            [sys.executable, "-m", "tests.mutation.forked_runs"],
            cwd=self.directory,
            # The sample of `make test` would leave out tests that run on PostgreSQL too.
            env={**_without(os.environ, "PYTHONDONTWRITEBYTECODE"), "KOPURO_LONG_TESTS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        # Also what a run has left behind.
        os.killpg(self._runs.pid, signal.SIGKILL)
        self._runs.communicate()

    def attempt(self, mutation: Mutation) -> Outcome:
        """Run a mutation's tests on it. Raises what `mutated` and `run` raise."""
        with self.mutated(mutation):
            if mutation.seed is not None:
                outcome = self.run([f"{SIMULATION}[{mutation.seed}]"])
                if outcome.proves(mutation):
                    return outcome
            return self.run(mutation.tests)

    def attempt_together(self, mutations: Sequence[Mutation]) -> list[tuple[Mutation, Outcome]]:
        """Run the tests of several mutations on all of them; return what failed for each.

        Each must be of another service. Raises what `attempt` raises.
        """
        if len(mutations) == 1:
            return [(mutations[0], self.attempt(mutations[0]))]
        with ExitStack() as mutated:
            for mutation in mutations:
                mutated.enter_context(self.mutated(mutation))
            whole = self.run([test for mutation in mutations for test in mutation.tests], to_the_end=True)
        return [
            (
                mutation,
                replace(whole, failed=tuple(one for one in whole.failed if one.startswith(mutation.tests))),
            )
            for mutation in mutations
        ]

    def run(self, tests: Sequence[str], *, to_the_end: bool = False) -> Outcome:
        """Run the tests up to the first failure, or to the end, on SQLite only, and return the result.

        Raises TimeoutError after LONGEST_SECONDS.
        """
        started = time.monotonic()
        output = self.directory / "output"
        options = ["-p", "no:cacheprovider", "-q", "--tb=short", "-rf", "-k", "not postgresql"]
        if not to_the_end:
            options.append("-x")
        order = {"arguments": [*options, *tests], "output": str(output)}
        stdin, stdout = self._runs.stdin, self._runs.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(order) + "\n")
        stdin.flush()
        if not select.select([stdout], [], [], LONGEST_SECONDS)[0]:
            raise TimeoutError(f"{tests} run for more than {LONGEST_SECONDS} s")
        code = int(stdout.readline())
        said = output.read_text()
        return Outcome(
            exit_code=code,
            failed=tuple(re.findall(r"^FAILED (\S+)", said, re.MULTILINE)),
            seconds=time.monotonic() - started,
            output=said,
        )
