"""Programs of partners in other languages, written from the published documents alone, close loops.

Each checks every answer, message and webhook against the published contracts with a validator of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from joserfc import jwe
from joserfc.jwk import OKPKey

from admin.embedded_broker import LOOPBACK
from kopuro_client import Kopuro as Client
from kopuro_client.sealing import seal
from sandbox.demo.participants import Participant
from sandbox.hub import Hub
from sandbox.hub_files import GATEWAY, HUB
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until
from tests.long_run import LONG
from tests.partners.guide_reader import GuideReader
from tests.partners.joining import joined
from tests.partners.page import prepared
from tests.partners.page_programs import RECEIVERS, BusyIntake, command, running, write_page
from tests.partners.shell import Shell
from tests.support.kopuro_forks import Kopuro
from tests.support.node import PARTNERS, REPOSITORY, node_directory, packages_directory

# The statuses besides 429 with which the hub refuses a request only for now.
OTHER_STATUSES = {
    program: (401, 408, 425, 503) if LONG else some
    for program, some in zip(RECEIVERS, ((401,), (408, 503), (425,)), strict=True)
}
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


@pytest.fixture(scope="module", autouse=True)
def _search_path(kopuro: Kopuro) -> Iterator[None]:
    """Let every program find Node, the forked `kopuro` and the programs of this environment first."""
    places = (node_directory(), kopuro.path, Path(sys.executable).parent, os.environ["PATH"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", os.pathsep.join(map(str, places)))
        yield


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


@pytest.mark.parametrize("language", [pytest.param("curl", marks=pytest.mark.long_run), "node", "python"])
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


@pytest.mark.parametrize(
    "language", ["curl", *(pytest.param(one, marks=pytest.mark.long_run) for one in ("node", "python"))]
)
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
def test_every_block_of_the_guide_runs_from_top_to_bottom(hub: RunningHub, tmp_path: Path) -> None:
    environment = {
        "KOPURO_DISCOVERY_URL": hub.files.discovery_address(),
        "KOPURO_CREDENTIALS": str(hub.files.credentials),
    }
    with (
        joined(hub, "ru.reader", has_services=False) as newcomer,
        Shell(tmp_path, environment) as shell,
    ):
        reader = GuideReader(hub, shell, tmp_path, newcomer)
        reader.read()
    assert len(reader.ran) > 25


@pytest.mark.parametrize("program", RECEIVERS)
def test_receiver_of_a_page_continues_after_a_case_that_it_cannot_open(
    hub: RunningHub, tmp_path: Path, program: str
) -> None:
    sender = hub.organization(BOTH[0])
    facts, case = _referral(BOTH[1])
    key = OKPKey.import_key(_sealing_key(sender.hub.organization(BOTH[1])))
    header = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "kid": key.thumbprint()}
    algorithms = ["ECDH-ES+A256KW", "A256GCM"]
    sealed_to_another = jwe.encrypt_compact(
        header, b"{}", OKPKey.generate_key("X25519"), algorithms=algorithms
    )
    too_deep = jwe.encrypt_compact(header, b"[" * 100_000, key, algorithms=algorithms)
    with running(hub, BOTH[1], program, tmp_path) as page:
        reasons = {}
        for name, sealed in {"another key": sealed_to_another, "too deep": too_deep}.items():
            sent = sender.hub.submit(facts, sealed=sealed)["id"]
            reasons[name] = sender.await_message("case.unreadable", sent)["reason"]
            sender.hub.withdraw(sent, "entered_in_error")
        good = sender.hub.submit(facts, case=case)["id"]
        sender.await_message("referral.completed", good)
        assert page.process.poll() is None, page.said()
    assert reasons == {"another key": "cannot_decrypt", "too deep": "not_understood"}


@pytest.mark.parametrize("program", RECEIVERS)
def test_receiver_of_a_page_keeps_an_offer_that_the_hub_did_not_refuse(
    hub: RunningHub, tmp_path: Path, program: str
) -> None:
    """A 429 was printed as a refusal, and the offer was acknowledged: nobody would have answered it."""
    sender, receiver = hub.organization(BOTH[0]), hub.organization(BOTH[1])
    facts, case = _referral(BOTH[1])
    busy = BusyIntake(hub)
    sent = sender.hub.submit(facts, case=case)["id"]
    try:
        until(lambda: sent in _waiting(receiver), "the offer in the mailbox")
        for busy.status in (429, *OTHER_STATUSES[program]):
            busy.asked.clear()
            with running(hub, BOTH[1], program, tmp_path, discovery=f"{busy.address}/") as page:
                until(lambda: busy.asked, f"a request of {program}")
                # The library repeats some of these for a while; the others end.
                with suppress(subprocess.TimeoutExpired):
                    page.process.wait(timeout=3)
            assert sent in _waiting(receiver), (busy.status, page.said())
    finally:
        busy.close()
    with running(hub, BOTH[1], program, tmp_path):
        sender.await_message("referral.completed", sent)


@pytest.mark.parametrize("program", ["hub.mjs", "hub.py"])
def test_functions_of_a_page_open_and_refuse_what_the_test_vectors_say(
    hub: RunningHub, tmp_path: Path, program: str
) -> None:
    write_page(program, tmp_path)
    vectors = json.loads((REPOSITORY / "contracts/vectors/sealing.json").read_bytes())
    # The longest case that the hub takes has a few characters more.
    longest = {"text": "x" * 780_000}
    public = {name: vectors["private_key"][name] for name in ("kty", "crv", "x")}
    vectors["opened"].append({"sealed": seal(longest, public), "content": longest})
    (tmp_path / "vectors.json").write_text(json.dumps(vectors), encoding="utf-8")
    runner = tmp_path / ("run.mjs" if program.endswith(".mjs") else "run.py")
    runner.write_text(_RUN_VECTORS[program], encoding="utf-8")
    given = {
        "KOPURO_DISCOVERY_URL": hub.files.discovery_address(),
        "KOPURO_CLIENT_ID": "nobody",
        "KOPURO_CLIENT_SECRET": "none",
    }
    found = json.loads(_ran(command(runner.name), tmp_path, given))
    assert found["opened"] == [one["content"] for one in vectors["opened"]]
    reasons = dict(zip((one["name"] for one in vectors["refused"]), found["refused"], strict=True))
    assert set(reasons.values()) <= {"cannot_decrypt", "not_understood"}, reasons


_RUN_VECTORS = {
    "hub.mjs": """
