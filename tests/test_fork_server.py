"""Services as forks: children like those of `subprocess`, with nothing of the server that forked them."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.process import ServiceProcess
from tests.fork_server import Fork, ForkServer, imported_by, starts_service
from tests.runtime.sample_process import SampleProcess
from tests.servers import python_process

SERVICE = (sys.executable, "-m", "runtime", "services.intake")
REPORTING = (
    *(sys.executable, "-m", "tests.support.altered_service"),
    *("tests.support.fork_report", "services.intake"),
)
WAITING = (*REPORTING[:3], "tests.support.fork_wait", "services.intake")
# A test run that forks a service which waits, and says its pid.
OWNER = """
import os, time
from pathlib import Path
from tests.fork_server import ForkServer
with ForkServer() as server, open(os.devnull, "w") as log:
    fork = server.fork(["tests.support.altered_service", "tests.support.fork_wait", "services.intake"],
                       {}, log=log.fileno(), directory=None)
    print(fork.pid, flush=True)
    time.sleep(600)
"""


def service(command: tuple[str, ...], directory: Path) -> ServiceProcess:
    return ServiceProcess(
        "intake",
        command,
        environment={"PATH": os.environ["PATH"], "KOPURO_SAMPLE": "with = and\nnewline"},
        log=directory / "log",
        directory=directory,
    )


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_only_commands_of_services_are_forked() -> None:
    assert starts_service(SERVICE)
    assert starts_service(REPORTING)
    for other in (
        (sys.executable, "-m", "runtime", "tests.runtime.sample_service"),
        (sys.executable, "-m", "services.directory.load"),
        (sys.executable, "-c", "pass"),
        ("/usr/bin/python3-other", "-m", "runtime", "services.intake"),
        ("/usr/sbin/rabbitmq-server",),
    ):
        assert not starts_service(other)


def test_fork_is_in_the_state_of_a_new_process(fork_server: ForkServer, tmp_path: Path) -> None:
    process = service(REPORTING, tmp_path)
    previous = os.umask(0o026)
    try:
        process.spawn()
    finally:
        os.umask(previous)
    assert process.wait(30)
    assert isinstance(process._child, Fork)
    report = json.loads(process.log.read_text().splitlines()[0])
    assert packages(report.pop("services")) == {"services.intake"}
    assert report == {
        "arguments": list(REPORTING[3:]),
        "environment": {"PATH": os.environ["PATH"], "KOPURO_SAMPLE": "with = and\nnewline"},
        "directory": str(tmp_path),
        "parent": os.getpid(),
        "session": process.pid,
        "umask": 0o026,
        "collects": False,
        "threads": 1,
        # The last is of the process's own hub, which eventlet makes when it patches the modules.
        "files": ["/dev/null", str(process.log), str(process.log), "anon_inode:[eventpoll]"],
        "altering": ["tests.support.fork_report"],
        "broker": "runtime.messaging.rabbit.broker.RabbitBroker",
    }


def test_fork_has_imported_its_own_package_only(fork_server: ForkServer, tmp_path: Path) -> None:
    process = service(REPORTING, tmp_path)
    for package in ("services.intake", "services.vault", "services.intake"):
        report = forked_report(fork_server, process, [f"{package}.bootstrap", f"{package}.service"])
        assert {f"{package}.bootstrap", f"{package}.service"} <= {*report["services"]}
        assert packages(report["services"]) == {package}


@pytest.mark.parametrize("altering", ["tests.crash.faults", "tests.faults.short_timeouts"])
def test_fork_has_imported_what_alters_it_and_is_altered_by_itself(
    fork_server: ForkServer, tmp_path: Path, altering: str
) -> None:
    command = [*REPORTING[:3], altering, "services.vault"]
    assert imported_by(command) == [altering, "services.vault.bootstrap", "services.vault.service"]
    report = forked_report(fork_server, service(REPORTING, tmp_path), imported_by(command))
    assert {"services.vault.bootstrap", "services.vault.service"} <= {*report["services"]}
    assert report["altering"] == [altering, "tests.support.fork_report"]
    assert report["broker"] == "runtime.messaging.rabbit.broker.RabbitBroker"


def forked_report(server: ForkServer, process: ServiceProcess, imported: Sequence[str]) -> dict[str, Any]:
    """Return the report of a fork of the server's that has imported these modules."""
    with process.log.open("wb") as log:
        fork = server.fork(
            process.command[2:],
            process.environment,
            log=log.fileno(),
            directory=process.directory,
            imported=imported,
        )
        assert fork.wait(30) == 2
    report: dict[str, Any] = json.loads(process.log.read_text().splitlines()[0])
    assert (report["collects"], report["threads"]) == (False, 1)
    assert (report["parent"], report["session"]) == (os.getpid(), fork.pid)
    assert report["files"] == ["/dev/null", *[str(process.log)] * 2, "anon_inode:[eventpoll]"]
    return report


def packages(modules: Sequence[str]) -> set[str]:
    return {".".join(name.split(".")[:2]) for name in modules}


def test_exit_code_of_fork_is_its_status(fork_server: ForkServer, tmp_path: Path) -> None:
    process = service(SERVICE, tmp_path)
    process.spawn()
    assert process.wait(30)
    assert process.exit_code() == 2
    assert "KOPURO_AMQP_URI is not set" in process.log.read_text()


def test_fork_serves_and_stops_in_order(fork_server: ForkServer, tmp_path: Path) -> None:
    sample = SampleProcess(tmp_path)
    process = sample.process
    with sample.log.open("ab") as log:
        fork = fork_server.fork(
            process.command[2:], process.environment, log=log.fileno(), directory=process.directory
        )
    try:
        until(lambda: any(line["message"] == "started" for line in sample.log_lines()))
        assert httpx.get(sample.url + "/v1/ping").status_code == 200
        fork.send_signal(signal.SIGTERM)
        assert fork.wait(30) == 0
    finally:
        if fork.poll() is None:
            os.kill(fork.pid, signal.SIGKILL)
            fork.wait(30)
    assert sample.log_lines()[-1]["message"] == "stopped"


def test_killed_fork_has_ended_at_once(fork_server: ForkServer, tmp_path: Path) -> None:
    process = service(WAITING, tmp_path)
    process.spawn()
    assert process.running()
    assert not process.wait(0.1)
    process.kill()
    assert process.exit_code() == -signal.SIGKILL
    assert not Path(f"/proc/{process.pid}").exists()


def test_fork_ends_with_its_owner(tmp_path: Path) -> None:
    owner = python_process("owner", OWNER, directory=tmp_path)
    owner.spawn()
    try:
        until(lambda: owner.log.read_text().endswith("\n"))
        pid = int(owner.log.read_text())
        assert Path(f"/proc/{pid}").exists()
        assert owner.pid is not None
        os.kill(owner.pid, signal.SIGKILL)
    finally:
        owner.kill()
    until(lambda: not Path(f"/proc/{pid}").exists())
