"""The import contracts in .importlinter: they cover every package, and refuse what they do not allow."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = configparser.ConfigParser()
CONTRACTS.read(ROOT / ".importlinter")
LAYERS = [CONTRACTS[name] for name in CONTRACTS.sections() if CONTRACTS[name].get("type") == "layers"]
CONTAINERS = [container for contract in LAYERS for container in contract.get("containers", "").split()]
ROOMS = CONTRACTS["importlinter:contract:packages"]["layers"].split()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the packages that the contracts cover."""
    for package in (*ROOMS, "client"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def lint(directory: Path) -> tuple[int, str]:
    """Return the exit status and the output of lint-imports."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(directory / "client"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_layers_contract_with_containers_is_exhaustive() -> None:
    lax = [contract["name"] for contract in LAYERS if not contract.getboolean("exhaustive", fallback=False)]
    assert lax == [CONTRACTS["importlinter:contract:packages"]["name"]], "the root packages have no container"


def test_packaged_root_has_a_layer() -> None:
    """Replaces `exhaustive` in the one contract without a container."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert set(ROOMS) == set(build["targets"]["wheel"]["packages"])
    client = {"kopuro_client", "kopuro_command"}
    assert {*ROOMS, *client} == set(CONTRACTS["importlinter"]["root_packages"].split())


def test_service_has_a_layers_contract() -> None:
    services = {f"services.{file.parent.name}" for file in ROOT.glob("services/*/__init__.py")}
    assert services <= set(CONTAINERS)


def test_module_without_layer_breaks_each_exhaustive_contract(copy: Path) -> None:
    assert lint(copy)[0] == 0
    for container in CONTAINERS:
        (copy / container.replace(".", "/") / "stray.py").write_text('"""A module without a layer."""\n')
    code, output = lint(copy)
    assert code == 1
    assert [one for one in CONTAINERS if f"{one}.stray" not in output] == []
    assert output.count("BROKEN") == len(CONTAINERS)


# A module in a place, a module that it must not import, and the contract that forbids it.
FORBIDDEN = (
    ("services/vault/domain", "sqlalchemy", "pure"),
    ("services/audit/log/domain", "runtime.clock", "pure"),
    ("services/intake/adapters", "kombu", "edge"),
    ("services/audit/reports/adapters", "nameko", "edge"),
    ("services/routing/domain", "services.vault.ports", "independent"),
    ("client/kopuro_client", "contracts.errors", "client"),
    ("contracts", "runtime.clock", "packages"),
    ("sandbox", "services.vault.ports", "sandbox"),
    ("services/audit/reports/handlers", "services.audit.log.domain.entry", "audit_ports"),
    ("services/delivery/domain", "services.delivery.handlers", "delivery"),
)


def test_forbidden_import_breaks_its_contract(copy: Path) -> None:
    for place, imported, _ in FORBIDDEN:
        (copy / place / "stray.py").write_text(f"import {imported}\n")
    code, output = lint(copy)
    assert code == 1
    for place, imported, contract in FORBIDDEN:
        name = CONTRACTS[f"importlinter:contract:{contract}"]["name"]
        assert f"{name} BROKEN" in output
        # The part on this contract runs from its underlined name to the next underlined one.
        report = output.partition(f"{name}\n{'-' * len(name)}\n")[2].partition("\n---")[0]
        stray = f"{place.removeprefix('client/').replace('/', '.')}.stray"
        assert f"{stray} -> {imported} (l.1)" in report
