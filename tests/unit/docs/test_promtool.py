"""Prometheus' own tool accepts the rules and the configuration, and its tests of the alerts succeed."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.prometheus_programs import programs
from tests.unit.docs.pages import ROOT

PROMETHEUS = ROOT / "deploy" / "prometheus"
COMMANDS = {
    "configuration": ["check", "config", "prometheus.yml"],
    "rules": ["check", "rules", *sorted(path.name for path in PROMETHEUS.glob("*.rules.yml"))],
    "tests": ["test", "rules", *sorted(f"tests/{path.name}" for path in PROMETHEUS.glob("tests/*.test.yml"))],
}


@pytest.mark.parametrize("what", COMMANDS)
def test_promtool_succeeds(what: str) -> None:
    done = subprocess.run(
        [str(programs() / "promtool"), *COMMANDS[what]],
        cwd=PROMETHEUS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_dead_rule_is_noticed(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The tests of the alerts fail for a rule that never fires."""
    folder = tmp_path_factory.mktemp("rules")
    (folder / "tests").mkdir()
    for path in (*PROMETHEUS.glob("*.rules.yml"), PROMETHEUS / "tests" / "network.test.yml"):
        text = path.read_text(encoding="utf-8").replace("> 1200", "> 1200000000")
        (folder / path.relative_to(PROMETHEUS)).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [str(programs() / "promtool"), "test", "rules", "tests/network.test.yml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "KopuroEmergencyUnanswered" in done.stdout + done.stderr
