"""Programs of partners in other languages, written from the published documents alone, close loops.

Each checks every answer, message and webhook against the published contracts with a validator of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.journey.running_hub import RunningHub
from tests.partners.joining import joined
from tests.partners.page import prepared
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


@pytest.mark.parametrize("language", ["curl", "node", "python"])
def test_page_of_a_language_closes_a_loop_with_its_blocks(
    hub: RunningHub, tmp_path: Path, language: str
) -> None:
    page = REPOSITORY / "docs/integrating" / f"{language}.md"
    shutil.copy(REPOSITORY / "docs/examples/referral.json", tmp_path)
    packages = json.loads((PARTNERS / "package.json").read_bytes())["dependencies"]
    if language == "node":
        (tmp_path / "node_modules").symlink_to(packages_directory())
    sender = hub.people["organizations"]["kg.osh-legal-aid"]
    with joined(hub, f"ru.{language}-page") as receiver:
        given = {
            "KOPURO_DISCOVERY_URL": hub.files.discovery_address(),
            "KOPURO_CLIENT_ID": receiver["client_id"],
            "KOPURO_CLIENT_SECRET": receiver["client_secret"],
        }
        script = prepared(
            page,
            tmp_path,
            given=given,
            installed=lambda name: name in packages or find_spec(name) is not None,
        )
        senders = {"SENDER_ID": sender["client_id"], "SENDER_SECRET": sender["client_secret"]}
        said = _ran(["bash", "-c", script], tmp_path, {**given, **senders})
        mine = hub.organization("kg.osh-legal-aid").hub.referrals(status="completed")
        done = [one for one in mine if one["acceptor"] == receiver["client_id"]]
    assert len(done) == (2 if language == "python" else 1), said
    assert "Азамат" in said


def _run(hub: RunningHub, command: list[str], directory: Path) -> Mapping[str, Any]:
    """Run a program; return the JSON of its last line."""
    environment = {
        "KOPURO_DISCOVERY_URL": hub.files.discovery_address(),
        "KOPURO_CREDENTIALS": str(hub.files.credentials),
        "KOPURO_CONTRACTS": str(REPOSITORY / "contracts"),
        "KOPURO_REFERRAL": str(REPOSITORY / "docs/examples/referral.json"),
        "PYTHON": sys.executable,
    }
    result: Mapping[str, Any] = json.loads(_ran(command, directory, environment).splitlines()[-1])
    return result


def _ran(command: list[str], directory: Path, environment: Mapping[str, str]) -> str:
    """Run a program with the tools of this environment, and end what it has left; return its stdout."""
    paths = (node_directory(), Path(sys.executable).parent, os.environ["PATH"])
    out = directory / "stdout"
    with out.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={
                **os.environ,
                **environment,
                "PATH": os.pathsep.join(map(str, paths)),
                "PYTHONUNBUFFERED": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        status = process.wait(timeout=90)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    said = out.read_text(encoding="utf-8")
    assert status == 0, said
    return said
