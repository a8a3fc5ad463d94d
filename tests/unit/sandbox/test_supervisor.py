"""Restart decisions, and the supervisor with real children."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.process import ServiceProcess, processes_with
from sandbox.supervisor import RestartPolicy, Supervisor, decide_restart
from tests.servers import python_process

SLEEP = "import time; time.sleep(600)"
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready")
time.sleep(600)
"""
POLICY = RestartPolicy(first_delay=1.0, factor=2.0, longest_delay=10.0, settled_after=30.0)


def wait_for(condition: Callable[[], bool], *, within: float = 20.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not so within {within} s"
        time.sleep(0.02)


def logged(process: ServiceProcess, text: str) -> bool:
    return process.log.exists() and text in process.log.read_text(encoding="utf-8")


def test_restart_delays_grow_to_their_bound() -> None:
    delays, exits = [], 0
    for _ in range(6):
        decision = decide_restart(POLICY, exits_before=exits, ran_for=0.1)
        delays.append(decision.delay)
        exits = decision.consecutive
    assert delays == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_exit_of_settled_process_counts_as_the_first() -> None:
    decision = decide_restart(POLICY, exits_before=5, ran_for=30.0)
    assert (decision.delay, decision.consecutive) == (1.0, 1)


def test_exit_of_unsettled_process_adds_to_the_count() -> None:
    assert decide_restart(POLICY, exits_before=2, ran_for=29.9).consecutive == 3


def test_restart_delay_after_very_many_exits_is_bounded() -> None:
    assert decide_restart(POLICY, exits_before=100_000, ran_for=0.0).delay == 10.0


def test_killed_child_is_restarted_and_counted(tmp_path: Path) -> None:
    child = python_process("one", SLEEP, directory=tmp_path)
    other = python_process("two", SLEEP, directory=tmp_path)
    with Supervisor([[child], [other]], policy=RestartPolicy(first_delay=0.01)) as supervisor:
        first, untouched = child.pid, other.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: child.pid != first and child.running())
        one, two = supervisor.status()
    assert (one.name, one.restarts, one.last_exit) == ("one", 1, -signal.SIGKILL)
    assert (two.pid, two.restarts, two.last_exit) == (untouched, 0, None)


def test_supervisor_stops_stages_in_reverse_order(tmp_path: Path) -> None:
    script = """
import signal, sys, time
def leave(number, frame):
    print("left", time.monotonic_ns()); sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("ready")
time.sleep(600)
"""
    stages = [[python_process(name, script, directory=tmp_path)] for name in ("broker", "service")]
    broker, service = (stage[0] for stage in stages)
    with Supervisor(stages):
        wait_for(lambda: logged(broker, "ready") and logged(service, "ready"))
    assert not broker.running()
    assert not service.running()
    left = [int(process.log.read_text(encoding="utf-8").split()[-1]) for process in (service, broker)]
    assert left == sorted(left)


def test_child_that_ignores_stop_signal_is_killed_in_time(tmp_path: Path) -> None:
    stubborn = [python_process(f"stubborn-{i}", STUBBORN, directory=tmp_path) for i in range(3)]
    supervisor = Supervisor([[process] for process in stubborn])
    supervisor.start()
    wait_for(lambda: all(logged(process, "ready") for process in stubborn))
    started = time.monotonic()
    supervisor.stop(within=1.5)
    assert time.monotonic() - started < 5.0
    assert [process.exit_code() for process in stubborn] == [-signal.SIGKILL] * 3


def test_stopped_child_is_not_restarted(tmp_path: Path) -> None:
    child = python_process("one", SLEEP, directory=tmp_path)
    supervisor = Supervisor([[child]], policy=RestartPolicy(first_delay=0.0))
    with supervisor:
        pid = child.pid
    assert child.pid == pid
    assert supervisor.status()[0].restarts == 0


def test_failed_start_of_one_program_leaves_nothing_running(tmp_path: Path) -> None:
    first = python_process("one", SLEEP, directory=tmp_path)
    missing = ServiceProcess("two", [str(tmp_path / "missing")], environment={}, log=tmp_path / "log")
    with pytest.raises(FileNotFoundError), Supervisor([[first], [missing]]):
        pass
    assert first.pid is not None
    assert not first.running()


SUPERVISING = """
import sys
from pathlib import Path
from sandbox.process import ServiceProcess
from sandbox.supervisor import Supervisor
marker, directory = sys.argv[1], Path(sys.argv[2])
child = ServiceProcess("child", [sys.executable, "-c", "import time; time.sleep(600)"],
                       environment={"MARKER": marker}, log=directory / "child.log")
with Supervisor([[child]]) as supervisor:
    print("ready")
    print("signal", supervisor.run_until_signalled().name)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_every_process(number: signal.Signals, tmp_path: Path) -> None:
    parent = python_process("parent", SUPERVISING, str(tmp_path), str(tmp_path), directory=tmp_path)
    parent.spawn()
    try:
        wait_for(lambda: logged(parent, "ready"))
        assert parent.pid is not None
        os.kill(parent.pid, number)
        assert parent.wait(10)
    finally:
        parent.kill()
    assert parent.exit_code() == 0
    assert logged(parent, f"signal {number.name}")
    assert processes_with("MARKER", str(tmp_path)) == []


def test_child_ends_with_its_killed_parent(tmp_path: Path) -> None:
    parent = python_process("parent", SUPERVISING, str(tmp_path), str(tmp_path), directory=tmp_path)
    parent.spawn()
    try:
        wait_for(lambda: logged(parent, "ready") and len(processes_with("MARKER", str(tmp_path))) == 1)
        assert parent.pid is not None
        os.kill(parent.pid, signal.SIGKILL)  # the parent alone: not its process group
        assert parent.wait(10)
    finally:
        parent.kill()
    wait_for(lambda: processes_with("MARKER", str(tmp_path)) == [])
