"""Help texts of every command, the server's included, name values plainly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from kopuro_client.commands import _application, main
from tests.long_run import combinations

APPLICATION = _application()


def _paths(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from _paths(below, (*path, name))


@pytest.mark.parametrize(
    ("path", "columns"),
    combinations(list(_paths(APPLICATION)), ["80", "200"]),
    ids=lambda value: value if isinstance(value, str) else " ".join(value) or "kopuro",
)
def test_help_names_values_plainly(
    path: tuple[str, ...], columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert main([*path, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Usage: kopuro" in text
    assert re.findall(r"<[a-z][^>]*>|\blist\[|\bbool\b|\{(?!service)[A-Za-z]", text) == []


def test_help_shows_kind_of_each_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    expected = {
        ("verify", "log"): [r"--since +PATH\.\.\.", r"--whole  +Verify", "log .OPTIONS. WHERE"],
        ("mailbox", "ack"): [r"MESSAGE\.\.\.  +The messages' ids"],
        ("mailbox", "watch"): [r"--for +NUMBER"],
        ("export",): [r"--format +ndjson.csv.parquet", "DIRECTORY"],
        ("admin", "dead-letters", "replay"): [r"CONSUMER .MESSAGE-ID.", "--data-dir +DIR"],
        ("admin", "reconcile"): ["--settled +SECONDS"],
    }
    for path, patterns in expected.items():
        main([*path, "--help"])
        text = capsys.readouterr().out
        for pattern in patterns:
            assert re.search(pattern, text), (path, pattern)


def test_help_paragraph_is_one_line() -> None:
    broken = []
    for path in _paths(APPLICATION):
        command = APPLICATION
        for name in path:
            command = command.commands[name]
        broken += [(path, part) for part in (command.help or "").split("\n\n") if "\n" in part]
    assert broken == []
