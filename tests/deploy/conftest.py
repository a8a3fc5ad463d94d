"""What `prepare` writes, once for the tests of containers and of Kubernetes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.settings_names import DEPLOY

# Without root's right to write to files that are read-only.
_AS_AN_OWNER = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that `prepare` has written for the hub `kg`, by its second run (3 s)."""
    directory = tmp_path_factory.mktemp("prepared")
    kopuro = Path(sys.executable).with_name("kopuro")
    for _ in range(2):
        done = subprocess.run(
            [*_AS_AN_OWNER, DEPLOY / "compose" / "prepare", "kg", "hub.example", directory],
            env={**os.environ, "KOPURO": str(kopuro)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    return directory
