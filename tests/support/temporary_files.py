"""The directory of a run's temporary files, removed at its end, or by a later run if it is killed."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from sandbox.temporary_directory import temporary_directory

# Inherited by the workers of a run and by a run inside a test, which use the same directory.
_OF_RUN: Final = "TESTS_TEMPORARY_FILES"
# Where pytest makes `tmp_path`, which it keeps for three runs to be looked at.
_OF_PYTEST: Final = "PYTEST_DEBUG_TEMPROOT"
# Other accounts can reach what is inside, as PostgreSQL's does, but not list it.
_MODE: Final = 0o711


def of_run(config: pytest.Config) -> Path:
    """Return the directory in which this run and its processes make temporary files (`TMPDIR`).

    It is theirs alone, so that nothing is left of those that are killed, such as pip or promtool.
    """
    if _OF_RUN not in os.environ:
        outside = tempfile.gettempdir()
        removal = ExitStack()
        directory = removal.enter_context(temporary_directory("tests", mode=_MODE))
        config.add_cleanup(removal.close)
        os.environ.setdefault(_OF_PYTEST, outside)
        os.environ |= {_OF_RUN: str(directory), "TMPDIR": str(directory)}
        tempfile.tempdir = None  # read TMPDIR again
    return Path(os.environ[_OF_RUN])