import { readFileSync } from "node:fs";
import { open, Unreadable } from "./hub.mjs";
const vectors = JSON.parse(readFileSync("vectors.json"));
const opened = [], refused = [];
for (const one of vectors.opened) opened.push(await open(one.sealed, vectors.private_key));
for (const one of vectors.refused) {
  try {
    await open(one.sealed, vectors.private_key);
    refused.push("opened");
  } catch (fault) {
    refused.push(fault instanceof Unreadable ? fault.message : String(fault));
  }
}
console.log(JSON.stringify({ opened, refused }));
process.exit();
""",
    "hub.py": """
import json
from hub import Unreadable, unseal
vectors = json.load(open("vectors.json"))
def reason(one):
    try:
        unseal(one["sealed"], vectors["private_key"])
    except Unreadable as fault:
        return str(fault)
    return "opened"
opened = [unseal(one["sealed"], vectors["private_key"]) for one in vectors["opened"]]
print(json.dumps({"opened": opened, "refused": [reason(one) for one in vectors["refused"]]}))
""",
}


@pytest.mark.parametrize("program", ["webhook.mjs", "receive_with_httpx.py"])
def test_webhook_program_of_a_page_outlasts_requests_of_strangers(
    hub: RunningHub, tmp_path: Path, program: str
) -> None:
    receiver = hub.organization(BOTH[1])
    assert receiver.hub.webhooks.endpoints() == []  # each program deletes its own
    with running(hub, BOTH[1], program, tmp_path) as page:
        (endpoint,) = until(lambda: receiver.hub.webhooks.endpoints() or None, "the endpoint")
        address = urlsplit(endpoint["url"])
        assert address.hostname is not None
        now = str(int(time.time())).encode()
        for head in (
            b"Content-Length: 0",
            b"Content-Length: 2\r\nwebhook-timestamp: " + now,
            b"Content-Length: 2\r\nwebhook-id: a\r\nwebhook-timestamp: " + now,
            b"Content-Length: 2\r\nwebhook-id: a\r\nwebhook-timestamp: x\r\nwebhook-signature: v1,\xff",
            b"Content-Length: 2\r\nwebhook-id: a\r\nwebhook-timestamp: "
            + now
            + b"\r\nwebhook-signature: \xff",
            b"Content-Length: 100",  # only two bytes follow
            b"Content-Length: 999999999",
            b"Transfer-Encoding: chunked",
            b"no header",
        ):
            with socket.create_connection((address.hostname, address.port or 80), timeout=10) as link:
                link.sendall(b"POST /kopuro HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n\r\n{}")
        receiver.hub.webhooks.test(endpoint["id"])
        until(
            lambda: all(one["state"] == "active" for one in receiver.hub.webhooks.endpoints()),
            "the endpoint's answer to the challenge",
        )
        assert page.process.poll() is None, page.said()
    assert receiver.hub.webhooks.endpoints() == []


def _waiting(receiver: Participant) -> list[str]:
    """Return the referrals of the messages that are not acknowledged."""
    return [one["data"].get("referral_id", "") for one in receiver.hub.mailbox()["items"]]


def _sealing_key(organization: Mapping[str, Any]) -> dict[str, Any]:
    return dict(organization["sealing_key"])


def _referral(to: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the facts and the case of the documents' example, for an organisation."""
    facts = json.loads((REPOSITORY / "docs/examples/referral.json").read_bytes())
    case = facts.pop("case")
    return {**facts, "to": to}, case


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
            env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
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
