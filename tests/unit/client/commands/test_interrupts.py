"""Interrupts that Python drops, because they arrive in a finaliser or in a weak reference's callback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from kopuro_client.commands.exit_codes import ExitCode

# The command is interrupted in a call of Python's own, and then waits longer than the test does.
PROGRAM = """
import signal, sys, time, weakref
from kopuro_client import commands

def interrupt(*_dead):
    signal.raise_signal(signal.SIGINT)

class Watched:
    pass

class Finalised:
    def __del__(self):
        interrupt()

def finaliser():
    Finalised()

def callback():
    watched = Watched()
    watch = weakref.ref(watched, interrupt)
    del watched

def during_the_handling():
    try:
        interrupt()
    finally:
        Finalised()

def run(given, *, as_json):
    globals()[given[0]]()
    time.sleep(600)

commands._run = run
sys.exit(commands.main())
"""


def run(place: str, *options: str) -> tuple[int, str, str]:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, place, *options],
        env={name: value for name, value in os.environ.items() if name != "KOPURO_TRACEBACK"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize("place", ["finaliser", "callback"])
def test_dropped_interrupt_ends_the_command(place: str) -> None:
    assert run(place) == (ExitCode.INTERRUPTED, "", "kopuro: interrupted\n")


def test_second_interrupt_dropped_while_the_first_is_handled_prints_no_traceback() -> None:
    status, out, err = run("during_the_handling")
    assert (status, out) == (ExitCode.INTERRUPTED, "")
    assert err in ("kopuro: interrupted\n", "")
