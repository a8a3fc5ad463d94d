"""The program `kopuro` before its command runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kopuro_client.commands.exit_codes import ExitCode
from kopuro_client.commands.report import failure

# Stands in for the library. Python drops what a weak reference's callback raises.
INTERRUPTED = """
import signal, weakref

class Lock:
    pass

lock = Lock()
watch = weakref.ref(lock, lambda dead: signal.raise_signal(signal.SIGINT))
del lock
"""
COMMANDS = """
def main():
    print("the command runs")
    return 0
"""
PROGRAM = "import sys; from kopuro_command import main; sys.exit(main())"


def run(library: Path, *arguments: str, ignored: bool = False) -> tuple[int, str, str]:
    """Run the program with a library whose import interrupts it."""
    (library / "kopuro_client").mkdir()
    (library / "kopuro_client" / "__init__.py").write_text(INTERRUPTED)
    (library / "kopuro_client" / "commands.py").write_text(COMMANDS)
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={**os.environ, "PYTHONPATH": str(library)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.SIG_DFL),
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize("arguments", [("up",), ("up", "--json")])
def test_interrupt_during_the_imports_ends_the_program(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    report = failure(ExitCode.INTERRUPTED, "interrupted", as_json="--json" in arguments)
    assert run(tmp_path, *arguments) == (ExitCode.INTERRUPTED, "", f"{report}\n")


def test_program_that_inherited_an_ignored_interrupt_continues(tmp_path: Path) -> None:
    assert run(tmp_path, ignored=True) == (0, "the command runs\n", "")
