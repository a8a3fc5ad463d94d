"""Exit statuses, identities, and the output on a terminal and in a pipe."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from importlib.metadata import version
from pathlib import Path

import pytest

from kopuro_client.commands import ExitCode
from tests.unit.client.commands.conftest import ORGANIZATION, Run
from tests.unit.client.commands.samples import REFERRAL
from tests.unit.client.fake_hub import FakeHub, Response, json_response, problem

ONE = f"/intake/v1/referrals/{REFERRAL['id']}"
SHOW = ("referral", "show", REFERRAL["id"])


def test_exit_codes_are_unchanged() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "FAULT": 1,
        "USAGE": 2,
        "REFUSED": 3,
        "NOT_AUTHENTICATED": 4,
        "UNAVAILABLE": 5,
        "CANNOT_CONNECT": 6,
        "SEALING": 7,
        "HUB_DEFECT": 8,
        "NOT_VERIFIED": 9,
        "OUTPUT": 10,
        "NOT_ISSUED": 11,
        "INTERRUPTED": 130,
    }


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (json_response(REFERRAL), 0),
        (problem(404, "not-found", "Not found, or you do not have access"), 3),
        (problem(403, "forbidden", "No"), 3),
        (problem(401, "invalid-token", "No"), 4),
        (Response(status=503, headers={"Retry-After": "3600"}), 5),
        (json_response(["not", "a", "referral"]), 8),
        (problem(500, "internal", "Internal server error"), 8),
    ],
)
def test_error_response_has_its_exit_code(hub: FakeHub, run: Run, reply: Response, code: int) -> None:
    hub.script("GET", ONE, reply)
    ran = run(*SHOW)
    assert ran.code == code
    assert (ran.out == "") == (code != 0)
    assert "Traceback" not in ran.err


def test_refused_connection_exits_with_6(run: Run) -> None:
    ran = run(*SHOW, "--discovery", "http://127.0.0.1:9/")
    assert ran.code == 6
    assert "127.0.0.1:9" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["referral", "show"],
        ["referral", "no-such-command"],
        ["referral", "list", "--limit", "0"],
        ["referral", "list", "--discovery", "kopuro.example"],
        ["referral", "list", "--as", "kg.nobody"],
        ["referral", "list", "--credentials", "/no/such/file"],
    ],
)
def test_invalid_command_line_exits_with_2(run: Run, arguments: list[str]) -> None:
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err


@pytest.mark.parametrize("missing", ["KOPURO_DISCOVERY_URL", "KOPURO_CREDENTIALS", "KOPURO_AS"])
def test_missing_setting_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.delenv(missing)
    ran = run(*SHOW)
    assert ran.code == 2
    assert missing in ran.err or "--as" in ran.err


def test_identity_is_read_from_the_environment(
    hub: FakeHub, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("KOPURO_AS")
    monkeypatch.setenv("KOPURO_CLIENT_ID", "kg.other")
    monkeypatch.setenv("KOPURO_CLIENT_SECRET", "s")
    hub.script("GET", ONE, json_response(REFERRAL))
    assert run(*SHOW).code == 0
    monkeypatch.setenv("KOPURO_SEALING_KEY", str(tmp_path / "absent.json"))
    assert run(*SHOW).code == 2


def test_help_and_version_go_to_stdout(run: Run) -> None:
    ran = run("--help")
    assert ran.code == 0
    for word in (
        "referral",
        "mailbox",
        "offer",
        "case",
        "history",
        "readers",
        "checkpoint",
        "coordination",
        "Exit statuses",
    ):
        assert word in ran.out
    assert run("--version").out == f"{version('kopuro-client')}\n"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (("dead-letters", "list", "--data-dir", "x"), "admin dead-letters"),
        (("dead-letters",), "admin dead-letters"),
        (("audit", "reconcile", "--settled", "5"), "admin reconcile"),
        (("audit",), "admin reconcile"),
    ],
)
def test_earlier_name_of_a_command_says_the_new_one(run: Run, line: tuple[str, ...], name: str) -> None:
    ran = run(*line)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.endswith(f"is now `kopuro {name}`\n")
    assert len(ran.err.splitlines()) == 1
    assert not re.search(rf"^\W*{line[0]} ", run("--help").out, re.MULTILINE)


@pytest.mark.parametrize(
    "line",
    [
        ("up", "--data-dir", "x"),
        ("demo",),
        ("admin", "reconcile", "--json"),
        ("admin", "keys", "x"),
    ],
)
def test_server_command_without_server_names_the_package_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch, line: tuple[str, ...]
) -> None:
    monkeypatch.setattr("kopuro_client.commands.entry_points", lambda group: [])
    for options in ((), ("--help",)):
        ran = run(*line, *options)
        assert (ran.code, ran.out) == (2, "")
        assert f"`kopuro {line[0]}` is a server command" in ran.err
        assert "pip install" in ran.err
    assert "demo" not in run("--help").out


def _state_of(pid: int) -> str:
    """Return the state of the process's main thread: `S` while it waits in a system call."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_ctrl_c_ends_watch_with_exit_130(hub: FakeHub, credentials: Path) -> None:
    asked, over = threading.Event(), threading.Event()

    def held() -> Response:
        asked.set()
        over.wait(30)
        return json_response({"items": [], "next": None})

    hub.script("GET", "/delivery/v1/mailbox", held)
    environment = {**os.environ, "KOPURO_DISCOVERY_URL": hub.url}
    environment |= {"KOPURO_CREDENTIALS": str(credentials), "KOPURO_AS": ORGANIZATION}
    child = subprocess.Popen(
        [sys.executable, "-m", "kopuro_client", "mailbox", "watch"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert asked.wait(30)
        # A signal between Python's last check and the system call would be handled after the answer only.
        while _state_of(child.pid) != "S":
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
    finally:
        over.set()
        child.kill()
    assert (child.returncode, out) == (130, b"")
    assert b"Traceback" not in err


def python(
    *arguments: str, hub: FakeHub, credentials: Path, **environment: str
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-m", "kopuro_client", *arguments],
        env={
            **os.environ,
            "KOPURO_DISCOVERY_URL": hub.url,
            "KOPURO_CREDENTIALS": str(credentials),
            "KOPURO_AS": ORGANIZATION,
            **environment,
        },
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_pipe_gets_utf_8_without_escape_codes_in_any_locale(hub: FakeHub, credentials: Path) -> None:
    hub.script("GET", ONE, json_response({**REFERRAL, "acceptor": "Профсоюз"}))
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "FORCE_COLOR": "1"}
    ran = python(*SHOW, hub=hub, credentials=credentials, **locale)
    assert ran.returncode == 0, ran.stderr
    assert "Профсоюз" in ran.stdout.decode("utf-8")
    assert b"\x1b" not in ran.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_terminal_gets_colour_and_frames(hub: FakeHub, credentials: Path) -> None:
    hub.script("GET", ONE, json_response(REFERRAL))
    import pty

    master, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "160", "KOPURO_DISCOVERY_URL": hub.url}
    environment |= {"KOPURO_CREDENTIALS": str(credentials), "KOPURO_AS": ORGANIZATION}
    environment.pop("NO_COLOR", None)
    child = subprocess.Popen(
        [sys.executable, "-m", "kopuro_client", *SHOW],
        stdout=terminal,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    os.close(terminal)
    shown = b""
    try:
        while chunk := os.read(master, 65536):
            shown += chunk
    except OSError:
        pass  # on Linux: the other side is closed
    finally:
        os.close(master)
    assert child.wait(timeout=60) == 0
    text = shown.decode()
    assert "\x1b[" in text
    assert "●" in text
    assert "─" in text


def test_plug_in_adds_commands_and_broken_one_is_skipped(
    hub: FakeHub, credentials: Path, tmp_path: Path
) -> None:
    (tmp_path / "sample_plugin.py").write_text(
        "import typer\n"
        "letters = typer.Typer()\n"
        "@letters.command('list')\n"
        "def list_(): print('letters')\n"
        "@letters.command()\n"
        "def show(): pass\n"
        "def up(directory: str = 'x'): print('up in', directory)\n"
        "def join(name: str): print('joined', name)\n"
        "def unbuildable(what: 'Nowhere'): pass\n"
        "number = 7\n"
    )
    information = tmp_path / "sample_plugin-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: sample-plugin\nVersion: 1\n")
    (information / "entry_points.txt").write_text(
        "[kopuro.commands]\n"
        "sample-letters = sample_plugin:letters\n"
        "sample-up = sample_plugin:up\n"
        "absent = no_such_module:x\n"
        "number = sample_plugin:number\n"
        "unbuildable = sample_plugin:unbuildable\n"
        "referral = sample_plugin:up\n"
        "organization.join = sample_plugin:join\n"
        "organization.show = sample_plugin:join\n"
        "nowhere.join = sample_plugin:join\n"
    )
    hub.script("GET", ONE, json_response(REFERRAL))
    where = {"PYTHONPATH": str(tmp_path)}
    ran = python("sample-up", "--directory", "here", hub=hub, credentials=credentials, **where)
    assert (ran.returncode, ran.stdout) == (0, b"up in here\n")
    assert python("sample-letters", "list", hub=hub, credentials=credentials, **where).stdout == b"letters\n"
    ran = python(*SHOW, "--json", hub=hub, credentials=credentials, **where)
    assert json.loads(ran.stdout) == REFERRAL
    complaints = ran.stderr.decode().splitlines()
    ran_join = python("organization", "join", "kg.x", hub=hub, credentials=credentials, **where)
    assert (ran_join.returncode, ran_join.stdout) == (0, b"joined kg.x\n")
    for name in ("absent", "number", "unbuildable", "referral", "organization.show", "nowhere.join"):
        [line] = [line for line in complaints if f"'{name}'" in line]
        assert "skipped the plug-in" in line
