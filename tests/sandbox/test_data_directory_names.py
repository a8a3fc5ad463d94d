"""Data directories whose names contain characters with a meaning in URLs or shells.

A whole hub in such a directory is in `tests/journey/test_up.py`.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from admin.read_only_engine import open_read_only
from admin.reconciliation.reconcile import database_urls
from admin.reconciliation.service_states import SERVICES
from sandbox.broker import BrokerError, PrivateBroker
from sandbox.hub import Hub
from sandbox.hub_processes import HubError
from tests.faults.test_full_disk import small_disk
from tests.journey.command_process import CommandProcess

NAMES = ["what?", "100%", "a%20b", "a#b", "two words", "Ош", "two\nlines", "a&b;c=d", "{service}", "a:b@c"]


@pytest.mark.usefixtures("open_umask")
@pytest.mark.parametrize("name", NAMES)
def test_databases_are_private_and_inside_the_directory(name: str, tmp_path: Path) -> None:
    directory = tmp_path / name
    hub = Hub(directory, environment={"PATH": os.environ["PATH"]})
    hub.files.settle(())
    for service in SERVICES:
        hub._migrate(service)
    assert list(tmp_path.iterdir()) == [directory]
    database = hub.files.database("vault")
    assert stat.S_IMODE(database.stat().st_mode) == 0o600
    assert stat.S_IMODE(database.parent.stat().st_mode) == 0o700
    assert database_urls(directory, {})["vault"] == hub.processes.database_url("vault")
    with open_read_only(hub.processes.database_url("vault")).connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM alembic_version").scalar() == 1


@pytest.mark.parametrize("name", ["it's", 'a "b"'])
def test_broker_refuses_directory_with_quotation_marks(name: str, tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="without quotation marks"):
        PrivateBroker(tmp_path / name).start()


def test_hub_refuses_directory_name_that_is_not_utf_8(tmp_path: Path) -> None:
    hub = Hub(tmp_path / os.fsdecode(b"\xff"), environment={})
    with pytest.raises(HubError, match="not valid UTF-8"):
        hub.start()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KOPURO_DIGEST", "daily"),
        ("KOPURO_REQUESTS_PER_MINUTE", "many"),
        ("KOPURO_TRACES_RATIO", "2"),
        ("KOPURO_DATABASE_TEMPLATE", "postgresql://db/kopuro_{service}"),
    ],
)
def test_hub_refuses_a_wrong_setting_before_it_starts_anything(name: str, value: str, tmp_path: Path) -> None:
    hub = Hub(tmp_path / "data", environment={name: value})
    with pytest.raises(HubError, match=f"^{name} (is|must) "):
        hub.start()
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("kilobytes", [200, pytest.param(700, marks=pytest.mark.long_run), 1000])
def test_start_on_full_disk_ends_with_one_sentence(kilobytes: int, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", f"{kilobytes}k") as disk:
        up = CommandProcess(tmp_path / "said", "up", "--data-dir", str(disk / "data"), "--empty")
        with up:
            assert up.end(within=60) == 1
        assert "Traceback" not in up.err
        assert any(word in up.err for word in ("No space left", "disk is full", "disk I/O error", "enospc"))
