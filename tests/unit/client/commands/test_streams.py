"""The command as a process whose streams are closed, full or no longer read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kopuro_client.commands import ExitCode
from kopuro_client.commands.new_file import write_secret
from kopuro_client.errors import InvalidArgumentError
from tests.journey.waiting import until
from tests.long_run import combinations, times
from tests.unit.client.commands.conftest import ORGANIZATION, Run
from tests.unit.client.commands.samples import SUMMARY
from tests.unit.client.fake_hub import FakeHub, json_response

REFERRAL = "0199a0de-0000-7000-8000-000000000001"
LIST = ("referral", "list")
ROWS = 1000


def shell(line: str, hub: FakeHub, credentials: Path, **more: str) -> subprocess.CompletedProcess[bytes]:
    """Run a shell line in which $kopuro is the command."""
    environment = {
        **os.environ,
        "KOPURO_DISCOVERY_URL": hub.url,
        "KOPURO_CREDENTIALS": str(credentials),
        "KOPURO_AS": ORGANIZATION,
        **more,
    }
    python = f'kopuro="{sys.executable} -m kopuro_client"\n'
    return subprocess.run(
        ["bash", "-c", python + line], env=environment, capture_output=True, timeout=60, check=False
    )


@pytest.fixture(autouse=True)
def _scripted(hub: FakeHub) -> None:
    # More than a pipe holds (64 KiB): a reader that has left is noticed.
    many = [{**SUMMARY, "id": f"r{n}"} for n in range(ROWS)]
    hub.script("GET", "/intake/v1/referrals", json_response({"items": many, "next": None}))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("$kopuro referral list >/dev/full", b"No space left on device"),
        pytest.param(
            "$kopuro referral list --json >/dev/full", b"No space left on device", marks=pytest.mark.long_run
        ),
        ("$kopuro --help >/dev/full", b"No space left on device"),
        pytest.param("$kopuro --version >/dev/full", b"No space left on device", marks=pytest.mark.long_run),
        ("$kopuro referral list >&-", b"stdout is closed"),
        pytest.param(
            "$kopuro referral list | true; exit ${PIPESTATUS[0]}",
            b"Broken pipe",
            marks=pytest.mark.long_run,
        ),
        ("$kopuro referral list | head -1 >/dev/null; exit ${PIPESTATUS[0]}", b"Broken pipe"),
    ],
)
def test_unwritable_stdout_prints_one_line_and_exits_with_10(
    hub: FakeHub, credentials: Path, line: str, reason: bytes
) -> None:
    ran = shell(line, hub, credentials)
    assert ran.returncode == ExitCode.OUTPUT, ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert reason in ran.stderr


@pytest.mark.parametrize(("found", "closed"), combinations([True, False], ["2>&-", "2>/dev/full"]))
def test_unwritable_stderr_does_not_change_exit_status(
    hub: FakeHub, credentials: Path, found: bool, closed: str
) -> None:
    line = "referral list" if found else f"referral show {REFERRAL}"
    ran = shell(f"$kopuro {line} {closed}", hub, credentials)
    assert (ran.returncode, ran.stderr) == (ExitCode.OK if found else ExitCode.REFUSED, b"")
    assert len(ran.stdout.splitlines()) == (ROWS + 1 if found else 0)
    assert len(ran.stdout) > 65_536 or not found


def test_closed_stdin_reads_as_empty(hub: FakeHub, credentials: Path) -> None:
    assert shell("$kopuro referral list <&-", hub, credentials).returncode == ExitCode.OK
    for line in ("$kopuro case seal - <&-", "$kopuro case seal - </dev/null")[: times(1, 2)]:
        ran = shell(line, hub, credentials)
        assert (ran.returncode, ran.stdout) == (ExitCode.USAGE, b"")
        assert ran.stderr == b"kopuro: stdin is empty or closed; expected a JSON object\n"


def test_message_that_cannot_be_printed_is_not_acknowledged(hub: FakeHub, credentials: Path) -> None:
    message = {"id": "m1", "type": "kopuro.offer.opened.v1", "time": "2026-05-01T09:00:01Z", "data": {}}
    hub.script("GET", "/delivery/v1/mailbox", json_response({"items": [message], "next": None}))
    for stdout in (">/dev/full", ">&-")[: times(1, 2)]:
        ran = shell(f"$kopuro mailbox watch --ack --for 1 {stdout}", hub, credentials)
        assert ran.returncode == ExitCode.OUTPUT
    assert hub.requests_to("/delivery/v1/mailbox/m1/acknowledge") == []


def test_closed_descriptors_are_not_reused_by_file_or_connection(
    hub: FakeHub, credentials: Path, tmp_path: Path
) -> None:
    file = tmp_path / "key.json"
    ran = shell(f"$kopuro key generate {file} <&- 2>&-", hub, credentials)
    assert ran.returncode == ExitCode.OK
    assert set(json.loads(file.read_text())) == {"kty", "crv", "x", "kid", "d"}


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_ctrl_c_prints_one_line_and_exits_with_130(
    hub: FakeHub, credentials: Path, options: tuple[str, ...]
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "kopuro_client", "case", "seal", "-", *options],
        env={
            **os.environ,
            "KOPURO_DISCOVERY_URL": hub.url,
            "KOPURO_CREDENTIALS": str(credentials),
            "KOPURO_AS": ORGANIZATION,
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with child:
        # It reads stdin after that.
        until(lambda: hub.requests_to("/.well-known/kopuro") or child.poll() is not None, "its first request")
        assert child.poll() is None
        child.send_signal(signal.SIGINT)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (ExitCode.INTERRUPTED, b"")
    if options and err:
        assert json.loads(err)["type"] == "urn:kopuro:command:interrupted"
    else:
        assert err in (b"kopuro: interrupted\n", b"")


@pytest.mark.usefixtures("any_umask")
def test_secret_never_overwrites_a_file(tmp_path: Path) -> None:
    file = tmp_path / "new"
    write_secret(file, b"content", public="its digest")
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(InvalidArgumentError, match="File exists"):
        write_secret(file, b"other", public="its digest")
    assert file.read_bytes() == b"content"
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(InvalidArgumentError):
        write_secret(tmp_path / "link", b"content", public="its digest")
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(
    "command",
    [
        "key generate new",
        pytest.param("credential secret new", marks=pytest.mark.long_run),
        pytest.param("witness key generate new --name a.example/w", marks=pytest.mark.long_run),
    ],
)
def test_secret_without_its_public_counterpart_leaves_no_file(
    hub: FakeHub, credentials: Path, tmp_path: Path, command: str
) -> None:
    ran = shell(f"cd {tmp_path}; $kopuro {command} >/dev/full", hub, credentials)
    assert ran.returncode == ExitCode.OUTPUT
    assert ran.stderr == b"kopuro: cannot write to stdout (No space left on device)\n"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("line", "requested"),
    [
        ("referral list", True),
        pytest.param("--help", False, marks=pytest.mark.long_run),
        ("offer --help", False),
        pytest.param("--version", False, marks=pytest.mark.long_run),
    ],
)
def test_unwritable_stdout_mentions_requests_only_after_requests(
    hub: FakeHub, credentials: Path, line: str, requested: bool
) -> None:
    ran = shell(f"$kopuro {line} >/dev/full", hub, credentials)
    assert (b"requests to the hub" in ran.stderr) is requested


def test_refused_bundle_leaves_no_file_and_existing_file_sends_no_request(
    hub: FakeHub, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "case.json"
    assert run("bundle", REFERRAL, "--output", str(file)).code == ExitCode.REFUSED
    assert not file.exists()
    file.write_text("mine")
    asked = len(hub.requests_to(f"/audit/v1/history/{REFERRAL}/bundle"))
    for command in (("bundle", REFERRAL, "--output"), ("story", REFERRAL, "--pdf"), ("key", "generate")):
        ran = run(*command, str(file))
        assert (ran.code, ran.err) == (ExitCode.USAGE, f"kopuro: cannot write {file}: File exists\n")
    assert len(hub.requests_to(f"/audit/v1/history/{REFERRAL}/bundle")) == asked
    assert hub.requests_to(f"/audit/v1/history/{REFERRAL}/story") == []
    assert file.read_text() == "mine"


@pytest.mark.parametrize("where", ["file", "file/below", "/dev/null", "/proc/none"])
def test_export_to_unusable_directory_sends_no_request(
    hub: FakeHub, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("mine")
    ran = run("export", where)
    assert (ran.code, ran.out) == (ExitCode.USAGE, "")
    assert len(ran.err.splitlines()) == 1
    assert where in ran.err
    assert hub.requests_to("/audit/v1/export") == []
