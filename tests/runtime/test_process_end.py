"""Start, refused start and end of a service process, within the documented time limits."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.runtime.sample_process import ROOT, SampleProcess

BOUND = 8.0
MARGIN = 4.0  # a busy machine's


def until_in_flight(sample: SampleProcess) -> None:
    """Return when the service reports a request in progress."""
    for _ in range(1000):
        metrics = httpx.get(sample.operations_url + "/metrics").text
        if "kopuro_http_requests_in_flight 1.0" in metrics:
            return
    raise AssertionError("the request never arrived")


def test_garbage_collector_is_enabled_before_the_service_is_built(sample: SampleProcess) -> None:
    """It is disabled during the imports alone."""
    assert (sample.log.parent / "collector").read_text() == "enabled"


def test_idle_process_with_open_connections_exits_with_0(tmp_path: Path) -> None:
    with SampleProcess(tmp_path) as sample, httpx.Client(base_url=sample.url) as client:
        client.get("/v1/ping")
        sample.process.ask_to_stop()
        assert sample.process.wait(BOUND + MARGIN)
        assert sample.process.exit_code() == 0
        assert sample.log_lines()[-1]["message"] == "stopped"
        assert {line["level"] for line in sample.log_lines()} == {"info"}


def test_stopping_process_answers_open_request(tmp_path: Path) -> None:
    with SampleProcess(tmp_path) as sample, ThreadPoolExecutor() as callers:
        answer = callers.submit(httpx.get, sample.url + "/v1/wait?seconds=1", timeout=30)
        until_in_flight(sample)
        sample.process.ask_to_stop()
        assert answer.result().json() == {"waited": 1.0}
        assert sample.process.wait(BOUND + MARGIN)
        assert sample.process.exit_code() == 0


def test_process_abandons_hanging_handler(tmp_path: Path) -> None:
    with SampleProcess(tmp_path) as sample, ThreadPoolExecutor() as callers:
        answer = callers.submit(httpx.get, sample.url + "/v1/wait?seconds=600", timeout=60)
        until_in_flight(sample)
        sample.process.ask_to_stop()
        assert sample.process.wait(BOUND + MARGIN)
        assert sample.process.exit_code() == 0
        assert isinstance(answer.exception(), httpx.TransportError)


def test_process_blocked_in_c_is_ended_by_watchdog(tmp_path: Path) -> None:
    with SampleProcess(tmp_path) as sample, ThreadPoolExecutor() as callers:
        callers.submit(httpx.get, sample.url + "/v1/block?seconds=60", timeout=1).exception()
        sample.process.ask_to_stop()
        assert sample.process.wait(BOUND + MARGIN)
        assert sample.process.exit_code() == 1
        assert "in block" in sample.log.read_text(), "the stacks say where it was"


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="reads /proc")
def test_process_leaves_no_core_file_whatever_its_parent_permits(tmp_path: Path) -> None:
    """A core file would hold keys and cases."""
    sample = SampleProcess(tmp_path)
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    with subprocess.Popen(
        sample.process.command,
        env=sample.process.environment,
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (hard, hard)),
    ) as process:
        try:
            for _ in range(1000):
                limits = Path(f"/proc/{process.pid}/limits").read_text(encoding="ascii")
                (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
                if line.split()[4:6] == ["0", "0"]:
                    break
                time.sleep(0.02)
            assert line.split()[4:6] == ["0", "0"]
        finally:
            process.kill()


def test_second_process_on_same_port_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with SampleProcess(tmp_path / "first") as first:
        second = SampleProcess(tmp_path / "second", port=first.port)
        second.process.spawn()
        assert second.process.wait(20)
        assert second.process.exit_code() == 1
        assert "could not start" in second.log.read_text()
        named = [(line.get("address"), line.get("reason")) for line in second.log_lines()]
        assert (f"127.0.0.1:{first.port}", "Address already in use") in named


def test_process_with_invalid_environment_names_the_fault() -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KOPURO_")}
    ended = subprocess.run(
        [sys.executable, "-m", "runtime", "tests.runtime.sample_service"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    for name in ("KOPURO_AMQP_URI", "KOPURO_DATABASE_URL", "KOPURO_HTTP_ADDRESS", "KOPURO_HUB"):
        assert f"{name} is not set" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("arguments", [[], ["one", "two"]])
def test_process_without_arguments_prints_usage(arguments: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "runtime", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "usage:" in ended.stderr
