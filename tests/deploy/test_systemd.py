"""The systemd units: what they run exists, with its settings, and systemd accepts them."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from admin.environment_files import read_environment, read_environments
from kopuro_client.commands import ExitCode, main
from runtime.shutdown import BOUND_SECONDS
from tests.deploy.settings_names import DEPLOY, SERVICES, missing
from tests.support.certificates import PrivateCa

UNITS = DEPLOY / "systemd"
# Every service's account reads these files; all others that the settings name are private.
PUBLIC = {"KOPURO_DISCOVERY", "KOPURO_MANIFEST", "KOPURO_HUB_KEY"}

Environments = Mapping[str, Mapping[str, str]]


def _directives(*files: Path) -> list[tuple[str, str]]:
    """Return the directives of unit files in their order."""
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return [(name, value) for line in lines if line[:1].isalpha() for name, _, value in [line.partition("=")]]


def _unit(service: str) -> list[tuple[str, str]]:
    dropped_in = sorted((UNITS / f"kopuro@{service}.service.d").glob("*.conf"))
    found = _directives(UNITS / "kopuro@.service", *dropped_in)
    return [(name, value.replace("%i", service)) for name, value in found]


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Environments:
    """The environment files that the set-up page's `kopuro admin init` writes, with their paths there."""
    place = tmp_path_factory.mktemp("page")
    PrivateCa(place)
    page = (DEPLOY / "README.md").read_text(encoding="utf-8").replace("\\\n", "")
    (line,) = re.findall(r"^kopuro (admin init .*)$", page, re.MULTILINE)
    line = line.replace("$HUB", "kg").replace("$NAME", "hub.example")
    words = shlex.split(line.replace("/etc/kopuro/tls", str(place)).replace("/etc/kopuro", f"{place}/hub"))
    assert main(words) == ExitCode.OK
    return {
        service: {name: value.replace(f"{place}/hub", "/etc/kopuro") for name, value in variables.items()}
        for service, variables in read_environments(place / "hub" / "env").items()
    }


def _copied_keys(service: str) -> dict[str, str]:
    """The variables that name the service's own copies of key files, each with the original's path."""
    unit = _unit(service)
    loaded = dict(value.split(":", 1) for name, value in unit if name == "LoadCredential")
    named = " ".join(value for name, value in unit if "%d/" in value)
    return {variable: loaded[key] for variable, key in re.findall(r"(KOPURO_\w+)=%d/(\S+)", named)}


@pytest.mark.parametrize("service", SERVICES)
def test_environment_files_give_service_its_settings_and_no_others(
    service: str, environments: Environments
) -> None:
    assert missing(service, frozenset(environments[service])) == set()


@pytest.mark.parametrize("service", SERVICES)
def test_service_gets_copies_of_all_its_private_keys(service: str, environments: Environments) -> None:
    copied = _copied_keys(service)
    private = {
        name: value
        for name, value in environments[service].items()
        if value.startswith("/etc/kopuro/") and name not in PUBLIC
    }
    loaded = [value for name, value in _unit(service) if name == "LoadCredential"]

    assert copied == private
    assert len(loaded) == len(private)


@pytest.mark.parametrize("service", SERVICES)
def test_unit_runs_an_existing_service_as_an_account_of_its_own(service: str) -> None:
    unit = dict(_unit(service))

    assert unit["ExecStart"].split()[-3:] == ["-m", "runtime", f"services.{service}"]
    assert "$OWN_KEYS" in unit["ExecStart"].split()
    assert importlib.util.find_spec(f"services.{service}.service") is not None
    assert f"u {unit['User']} " in (UNITS / "sysusers.conf").read_text(encoding="utf-8")


@pytest.mark.parametrize("service", ["vault", "audit"])
def test_state_directories_are_those_of_the_settings(service: str, environments: Environments) -> None:
    states = [value for name, value in _unit(service) if name == "StateDirectory"]
    kept = [path for path in environments[service].values() if path.startswith("/var/lib/")]

    assert [path.startswith(f"/var/lib/{state}/") for path in kept for state in states] == [True]


def test_gateway_unit_reads_its_own_key_and_no_other(tmp_path: Path) -> None:
    """The drop-in resets what the template gives each service; the gateway has no service key."""
    (tmp_path / "env").mkdir()
    plan = ("--broker", "amqps://amqp.example", "--management", "https://amqp.example:15671", "--hub", "kg")
    where = (f"{tmp_path}/gateway", "--env", f"{tmp_path}/env", "--discovery", "/etc/kopuro/discovery.json")
    assert main(["admin", "amqp", "init", *where, *plan]) == ExitCode.OK
    variables = read_environment(tmp_path / "env" / "gateway.env")
    unit = _unit("gateway")

    assert _last(unit, "LoadCredential") == ["gateway-key:/etc/kopuro/gateway/gateway.json"]
    assert variables["KOPURO_GATEWAY_KEY"] == f"{tmp_path.resolve()}/gateway/gateway.json"
    (start,) = _last(unit, "ExecStart")
    assert start.split()[1:] == [
        "KOPURO_GATEWAY_KEY=%d/gateway-key",
        "/opt/kopuro/bin/python",
        *("-m", "runtime", "services.gateway"),
    ]
    assert dict(unit)["EnvironmentFile"] == "/etc/kopuro/env/gateway.env"
    assert f"u {dict(unit)['User']} " in (UNITS / "sysusers.conf").read_text(encoding="utf-8")


def _last(unit: list[tuple[str, str]], directive: str) -> list[str]:
    """Return the values of a directive after its last empty assignment, which resets it."""
    values = [value for name, value in unit if name == directive]
    while "" in values:
        values = values[values.index("") + 1 :]
    return values


def test_stop_timeout_lets_a_service_end_itself_first() -> None:
    unit = dict(_directives(UNITS / "kopuro@.service"))

    assert BOUND_SECONDS < float(unit["TimeoutStopSec"]) <= BOUND_SECONDS + 5


def test_wrong_settings_are_not_tried_again() -> None:
    """`runtime/process.py` ends with 2 for these, and with 1 for what may pass."""
    unit = dict(_directives(UNITS / "kopuro@.service"))

    assert (unit["Restart"], unit["RestartPreventExitStatus"]) == ("on-failure", "2")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_units_and_finds_little_exposed(tmp_path: Path) -> None:
    shutil.copytree(UNITS, tmp_path, dirs_exist_ok=True)
    for unit in tmp_path.glob("*.service"):
        text = unit.read_text(encoding="utf-8")
        unit.write_text(text.replace("/opt/kopuro/bin/python", sys.executable), encoding="utf-8")
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    names = [f"kopuro@{service}.service" for service in (*SERVICES, "gateway")]

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
