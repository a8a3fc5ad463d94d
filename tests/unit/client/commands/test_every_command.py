"""Every command that click lists, under every kind of failure: a documented exit status and no traceback."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kopuro_client import RetryPolicy, generate_key
from kopuro_client.client_key import generate_client_key
from kopuro_client.commands import ExitCode, _application, main
from kopuro_client.tlog.keys import SigningKey
from tests.long_run import combinations
from tests.unit.client.commands.conftest import ORGANIZATION
from tests.unit.client.fake_hub import FakeHub, Response, json_response, problem

BUNDLE = Path(__file__).parents[1] / "tlog" / "kopuro-bundle-1.json"
WITNESS = SigningKey.generate("union.example/witness")

# Options that end a command that would run on or start a hub. `blocked` is a file, not a directory.
MORE: dict[tuple[str, ...], tuple[str, ...]] = {
    ("mailbox", "watch"): ("--for", "1"),
    ("listen",): ("--for", "1"),
    ("witness", "serve"): ("--listen", "nowhere"),
    ("witness", "run"): ("--once",),
    ("statistics",): ("--by", "sex"),
    ("demo",): ("--data-dir", "blocked/hub"),
    ("up",): (),
    ("admin", "reconcile"): ("--data-dir", "blocked/hub"),
    ("referral", "note"): ("--to", "ru.moscow-union"),
    ("admin", "dead-letters", "replay"): ("--all",),
    ("key", "replace"): ("--lost",),
    ("coordination", "nudge"): ("--yes",),
    ("coordination", "extend"): ("--yes",),
    ("coordination", "move-on"): ("--yes",),
    ("coordination", "place"): ("--yes",),
    ("coordination", "withdraw"): ("--yes",),
    ("coordination", "revoke-consent"): ("--yes",),
    ("referral", "withdraw"): ("--yes",),
    ("referral", "revoke-consent"): ("--yes",),
    ("credential", "revoke"): ("--yes",),
    ("admin", "client", "revoke"): ("--yes",),
    ("webhook", "delete"): ("--yes",),
    ("watch", "retract"): ("--yes",),
    ("organization", "approve-service"): ("--yes",),
    ("organization", "withdraw-approval"): ("--yes",),
    ("organization", "suspend"): ("--yes",),
    ("organization", "apply"): ("--name", "Aid"),
    ("organization", "vet-application"): ("--yes",),
    ("organization", "refuse-application"): ("--yes",),
    ("organization", "disconnect"): ("--amqp", "--management-uri", "http://kg.gateway:x@127.0.0.1:1"),
    ("organization", "connect"): (
        "--amqp",
        *("--gateway-key", "gateway.json"),
        *("--management-uri", "http://kg.gateway:x@127.0.0.1:1"),
    ),
}
# Values of required parameters for which an arbitrary text would end the command too early.
VALUES = {
    "data_dir": "blocked/hub",
    "evidence": "witness.key",
    "where": "HUB",
    "key": "witness.key",
    "log_key": WITNESS.verifier,
    "state": "state",
    "status": "no_capacity",
    "reason": "other",
    "outcome": "resolved",
    "role": "auditor",
    "until": "2027-01-01T00:00:00Z",
    "name": "union.example/witness",
    "directory": "export-files",
    "new": "key.json",
    "url": "http://127.0.0.1:1/",
    # If the id has another form, a 404 is the caller's mistake.
    **dict.fromkeys(
        (
            *("referral", "approval", "offer", "application", "applications"),
            *("watched", "report", "endpoint", "message", "messages"),
        ),
        "0199a0de-0000-7000-8000-000000000001",
    ),
    "organization": "kg.osh-legal-aid",
    "to": "kg.osh-legal-aid",
    "revision": "1",
}
FILES: dict[tuple[str, ...], str] = {
    ("referral", "submit"): "referral.json",
    ("referral", "preview"): "referral.json",
    ("coordination", "simulate"): "referral.json",
    ("case", "seal"): "referral.json",
    ("trigger",): "referral.json",
    ("case", "replace"): "referral.json",
    ("organization", "update"): "key.json",
    ("key", "publish"): "key.json",
    ("credential", "keys"): "client-keys.json",
    ("verify", "bundle"): str(BUNDLE),
    ("verify", "receipt"): str(BUNDLE),
}


def _leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    subcommands = getattr(command, "commands", None)
    if subcommands is None:
        yield path, command
    for name, below in (subcommands or {}).items():
        yield from _leaves(below, (*path, name))


APPLICATION = _application()
COMMANDS = dict(_leaves(APPLICATION))


def _words(value: tuple[str, ...] | str) -> str:
    """Return the id of a command's path or of a kind of response."""
    return value if isinstance(value, str) else " ".join(value)


