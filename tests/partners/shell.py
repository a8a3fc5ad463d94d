"""One bash in which the commands of a page run, block by block, with steps of a test between them."""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

# A refused request fails, which the plain `curl -s` of a page does not show.
_START = """set -euo pipefail
curl() { command curl --fail-with-body --max-time 60 "$@"; }
"""


class Shell:
    """Runs inside its block; what it has started ends with it."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._directory = directory
        self._environment = environment
        self._background = 0

    def __enter__(self) -> Self:
        self._bash = subprocess.Popen(
            ["bash"],
            cwd=self._directory,
            env={**os.environ, **self._environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.run(_START)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.communicate()

    def run(self, commands: str) -> str:
        """Run commands; return what they print to stdout and stderr. Fails if one of them fails."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        mark = secrets.token_hex(8)
        self._bash.stdin.write(f"{commands}\necho {mark}\n")
        self._bash.stdin.flush()
        printed = ""
        for line in self._bash.stdout:
            if line == f"{mark}\n":
                return printed
            # The text before it may lack the end of its line.
            if line.endswith(f"{mark}\n"):
                return printed + line.removesuffix(f"{mark}\n")
            printed += line
        raise AssertionError(f"{commands}\nhas failed:\n{printed}")

    def set(self, **variables: str) -> None:
        for name, value in variables.items():
            self.run(f"export {name}={shlex.quote(value)}")

    def get(self, name: str) -> str:
        return self.run(f'printf %s "${name}"')

    @contextmanager
    def unending(self, command: str) -> Iterator[Callable[[], str]]:
        """Run a command that does not end by itself while the block lasts; give what it has printed."""
        self._background += 1
        out = self._directory / f"unending-{self._background}"
        out.touch()
        # The program itself, which gets the signal at the end.
        program, _, arguments = command.partition(" ")
        itself = Path(sys.executable).with_name(program)
        self.run(f"{itself} {arguments} > {out.name} 2>&1 &")
        try:
            yield lambda: out.read_text(encoding="utf-8")
        finally:
            self.run("kill $!; wait $! || true")
