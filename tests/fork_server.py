"""Services as forks of a process that has imported the runtime (see `tests.support.service_forks`)."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from sandbox.process import ServiceProcess

ROOT = Path(__file__).resolve().parent.parent
_PR_SET_CHILD_SUBREAPER = 36
# `-m` and these start a service. The packages of tests start as in production.
_PROGRAMS = ("runtime", "tests.support.altered_service")
# Commands that a hub runs once before its first start.
_LOADER = "services.directory.load"


class ForkServer:
    """Starts at its first fork. Forks are children of this process, like those of `subprocess`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._socket.close()
            self._process.wait()

    @contextmanager
    def starting_services(self) -> Iterator[None]:
        """Start services by forks, wherever a ServiceProcess starts one; on Linux only."""
        launch = ServiceProcess.launch

        def launch_or_fork(process: ServiceProcess, log: int) -> Any:
            if sys.platform == "linux" and starts_service(process.command):
                return self.fork(
                    process.command[2:],
                    process.environment,
                    log=log,
                    directory=process.directory,
                    imported=imported_by(process.command),
                )
            return launch(process, log)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ServiceProcess, "launch", launch_or_fork)
            if sys.platform == "linux":
                patch.setattr("sandbox.hub.subprocess", SimpleNamespace(run=self.run_loader))
            yield

    def run_loader(
        self, command: Sequence[str], *, env: Mapping[str, str], **_: object
    ) -> subprocess.CompletedProcess[str]:
        """Load a directory in a fork, and return what `subprocess.run` does, with all output as stderr."""
        assert list(command[:3]) == [sys.executable, "-m", _LOADER]
        with tempfile.TemporaryFile() as log:
            fork = self.fork(
                command[2:], env, log=log.fileno(), directory=None, imported=_modules_of("services.directory")
            )
            try:
                code = fork.wait()
            except BaseException:
                fork.send_signal(signal.SIGKILL)
                raise
            log.seek(0)
            return subprocess.CompletedProcess(list(command), code, stderr=log.read().decode())

    def fork(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        log: int,
        directory: Path | None,
        imported: Sequence[str] = (),
    ) -> Fork:
        """Run `python -m` with these arguments in a fork. log: the descriptor of its output.

        imported: the modules that the fork has imported already, in this order.
        """
        order = {
            "client": os.getpid(),
            "arguments": list(arguments),
            "environment": dict(environment),
            "directory": str(directory or Path.cwd()),
            "umask": _umask(),
            "imported": list(imported),
        }
        with self._lock:
            if self._process is None:
                self._start()
            with _adopting_orphans():
                socket.send_fds(self._socket, [json.dumps(order).encode()], [log])
                pid, forked = self._socket.recv(64), self._socket.recv(64)
        if not (pid and forked):
            raise OSError("the fork server has ended")
        return Fork(int(pid))

    def _start(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.service_forks"],
                stdin=theirs.fileno(),
                cwd=ROOT,
                start_new_session=True,  # Ctrl-C is for the test run, which then closes the socket
            )


class Fork:
    """The part of `subprocess.Popen` that ServiceProcess uses."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        with self._lock:
            if self.returncode is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise subprocess.TimeoutExpired(f"fork {self.pid}", timeout or 0)
            self._until_ended(left)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def _until_ended(self, seconds: float | None) -> None:
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return  # another thread has waited for it
        try:
            select.select([descriptor], [], [], seconds)
        finally:
            os.close(descriptor)


def starts_service(command: Sequence[str]) -> bool:
    """Return whether a command starts one of the hub's services with this interpreter."""
    return (
        list(command[:2]) == [sys.executable, "-m"]
        and command[2] in _PROGRAMS
        and command[-1].startswith("services.")
    )


def imported_by(command: Sequence[str]) -> list[str]:
    """Return what a service's command imports: the module that alters it, if any, and its package."""
    *altered_by, package = command[3:]
    return [*altered_by, *_modules_of(package)]


def _modules_of(package: str) -> list[str]:
    return [f"{package}.bootstrap", f"{package}.service"]


@contextmanager
def _adopting_orphans() -> Iterator[None]:
    """Become the parent of descendants whose parent ends, within the block."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    assert prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
