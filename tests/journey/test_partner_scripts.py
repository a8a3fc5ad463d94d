"""Programs of partners in other languages, written from the published documents alone, close loops.

Each checks every answer, message and webhook against the published contracts with a validator of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.journey.running_hub import RunningHub
from tests.support.node import PARTNERS, REPOSITORY, node_directory, packages_directory

pytestmark = pytest.mark.parametrize("hub", ["sqlite"], indirect=True)


def test_node_program_closes_a_loop_over_http_and_webhook(hub: RunningHub, tmp_path: Path) -> None:
    for file in PARTNERS.glob("*.mjs"):
        shutil.copy(file, tmp_path)
    (tmp_path / "node_modules").symlink_to(packages_directory())
    _closes_a_loop(hub, [str(node_directory() / "node"), "close_loop.mjs"], tmp_path)


def test_curl_program_closes_a_loop_over_http_and_webhook(hub: RunningHub, tmp_path: Path) -> None:
    _closes_a_loop(hub, ["bash", str(PARTNERS / "close_loop.sh"), str(tmp_path)], tmp_path)


def _closes_a_loop(hub: RunningHub, command: list[str], directory: Path) -> None:
    result = _run(hub, command, directory)
    assert hub.organization("kg.osh-legal-aid").hub.referral(result["referral"])["status"] == "completed"
    assert min(result["checked"].values()) >= 3, result


def _run(hub: RunningHub, command: list[str], directory: Path) -> Mapping[str, Any]:
    """Run a program; return the JSON of its last line."""
    environment = {
        **os.environ,
        "KOPURO_DISCOVERY_URL": hub.files.discovery_address(),
        "KOPURO_CREDENTIALS": str(hub.files.credentials),
        "KOPURO_CONTRACTS": str(REPOSITORY / "contracts"),
        "KOPURO_REFERRAL": str(REPOSITORY / "docs/examples/referral.json"),
        "PYTHON": sys.executable,
    }
    ran = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert ran.returncode == 0, ran.stderr
    result: Mapping[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return result
