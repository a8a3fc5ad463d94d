"""Every program that is started as `python -m MODULE` explains itself with --help, and does nothing else."""

from __future__ import annotations

import runpy
import sys
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (
    "admin",
    "benchmarks",
    "client/kopuro_client",
    "contracts",
    "docs",
    "runtime",
    "sandbox",
    "services",
    "tests",
)
_MAIN = b'\nif __name__ == "__main__":'
# Started by another program only, with arguments that it composes.
CHILDREN = frozenset(
    {
        *("benchmarks.audit_kopuro", "benchmarks.audit_pymerkle"),
        *("tests.machines.deployed_hub", "tests.mutation.forked_runs", "tests.partners.sealing"),
        *("tests.support.altered_service", "tests.support.kopuro_forks", "tests.support.service_forks"),
    }
)


def programs() -> list[str]:
    """Return the modules that are programs. The peers of the benchmarks need the libraries of their own."""
    names = []
    for folder in FOLDERS:
        for file in (ROOT / folder).rglob("*.py"):
            if _MAIN in file.read_bytes() and "peers" not in file.parts:
                parts = file.relative_to(ROOT).with_suffix("").parts
                names.append(".".join(parts).removeprefix("client.").removesuffix(".__main__"))
    return sorted(set(names) - CHILDREN)


@pytest.mark.parametrize("program", programs())
def test_program_prints_its_help(
    program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [program, "--help"])
    with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
        warnings.simplefilter("ignore", RuntimeWarning)  # the module is imported already
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out.lower()


def test_programs_of_the_product_are_found() -> None:
    assert {"runtime", "kopuro_client", "contracts.publish", "services.directory.load"} <= set(programs())
