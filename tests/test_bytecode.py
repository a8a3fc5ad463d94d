"""Workers find the rewritten test modules that the run's first process compiled."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.bytecode import cache_of

ROOT = Path(__file__).resolve().parent.parent

SETTINGS = """\
[pytest]
addopts = -p no:pytest_nameko --import-mode=importlib -p no:cacheprovider
"""
# Those of the environment take seconds to import, in each process.
_OWN_PLUGINS_ONLY = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
CONFTEST = """\
from tests.bytecode import compile_ahead

def pytest_configure(config):
    if config.getoption("numprocesses", None):
        compile_ahead(config)
"""
RECORDING = """\
import _pytest.assertion.rewrite as rewriting

def pytest_configure(config):
    def refuse(module, config):
        raise AssertionError(f"{module} is rewritten again")
    if hasattr(config, "workerinput"):
        rewriting._rewrite_test = refuse
"""


def test_workers_rewrite_no_module_again(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests/bytecode.py", tmp_path / "tests/bytecode.py")
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    (tmp_path / "tests/conftest.py").write_text(CONFTEST)
    (tmp_path / "recording.py").write_text(RECORDING)
    module = tmp_path / "tests/test_numbers.py"
    module.write_text("def test_sum() -> None:\n    a = 1\n    assert a + 1 == 3\n")

    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "xdist.plugin",
            "-n",
            "1",
            "-p",
            "recording",
            "tests/test_numbers.py",
        ],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin", **_OWN_PLUGINS_ONLY},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "assert (1 + 1) == 3" in ran.stdout, "the assertion is rewritten, with its values"
    assert cache_of(module).exists()
