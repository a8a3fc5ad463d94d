"""The errors of a hub that does not start name the process and its log."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sandbox.hub import Hub
from sandbox.hub_processes import HubError


def test_hub_that_is_not_ready_in_time_names_the_log_of_an_unready_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(tmp_path / "data", ready_within=-1, environment={})
    ready = {"directory", "vault"}
    monkeypatch.setattr(hub, "_unready", lambda process: None if process in ready else "does not respond")
    monkeypatch.setattr(hub, "_give_up_on_crash_loops", lambda: None)
    with pytest.raises(HubError, match="routing: does not respond; ") as error:
        hub._wait_until_ready()
    assert str(error.value).endswith(f"see {hub.files.log('routing')}")


@pytest.mark.parametrize(
    ("stderr", "reason"), [("no such table\n", "no such table"), ("", "the process was killed by signal 9")]
)
def test_directory_that_cannot_be_loaded_has_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stderr: str, reason: str
) -> None:
    hub = Hub(tmp_path / "data", empty=True, environment={})
    killed = subprocess.CompletedProcess(["load"], returncode=-9, stdout="", stderr=stderr)
    monkeypatch.setattr("sandbox.hub.subprocess.run", lambda *args, **options: killed)
    with pytest.raises(HubError) as error:
        hub._load()
    assert str(error.value) == f"could not load the directory:\n{reason}"
