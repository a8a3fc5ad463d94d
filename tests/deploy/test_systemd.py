"""The systemd units: what they run exists, with its settings, and systemd accepts them."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.shutdown import BOUND_SECONDS
from tests.deploy.settings_names import DEPLOY, SERVICES, missing

UNITS = DEPLOY / "systemd"


def _directives(*files: Path) -> list[tuple[str, str]]:
    """Return the directives of unit files in their order."""
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return [(name, value) for line in lines if line[:1].isalpha() for name, _, value in [line.partition("=")]]


def _unit(service: str) -> list[tuple[str, str]]:
    dropped_in = sorted((UNITS / f"kopuro@{service}.service.d").glob("*.conf"))
    found = _directives(UNITS / "kopuro@.service", *dropped_in)
    return [(name, value.replace("%i", service)) for name, value in found]


def _written_by_page() -> frozenset[str]:
    """The settings that the set-up page writes into the environment files."""
    page = (DEPLOY / "README.md").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^(KOPURO_[A-Z_]+)=", page, re.MULTILINE))


@pytest.mark.parametrize("service", SERVICES)
def test_unit_and_environment_files_give_service_its_settings_and_no_others(service: str) -> None:
    own = frozenset(value.partition("=")[0] for name, value in _unit(service) if name == "Environment")

    assert missing(service, own | _written_by_page()) == set()


@pytest.mark.parametrize("service", SERVICES)
def test_unit_runs_an_existing_service_as_an_account_of_its_own(service: str) -> None:
    unit = dict(_unit(service))

    assert unit["ExecStart"].split()[1:] == ["-m", "runtime", f"services.{service}"]
    assert importlib.util.find_spec(f"services.{service}.service") is not None
    assert f"u {unit['User']} " in (UNITS / "sysusers.conf").read_text(encoding="utf-8")


@pytest.mark.parametrize("service", SERVICES)
def test_credentials_in_environment_are_loaded(service: str) -> None:
    loaded = {value.partition(":")[0] for name, value in _unit(service) if name == "LoadCredential"}
    used = {value.rpartition("%d/")[2] for name, value in _unit(service) if "%d/" in value}

    assert used == loaded


def test_stop_timeout_lets_a_service_end_itself_first() -> None:
    unit = dict(_directives(UNITS / "kopuro@.service"))

    assert BOUND_SECONDS < float(unit["TimeoutStopSec"]) <= BOUND_SECONDS + 5


def test_wrong_settings_are_not_tried_again() -> None:
    """`runtime/process.py` ends with 2 for these, and with 1 for what may pass."""
    unit = dict(_directives(UNITS / "kopuro@.service"))

    assert (unit["Restart"], unit["RestartPreventExitStatus"]) == ("on-failure", "2")


def test_migration_has_the_hardening_of_the_service() -> None:
    service = (UNITS / "kopuro@.service").read_text(encoding="utf-8")
    migration = (UNITS / "kopuro-migrate@.service").read_text(encoding="utf-8")
    hardening = service[service.index("NoNewPrivileges") : service.index("[Install]")]

    assert migration.endswith(hardening.rstrip() + "\n")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_units_and_finds_little_exposed(tmp_path: Path) -> None:
    shutil.copytree(UNITS, tmp_path, dirs_exist_ok=True)
    for unit in tmp_path.glob("*.service"):
        text = unit.read_text(encoding="utf-8")
        unit.write_text(text.replace("/opt/kopuro/bin/python", sys.executable), encoding="utf-8")
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    names = [f"{unit}@{service}.service" for unit in ("kopuro", "kopuro-migrate") for service in SERVICES]

    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *names, "kopuro.target"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    exposure = subprocess.run(
        [
            "systemd-analyze",
            "security",
            "--offline=yes",
            "--threshold=20",
            "--no-pager",
            "kopuro@vault.service",
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (verified.returncode, verified.stderr) == (0, "")
    assert exposure.returncode == 0, exposure.stdout  # 2.0 of 10
