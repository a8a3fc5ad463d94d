"""The server's commands without the server: each says what to install."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

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


@pytest.mark.parametrize("first_word", ["mailbox", "story", "up"])
def test_command_for_one_word_is_that_of_the_whole(first_word: str) -> None:
    whole, part = commands._application(), commands._application(first_word)

    assert set(part.commands) <= set(whole.commands)
    assert {"mailbox", "story"} & set(part.commands) <= {first_word}
    assert _described(part.commands[first_word]) == _described(whole.commands[first_word])


def test_unknown_first_word_is_answered_by_the_whole_command() -> None:
    assert commands._application("mailbx") is commands._application()


def _described(command: Any) -> Any:
    """Return a command's help, parameters and subcommands."""
    parameters = [(parameter.name, parameter.opts, parameter.required) for parameter in command.params]
    below = getattr(command, "commands", {})
    return command.help, parameters, {name: _described(one) for name, one in below.items()}
