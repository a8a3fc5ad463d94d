"""Signals that arrive while a hub starts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest

from sandbox.ending_signals import ending_signals_raise, raise_lost_signal, signals_held
from sandbox.hub import Hub


@pytest.mark.parametrize("inherited", [signal.SIG_IGN, signal.SIG_DFL])
@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_signal_during_start_raises_whatever_was_inherited(
    inherited: signal.Handlers, number: signal.Signals, raised: type[BaseException]
) -> None:
    before = signal.signal(number, inherited)
    try:
        with pytest.raises(raised), ending_signals_raise():
            signal.raise_signal(number)
        assert signal.getsignal(number) is inherited
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_held_signal_is_raised_after_the_block(number: signal.Signals, raised: type[BaseException]) -> None:
    done = []
    with ending_signals_raise():
        handler = signal.getsignal(number)
        with pytest.raises(raised), signals_held():
            os.kill(os.getpid(), number)
            done.append("the rest of the block")
        assert signal.getsignal(number) is handler
    assert done == ["the rest of the block"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_signal_that_python_drops_is_raised_at_the_next_step(
    number: signal.Signals, raised: type[BaseException]
) -> None:
    with ending_signals_raise():
        raise_lost_signal()
        lost = threading.Event()
        watch = weakref.ref(lost, lambda dead: signal.raise_signal(number))
        del lost
        assert watch() is None
        with pytest.raises(raised):
            raise_lost_signal()
    raise_lost_signal()


@pytest.mark.parametrize("lost_at", ["creating keys and credentials", "starting a private RabbitMQ"])
def test_hub_does_not_start_on_after_a_lost_signal(tmp_path: Path, lost_at: str) -> None:
    steps = []

    def lose_a_signal(step: str) -> None:
        steps.append(step)
        if step == lost_at:
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)

    hub = Hub(tmp_path / "data", empty=True, progress=lose_a_signal)
    with ending_signals_raise(), pytest.raises(KeyboardInterrupt):
        hub.start()
    assert steps[-1] == lost_at


def test_signals_are_not_held_in_another_thread() -> None:
    seen = []

    def hold() -> None:
        with signals_held():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]


# The interrupt arrives in a hook that Python runs at the fork, where it would print and drop an exception.
INTERRUPTED_AT_THE_FORK = """
import os, signal, sys
from pathlib import Path
from sandbox.ending_signals import ending_signals_raise
from sandbox.process import ServiceProcess

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(10_000):
        pass

child = ServiceProcess("sleeper", ["sleep", "60"], environment=dict(os.environ), log=Path(sys.argv[1]))
try:
    with ending_signals_raise():
        os.register_at_fork(after_in_parent=interrupt)
        child.spawn()
except KeyboardInterrupt:
    print("interrupted, child running:", child.running())
    child.kill()
else:
    print("the interrupt was lost")
    child.kill()
"""


def test_interrupt_at_the_fork_of_a_child_is_not_lost(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AT_THE_FORK, str(tmp_path / "log")],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[3],
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("interrupted, child running: True\n", "")
