"""Child processes that end with their parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from sandbox.ending_signals import signals_held

_PR_SET_PDEATHSIG = 1


class Child(Protocol):
    """A started child, as `subprocess.Popen` describes it."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, number: int, /) -> None: ...


class ServiceProcess:
    """A command run as a child in its own session, with its output in a log file.

    The child has its own session, so that Ctrl-C in the terminal reaches only the parent, which then
    stops its children in order. On Linux the kernel kills the child when the parent dies, even by SIGKILL.

    The kernel watches the *thread* that spawned the child: spawn from a thread that outlives the child.

    command: the program and its arguments. environment: the child's whole environment.
    log: appended to, created with mode 0600. user: a uid to run as (needs root). stop_signal: the
    signal that makes this program stop in order. open_files: how many files and connections the child may
    have open, as far as this process may permit it; None: as many as this process.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        directory: Path | None = None,
        user: int | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        open_files: int | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self.command = list(command)
        self.environment = dict(environment)
        self.directory = directory
        self._user = user
        self._stop_signal = stop_signal
        self._open_files = open_files
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        """The pid of the last child spawned, which is also its process group id; None before."""
        return None if self._child is None else self._child.pid

    def spawn(self) -> None:
        """Start the child without waiting until it is ready. Does nothing if it runs already.

        Raises OSError when the program cannot be executed.
        """
        if self.running():
            return
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            with signals_held():  # Python runs hooks around the fork
                self._child = self.launch(descriptor)
        finally:
            os.close(descriptor)

    def launch(self, log: int) -> Child:
        """Start a child with its output in the descriptor `log`. Raises OSError as `spawn`."""
        return subprocess.Popen(
            self.command,
            env=self.environment,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=self._user,
            preexec_fn=_before_program(self._open_files),
        )

    def exit_code(self) -> int | None:
        """The exit code of the last child (negative: the signal); None while it runs, or before."""
        return None if self._child is None else self._child.poll()

    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def ask_to_stop(self) -> None:
        """Send the stop signal, if the child runs, and return at once."""
        if self._child is not None:
            self._child.send_signal(self._stop_signal)

    def wait(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for the child to end; return True when it has ended."""
        if self._child is None:
            return True
        try:
            self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self, timeout: float = 5.0) -> None:
        """Ask the child to stop, and kill it after `timeout` seconds."""
        self.ask_to_stop()
        if not self.wait(timeout):
            self.kill()

    def kill(self) -> None:
        """SIGKILL the child's whole process group, and reap the child."""
        child = self._child
        if child is None or child.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def processes_with(variable: str, value: str) -> list[int]:
    """Return the pids of running processes whose environment contains `variable=value`.

    Environments are inherited, so this finds a program's children too. It reads /proc, and so finds
    nothing on systems without /proc, nor processes of other users.
    """
    entry = f"{variable}={value}".encode()
    found: list[int] = []
    for directory in Path("/proc").glob("[0-9]*"):
        # The process has ended since the listing, or belongs to another user.
        with contextlib.suppress(OSError):
            if entry in (directory / "environ").read_bytes().split(b"\0"):
                found.append(int(directory.name))
    return sorted(found)


def end_processes(pids: Iterable[int], *, timeout: float = 5.0) -> None:
    """SIGKILL processes that are not children of this one, and wait until they have ended.

    Raises TimeoutError when one still runs after `timeout` seconds.
    """
    remaining = list(pids)
    for pid in remaining:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + timeout
    while remaining := [pid for pid in remaining if _alive(pid)]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"these processes survive SIGKILL: {remaining}")
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    # The state follows the command's closing parenthesis. A zombie no longer runs.
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}


def _before_program(open_files: int | None) -> Callable[[], None]:
    """Return what the child does between fork and exec. It leaves no core file: that would hold secrets."""
    tie_to_parent = _dies_with_parent()
    limits = None if open_files is None else _raised_limits(open_files)

    def prepare() -> None:
        if tie_to_parent is not None:
            tie_to_parent()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if limits is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    return prepare


def _raised_limits(open_files: int) -> tuple[int, int]:
    """Return the soft limit, raised to `open_files` as far as the hard limit permits, and the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return soft, hard
    highest = open_files if hard == resource.RLIM_INFINITY else min(open_files, hard)
    return max(soft, highest), hard


def _dies_with_parent() -> Callable[[], None] | None:
    """Return a function for the child (between fork and exec) that makes it die with its parent."""
    if sys.platform != "linux":
        return None
    # Loaded before the fork, since the child may only make system calls afterwards.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def tie_to_parent() -> None:
        if prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            os._exit(126)
        # If the parent died between fork and prctl, no signal will come.
        if os.getppid() != parent:
            os._exit(126)

    return tie_to_parent
