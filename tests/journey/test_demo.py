"""`kopuro demo` in a pipe, to its end, and on a terminal, until Ctrl-C: neither leaves anything behind.

The demo in the pipe is the one of our wheels, installed in an environment that does not see the checkout.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from sandbox.demo.stories import TITLES
from tests.journey.command_process import KOPURO_WITH_FORKS, CommandProcess, processes_of
from tests.journey.waiting import until
from tests.support import wheels

ESCAPE = "\x1b"
# A demo that hangs is ended by this. One takes 12 s of CPU time, and two of them run beside other hubs.
WITHIN = 100.0
STOPPED_WITHIN = 15.0
INTERRUPTED = 130
# Ctrl-C comes at the title of this story; the one before it has closed its loop by then.
SECOND = list(TITLES.values())[1]
END = "5 referrals, 5 loops closed."


@dataclass(frozen=True, kw_only=True, slots=True)
class Performance:
    """The result of a demo. home: the directory of its temporary files."""

    text: str
    exit_code: int
    home: Path


class Terminal:
    """Runs a demo on a terminal of 120 columns inside its block, with keyboard input from the test."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._shown: list[bytes] = []

    def __enter__(self) -> Self:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self._child = subprocess.Popen(
            [sys.executable, "-c", _INTERRUPTED_BY_ITS_TERMINAL, *KOPURO_WITH_FORKS, "demo"],
            env={**os.environ, "TMPDIR": str(self._home), "TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        self._child.wait()
        self._reader.join(5)
        os.close(self._ours)

    @property
    def text(self) -> str:
        return b"".join(self._shown).decode(errors="replace")

    def press(self, key: bytes) -> None:
        os.write(self._ours, key)

    def end(self, *, within: float) -> int:
        """Read all output and return the exit code."""
        code = self._child.wait(within)
        self._reader.join(5)
        return code

    def _read(self) -> None:
        # When the last program that has the terminal open ends, reading fails.
        with contextlib.suppress(OSError):
            while shown := os.read(self._ours, 65536):
                self._shown.append(shown)


# A session's leader takes the terminal on its stdin, so that the terminal's Ctrl-C is a signal to it.
_INTERRUPTED_BY_ITS_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> wheels.Environment:
    """An environment with our two wheels (2 s of CPU time)."""
    built = wheels.build(tmp_path_factory.mktemp("wheels"))
    return wheels.install(built, tmp_path_factory.mktemp("installed") / "environment")


@pytest.fixture(scope="module")
def performances(
    tmp_path_factory: pytest.TempPathFactory, installed: wheels.Environment
) -> dict[str, Performance]:
    """Run the wheels' demo in a pipe; at the same time, interrupt the checkout's on a terminal."""
    homes = {place: tmp_path_factory.mktemp(place) for place in ("pipe", "terminal")}
    said = tmp_path_factory.mktemp("said")
    with (
        CommandProcess(
            said, "demo", environment={"TMPDIR": str(homes["pipe"])}, program=[installed.program("kopuro")]
        ) as piped,
        Terminal(homes["terminal"]) as terminal,
    ):
        until(lambda: SECOND in terminal.text, "the second story", within=WITHIN)
        terminal.press(b"\x03")
        codes = {"terminal": terminal.end(within=STOPPED_WITHIN), "pipe": piped.end(within=WITHIN)}
        texts = {"pipe": piped.out, "terminal": terminal.text}
        assert piped.err == ""
    return {
        place: Performance(text=texts[place], exit_code=codes[place], home=homes[place]) for place in homes
    }


@pytest.mark.timeout(300)  # two demos at once, each with a hub of its own
def test_demo_completes_every_story_and_leaves_nothing(performances: dict[str, Performance]) -> None:
    performance = performances["pipe"]

    assert performance.exit_code == 0, performance.text
    assert performance.text.count("The loop is closed") == len(TITLES)
    assert [title for title in TITLES.values() if title not in performance.text] == []
    for evidence in (
        END,
        "kind_not_opted_in",
        "referral.completed",
        "Checkpoint",
        "Metrics of this run",
        "batches",
    ):
        assert evidence in performance.text
    assert list(performance.home.iterdir()) == []
    assert processes_of(performance.home) == {}


def test_demo_writes_plain_text_to_pipe_and_colour_to_terminal(performances: dict[str, Performance]) -> None:
    assert ESCAPE not in performances["pipe"].text
    assert "\r" not in performances["pipe"].text
    assert ESCAPE + "[" in performances["terminal"].text


def test_wheels_hold_every_file_of_their_packages(installed: wheels.Environment) -> None:
    """Migrations, vocabularies, schemas, phrases, the sample network: all files that git has."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", *wheels.PACKAGES],
        cwd=wheels.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    files = {name.removeprefix("client/") for name in listed.stdout.split("\0") if name}

    assert {name for name in files if not (installed.packages / name).is_file()} == set()


def test_installed_command_imports_nothing_of_the_checkout(installed: wheels.Environment) -> None:
    ours = ("admin", "contracts", "kopuro_client", "runtime", "sandbox", "services")
    told = subprocess.run(
        [installed.program("python"), "-c", f"import {', '.join(ours)}, sys; print(*sys.path, sep='\\n')"],
        cwd=installed.directory,
        capture_output=True,
        text=True,
        check=True,
    )
    helped = subprocess.run(
        [installed.program("kopuro"), "--help"],
        cwd=installed.directory,
        capture_output=True,
        text=True,
        check=True,
    )

    assert str(installed.packages) in told.stdout.splitlines()
    assert not {str(wheels.ROOT), str(wheels.ROOT / "client")} & set(told.stdout.splitlines())
    for command in ("referral", "mailbox", "admin", "demo"):
        assert command in helped.stdout


def test_interrupted_demo_leaves_nothing(performances: dict[str, Performance]) -> None:
    performance = performances["terminal"]

    assert performance.exit_code == INTERRUPTED, performance.text
    assert performance.text.count("The loop is closed") == 1
    assert "interrupted: stopping all processes" in performance.text
    assert END not in performance.text
    assert "Traceback" not in performance.text
    assert list(performance.home.iterdir()) == []
    assert processes_of(performance.home) == {}
