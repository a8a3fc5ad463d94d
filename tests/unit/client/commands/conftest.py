"""Fixtures that run the `kopuro` command in this process against the fake hub."""

from __future__ import annotations

import functools
import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from kopuro_client import generate_key
from kopuro_client.commands import main
from tests.unit.client.fake_hub import FakeHub

ORGANIZATION = "kg.osh-legal-aid"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture(scope="session", autouse=True)
def plugins_read_once() -> Iterator[None]:
    """Read the installed plug-ins once, not for each of 3,000 commands (5 ms of CPU time each)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kopuro_client.commands.entry_points", functools.cache(entry_points))
        yield


@pytest.fixture
def sealing_key() -> dict[str, Any]:
    return dict(generate_key())


@pytest.fixture
def credentials(tmp_path: Path, sealing_key: dict[str, Any]) -> Path:
    """A credentials file in the format of `kopuro up`."""
    file = tmp_path / "credentials.json"
    client = {"client_id": ORGANIZATION, "client_secret": "s"}
    file.write_text(
        json.dumps(
            {
                "organizations": {ORGANIZATION: {**client, "sealing_key": sealing_key}},
                "coordinator": {"client_id": "coordinator", "client_secret": "c"},
            }
        )
    )
    return file


@pytest.fixture
def run(
    hub: FakeHub, credentials: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    """Runs the command as ORGANIZATION; stdout and stderr are files, not terminals."""
    monkeypatch.setenv("KOPURO_DISCOVERY_URL", hub.url)
    monkeypatch.setenv("KOPURO_CREDENTIALS", str(credentials))
    monkeypatch.setenv("KOPURO_AS", ORGANIZATION)

    def running(*arguments: str) -> Ran:
        capfd.readouterr()
        code = main(arguments)
        captured = capfd.readouterr()
        return Ran(code=int(code), out=captured.out, err=captured.err)

    return running


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Standard input as a terminal; write the answers to it."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stdin = Terminal()
    monkeypatch.setattr(sys, "stdin", stdin)
    return stdin


def answering(terminal: io.StringIO, answer: str) -> None:
    """Let the answer be the next that is read."""
    terminal.seek(0)
    terminal.truncate()
    terminal.write(answer + "\n")
    terminal.seek(0)
