"""The server's commands without the server: each says what to install."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

from kopuro_client import commands
from kopuro_client.commands import ExitCode, main
from kopuro_client.commands.server_commands import NAMES


@pytest.mark.parametrize("name", NAMES)
def test_server_command_without_the_server_says_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "entry_points", lambda group: ())
    words = name.split(".")

    assert main([*words, "kg.osh-legal-aid", "--amqp"]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert f"`kopuro {' '.join(words)}` is a server command" in said
    assert "pip install" in said


def test_placeholders_are_the_commands_that_the_server_installs() -> None:
    installed = {found.name for found in entry_points(group="kopuro.commands")}

    assert installed == set(NAMES)
