"""A command line builds only the commands that it needs: building all takes 0.1 s of each start."""

from __future__ import annotations

import inspect
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer
from typer.main import get_command

from kopuro_client.commands import plugins
from kopuro_client.commands.session import Session, connected

if TYPE_CHECKING:
    Absent = str  # an annotation that cannot be evaluated


def publish(session: Session, name: Absent) -> None:
    """Publish it."""


def test_options_of_connected_command_are_read_when_it_is_built() -> None:
    commands = typer.Typer()
    commands.command("publish")(connected(publish))
    with pytest.raises(NameError, match="Absent"):
        get_command(commands)


def remove(session: Session, name: str) -> None:
    """Remove it."""


def test_connected_command_has_its_own_options_and_the_shared() -> None:
    command = connected(remove)
    names = ["name", "context", "discovery", "acting_as", "credentials", "sealing_key", "as_json"]
    assert list(inspect.signature(command).parameters) == names
    assert list(inspect.get_annotations(command)) == names
    assert (command.__name__, command.__doc__) == ("remove", "Remove it.")


def test_plug_in_is_checked_once_for_many_command_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "counted_plugin.py").write_text("def up(): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    checked: list[typer.Typer] = []
    monkeypatch.setattr(plugins, "get_command", checked.append)
    for only in ("referral", "counted"):
        application = typer.Typer()
        added = plugins.add_plugins(
            application,
            [EntryPoint("counted", "counted_plugin:up", plugins.GROUP)],
            groups={},
            taken=(),
            complain=pytest.fail,
            only=only,
        )
        assert added == {"counted"}
        assert len(application.registered_groups) == (only == "counted")
    assert len(checked) == 1
