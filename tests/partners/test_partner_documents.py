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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from admin.embedded_broker import LOOPBACK
from kopuro_client import Kopuro as Client
from sandbox.hub import Hub
from sandbox.hub_files import GATEWAY, HUB
from tests.journey.running_hub import RunningHub
from tests.partners.guide_reader import GuideReader
from tests.partners.joining import joined
from tests.partners.page import prepared
from tests.partners.shell import Shell
from tests.support.kopuro_forks import Kopuro
from tests.support.node import PARTNERS, REPOSITORY, node_directory, packages_directory

LANGUAGES = ("curl", "node", "python")
BOTH = ("kg.osh-legal-aid", "ru.moscow-common-table")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A sandbox as `kopuro up --amqp` starts it."""
    environment = {name: value for name, value in os.environ.items() if name != "KOPURO_AMQP_URI"}
    running = Hub(tmp_path_factory.mktemp("hub") / "data", amqp=True, environment=environment)
    try:
        running.start()
        yield RunningHub(running, databases={})
    finally:
        running.stop()


def test_node_program_closes_a_loop_over_http_and_webhook(hub: RunningHub, tmp_path: Path) -> None:
    checked = _closes_a_loop(hub, _node("close_loop.mjs", tmp_path), tmp_path)
    assert checked["webhooks"] >= 3


def test_node_program_closes_a_loop_over_amqp(hub: RunningHub, tmp_path: Path) -> None:
    assert hub.hub.broker is not None
    broker = hub.hub.broker.identity
    connect = ("kopuro", "organization", "connect", "--amqp", "--as", "operator", "--json")
    environment = {
        "KOPURO_GATEWAY_KEY": str(hub.files.key(GATEWAY)),
        "KOPURO_BROKER_MANAGEMENT_URI": broker.management_uri(HUB),
    }
    lines = {each: json.loads(_run(hub, [*connect, each], tmp_path, environment)) for each in BOTH}
    access = {"KOPURO_BROKER": f"amqp://{LOOPBACK}:{broker.amqp_port}", "KOPURO_LINES": json.dumps(lines)}
    _closes_a_loop(hub, _node("close_loop_amqp.mjs", tmp_path), tmp_path, access)


def test_curl_program_closes_a_loop_over_http_and_webhook(hub: RunningHub, tmp_path: Path) -> None:
    checked = _closes_a_loop(hub, ["bash", str(PARTNERS / "close_loop.sh"), str(tmp_path)], tmp_path)
    assert checked["webhooks"] >= 3


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_of_a_language_closes_a_loop_as_an_organization_that_has_joined(
    hub: RunningHub, tmp_path: Path, language: str
) -> None:
    sender = hub.people["organizations"]["kg.osh-legal-aid"]
    with joined(hub, f"ru.{language}-page") as receiver:
        given = {
            "KOPURO_DISCOVERY_URL": hub.files.discovery_address(),
            "KOPURO_CLIENT_ID": receiver["client_id"],
            "KOPURO_CLIENT_SECRET": receiver["client_secret"],
            "SENDER_ID": sender["client_id"],
            "SENDER_SECRET": sender["client_secret"],
        }
        _closes_loops_with_the_page(
            hub,
            tmp_path,
            language,
            given=given,
            skipped=["In a sandbox"],
            receiver=receiver,
        )


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_of_a_language_closes_a_loop_with_the_ids_that_it_gives_for_a_sandbox(
    hub: RunningHub, tmp_path: Path, language: str
) -> None:
    given = {
        "KOPURO_DISCOVERY_URL": hub.files.discovery_address(),
        "KOPURO_CREDENTIALS": str(hub.files.credentials),
    }
    for _ in range(2):  # a reader who begins again has the files and messages of the first time
        _closes_loops_with_the_page(
            hub,
            tmp_path,
            language,
            given=given,
            skipped=["In a network", "Make a sealing key"],
            receiver=hub.people["organizations"]["ru.moscow-common-table"],
        )


@pytest.mark.timeout(400)  # some sixty commands, each a process
def test_every_block_of_the_guide_runs_from_top_to_bottom(
    hub: RunningHub, kopuro: Kopuro, tmp_path: Path
) -> None:
    environment = {
        "KOPURO_DISCOVERY_URL": hub.files.discovery_address(),
        "KOPURO_CREDENTIALS": str(hub.files.credentials),
    }
    with (
        joined(hub, "ru.reader", has_services=False) as newcomer,
        Shell(tmp_path, {**environment, "PATH": f"{kopuro.path}:{_path()}"}) as shell,
    ):
        reader = GuideReader(hub, shell, tmp_path, newcomer)
        reader.read()
    assert len(reader.ran) > 25


def _closes_loops_with_the_page(
    hub: RunningHub,
    directory: Path,
    language: str,
    *,
    given: Mapping[str, str],
    skipped: Sequence[str],
    receiver: Mapping[str, str],
) -> None:
    """Run the blocks of a language's page; the receiver has closed a loop and keeps no endpoint of the page.

    given: the values for which the page shows placeholders. receiver: its client_id and client_secret.
    """
    shutil.copy(REPOSITORY / "docs/examples/referral.json", directory)
    packages = json.loads((PARTNERS / "package.json").read_bytes())["dependencies"]
    if language == "node" and not (directory / "node_modules").exists():
        (directory / "node_modules").symlink_to(packages_directory())
    script = prepared(
        REPOSITORY / "docs/integrating" / f"{language}.md",
        directory,
        given=given,
        installed=lambda name: name in packages or find_spec(name) is not None,
        skipped=skipped,
    )
    organization = receiver["client_id"]
    before = _closed_by(hub, organization)
    said = _ran(["bash", "-c", script], directory, given)
    closed = _closed_by(hub, organization) - before
    assert len(closed) == (2 if language == "python" else 1), said
    assert "Азамат" in said
    with Client.discover(hub.files.discovery_address(), organization, receiver["client_secret"]) as client:
        assert client.webhooks.endpoints() == [], "an endpoint of the page is left"


def _closed_by(hub: RunningHub, receiver: str) -> set[str]:
    """Return the ids of the referrals of Osh Legal Aid that an organisation has completed."""
    mine = hub.organization("kg.osh-legal-aid").hub.referrals(status="completed")
    return {one["id"] for one in mine if one["acceptor"] == receiver}


def _node(program: str, directory: Path) -> list[str]:
    """Return the command that runs a program in a directory that has it and its packages."""
    for file in PARTNERS.glob("*.mjs"):
        shutil.copy(file, directory)
    (directory / "node_modules").symlink_to(packages_directory())
    return ["node", program]


def _closes_a_loop(
    hub: RunningHub, command: list[str], directory: Path, environment: Mapping[str, str] | None = None
) -> Mapping[str, int]:
    """Return how many documents of each kind the program has checked."""
    result = json.loads(_run(hub, command, directory, environment or {}).splitlines()[-1])
    assert hub.organization(BOTH[0]).hub.referral(result["referral"])["status"] == "completed"
    checked: Mapping[str, int] = result["checked"]
    assert min(checked[kind] for kind in ("requests", "answers", "messages")) >= 3, checked
    return checked


def _run(
    hub: RunningHub, command: Sequence[str], directory: Path, environment: Mapping[str, str] | None = None
) -> str:
    """Run a program of a partner of the sandbox; return its stdout."""
    sandbox = {
        "KOPURO_DISCOVERY_URL": hub.files.discovery_address(),
        "KOPURO_CREDENTIALS": str(hub.files.credentials),
        "KOPURO_CONTRACTS": str(REPOSITORY / "contracts"),
        "KOPURO_REFERRAL": str(REPOSITORY / "docs/examples/referral.json"),
        "PYTHON": sys.executable,
    }
    return _ran(command, directory, {**sandbox, **(environment or {})})


def _ran(command: Sequence[str], directory: Path, environment: Mapping[str, str]) -> str:
    """Run a program with the tools of this environment, and end what it has left; return its stdout."""
    out, err = directory / "stdout", directory / "stderr"
    with out.open("wb") as file, err.open("wb") as errors:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={
                **os.environ,
                **environment,
                "PATH": _path(),
                "PYTHONUNBUFFERED": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=errors,
            start_new_session=True,
        )
    try:
        status = process.wait(timeout=100)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    said = out.read_text(encoding="utf-8")
    assert status == 0, said + err.read_text(encoding="utf-8")
    return said


def _path() -> str:
    """Return the search path with Node and the programs of this environment first."""
    return os.pathsep.join(map(str, (node_directory(), Path(sys.executable).parent, os.environ["PATH"])))
