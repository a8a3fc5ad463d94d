"""A `kopuro` command as a child process in its own process group, like a foreground job of a shell."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.journey.waiting import until

KOPURO = str(Path(sys.executable).with_name("kopuro"))
# `kopuro` that starts a hub's services as forks: 7 to 9 s of CPU time less for each start of a hub.
KOPURO_WITH_FORKS = (sys.executable, str(Path(__file__).with_name("kopuro_with_forks.py")))


class CommandProcess:
    """Runs inside its block and is killed at the end if necessary. Its output is kept in `directory`."""

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = (KOPURO,),
    ) -> None:
        """program: the command line of the `kopuro` to run, by default the checkout's, in `directory`."""
        directory.mkdir(parents=True, exist_ok=True)
        number = len(list(directory.glob("*.out")))
        self._out, self._err = (directory / f"{number}.{kind}" for kind in ("out", "err"))
        self._command = [*program, *arguments]
        self._directory = directory
        self._environment = {**os.environ, **(environment or {})}
        self.started = 0.0

    def __enter__(self) -> Self:
        self.started = time.monotonic()
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._child = subprocess.Popen(
                self._command,
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                # A shell starts background commands, such as this test run, with SIGINT ignored.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def out(self) -> str:
        return self._out.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        return self._err.read_text(encoding="utf-8")

    def until_said(self, text: str, *, within: float = 60.0) -> float:
        """Wait until `text` is printed to stdout or stderr; return the seconds since the start."""

        def look() -> bool:
            if text in self.out or text in self.err:
                return True
            assert self._child.poll() is None, f"ended with {self._child.returncode}: {self.err}"
            return False

        until(look, repr(text), within=within)
        return time.monotonic() - self.started

    def interrupt(self) -> None:
        """Send SIGINT to the whole foreground process group, like Ctrl-C."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGINT)

    def terminate(self) -> None:
        self._child.terminate()

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()

    def end(self, *, within: float) -> int:
        """Wait for the end and return the exit code. Raises subprocess.TimeoutExpired."""
        return self._child.wait(within)


def processes_of(directory: Path) -> dict[int, str]:
    """Return running processes with the directory in their command line: pid -> command line."""
    name = str(directory).encode()
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        # Gone since the listing, or not ours to read.
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes()
            if name in command or name in (process / "environ").read_bytes():
                found[int(process.name)] = command.replace(b"\0", b" ").decode(errors="replace")
    return found