every_command = pytest.mark.parametrize("path", COMMANDS, ids=_words)
# Commands that send requests with credentials, recognised by their connection options.
connected = [path for path, command in COMMANDS.items() if any(p.name == "acting_as" for p in command.params)]
anonymous = [("checkpoint",), ("log-key",)]
takes_json = [path for path, command in COMMANDS.items() if any("--json" in p.opts for p in command.params)]


def line_of(path: tuple[str, ...], hub_url: str) -> list[str]:
    """Return the command line with all required parameters."""
    line = list(path)
    for parameter in COMMANDS[path].params:
        if not parameter.required:
            continue
        value = FILES.get(path, "new-file") if parameter.name == "file" else VALUES.get(parameter.name, "x")
        value = hub_url if value == "HUB" else str(value)
        line += [value] if parameter.param_type_name == "argument" else [parameter.opts[0], value]
    return [*line, *MORE.get(path, ())]


@pytest.fixture
def hub_url(hub: FakeHub, credentials: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KOPURO_DISCOVERY_URL", hub.url)
    monkeypatch.setenv("KOPURO_CREDENTIALS", str(credentials))
    monkeypatch.setenv("KOPURO_AS", ORGANIZATION)
    monkeypatch.setenv("KOPURO_AMQP_URI", "amqp://guest:guest@127.0.0.1:1/")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KOPURO_DATABASE_TEMPLATE", raising=False)
    # One attempt each; other tests cover retries.
    once = RetryPolicy(attempts=1)
    monkeypatch.setattr("kopuro_client.transport.RetryPolicy", lambda: once)
    _furnish(tmp_path)
    return hub.url


CONTENTS = {
    "blocked": "a file",
    "referral.json": json.dumps({"needs": ["shelter"], "case": {"name": "A"}}),
    "key.json": json.dumps(generate_key()),
    "client-keys.json": json.dumps({"keys": [generate_client_key("k-1")[1]]}),
    "gateway.json": json.dumps(generate_client_key("gateway-1")[0]),
    "witness.key": WITNESS.secret_text(),
}


def _furnish(directory: Path) -> None:
    """Write the files that command lines name."""
    for name, content in CONTENTS.items():
        (directory / name).write_text(content)


Elsewhere = Callable[[str], None]


@pytest.fixture
def elsewhere(hub_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    """Changes into a new directory, as new as a test's: no earlier command has left a file or a state."""

    def changing(name: str) -> None:
        directory = tmp_path / name
        directory.mkdir()
        _furnish(directory)
        monkeypatch.chdir(directory)
        monkeypatch.setenv("XDG_STATE_HOME", str(directory / "xdg"))
        monkeypatch.setenv("HOME", str(directory))

    return changing


Outcome = tuple[int, str, str]
RunLine = Callable[[list[str]], Outcome]


@pytest.fixture
def run_line(hub_url: str, capsys: pytest.CaptureFixture[str]) -> RunLine:
    def running(line: list[str]) -> Outcome:
        capsys.readouterr()
        code = main(line)
        out, err = capsys.readouterr()
        assert code in set(ExitCode), (line, code)
        assert "Traceback" not in err, (line, err)
        # A verdict is data, so it goes to stdout.
        assert code == ExitCode.OK or (out if code == ExitCode.NOT_VERIFIED else err).strip(), line
        assert code != ExitCode.FAULT or line[0] in ("up", "demo"), (line, err)
        return code, out, err

    return running


ANSWERS = {
    "401": (problem(401, "invalid-token", "No"), ExitCode.NOT_AUTHENTICATED),
    "404 html": (Response(status=404, body=b"<html>not here</html>"), ExitCode.REFUSED),
    "422": (
        problem(422, "invalid-submission", "No", errors=[{"pointer": "/a", "detail": "b"}]),
        ExitCode.REFUSED,
    ),
    "500 html": (Response(status=500, body=b"<html>\x1b[31mfailed</html>"), ExitCode.HUB_DEFECT),
    "503": (Response(status=503, headers={"Retry-After": "3600"}), ExitCode.UNAVAILABLE),
    "connection lost": (Response(status=200, body=b"{}" * 100, cut=True), ExitCode.CANNOT_CONNECT),
}


@pytest.mark.parametrize(("path", "kind"), combinations(connected, list(ANSWERS)), ids=_words)
def test_failed_response_has_its_exit_status_and_json_report(
    hub: FakeHub, hub_url: str, run_line: RunLine, path: tuple[str, ...], kind: str
) -> None:
    hub.otherwise, expected = ANSWERS[kind]
    if path == ("case", "seal"):
        hub.script("GET", "/.well-known/kopuro", hub.otherwise)  # the only request is for the hub's key
    code, out, err = run_line(line_of(path, hub_url))
    assert (code, out) == (expected, "")
    assert "\x1b" not in err
    code, out, err = run_line(
        [*(new_names(line_of(path, hub_url))), "--json"] if path in takes_json else line_of(path, hub_url)
    )
    assert (code, out) == (expected, "")
    if path in takes_json:
        document = json.loads(err.splitlines()[-1])
        assert document["type"].startswith(("urn:kopuro:", "about:blank"))
        assert document["title"]


def new_names(line: list[str]) -> list[str]:
    """Return the command line with other new files than in its first run."""
    return [{"export-files": "export-files-2", "new-file": "new-file-2"}.get(word, word) for word in line]


ODD = {
    "empty object": json_response({}),
    "empty list": json_response([]),
    "html": Response(status=200, body=b"<html></html>"),
    "empty items": json_response({"items": [{}], "next": None}),
    "wrong kinds": json_response(
        {"items": [7, None], "decisions": 3, "figures": {}, "id": [], "case": 4, "size": "x"}
    ),
}
# Every command gets values of the wrong kind, since each reads its own fields, and one of the others; in a
# long run, all of them.
ODD_OF = {path: ["wrong kinds"] for path in COMMANDS}
for path, kind in combinations(list(COMMANDS), [kind for kind in ODD if kind != "wrong kinds"]):
    ODD_OF[path].append(kind)


@every_command
def test_response_that_violates_contract_ends_without_traceback(
    hub: FakeHub, hub_url: str, run_line: RunLine, elsewhere: Elsewhere, path: tuple[str, ...]
) -> None:
    for kind in ODD_OF[path]:
        elsewhere(kind)
        hub.otherwise = ODD[kind]
        run_line(line_of(path, hub_url))


@pytest.mark.parametrize(
    ("path", "address"),
    combinations(list(COMMANDS), ["http://127.0.0.1:9/", "http://[", "nonsense", "http://\udcff/", ""]),
    ids=lambda value: ascii(_words(value)),
)
def test_invalid_hub_url_ends_without_traceback(
    run_line: RunLine, path: tuple[str, ...], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOPURO_DISCOVERY_URL", address)
    code, out, _ = run_line(line_of(path, address))
    if path in connected or path in anonymous:
        assert out == ""
        assert code in (ExitCode.USAGE, ExitCode.CANNOT_CONNECT)


@pytest.mark.parametrize("path", takes_json, ids=_words)
def test_invalid_command_line_with_json_is_reported_as_json(run_line: RunLine, path: tuple[str, ...]) -> None:
    code, out, err = run_line([*path, "--json", "--no-such-option"])
    assert (code, out) == (ExitCode.USAGE, "")
    assert json.loads(err)["type"] == "urn:kopuro:command:usage"


class Full(io.StringIO):
    """A full device."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@every_command
def test_help_on_full_device_exits_with_10(
    run_line: RunLine, path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", Full())
        code, _, err = run_line([*path, "--help"])
    assert code == ExitCode.OUTPUT
    assert "No space left on device" in err
    assert len(err.splitlines()) == 1


@every_command
def test_closed_stdout_exits_with_10_without_any_effect(
    hub: FakeHub, hub_url: str, run_line: RunLine, path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(Path.cwd().iterdir())
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", None)
        code, _, err = run_line(line_of(path, hub_url))
    assert code == ExitCode.OUTPUT
    assert err == "kopuro: stdout is closed; the command did nothing\n"
    assert hub.received == []
    assert sorted(Path.cwd().iterdir()) == before


@every_command
def test_closed_stdin_and_stderr_end_without_traceback(
    hub: FakeHub, hub_url: str, run_line: RunLine, path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = line_of(path, hub_url)
    line = ["-" if word == "referral.json" else word for word in line]
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdin", None)
        code, _, err = run_line(line)
    if "-" in line:
        assert (code, "stdin is empty or closed" in err) == (ExitCode.USAGE, True)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", None)
        assert main(new_names(line_of(path, hub_url))) in set(ExitCode)


def test_every_command_and_each_of_its_parameters_has_a_help_text() -> None:
    silent = [
        (*path, parameter.name)
        for path, command in COMMANDS.items()
        for parameter in command.params
        if not parameter.help
    ]
    assert silent == []
    assert [path for path, command in COMMANDS.items() if not command.help] == []


def test_sweep_covers_every_server_command() -> None:
    assert {path[0] for path in COMMANDS} >= {
        *("up", "demo", "admin", "routing"),
        *("referral", "verify"),
    }
    assert len(connected) > 20
