"""Organisations over AMQP at a real hub: a loop by plain AMQP programs, and what an AMQP password allows."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import amqp
import httpx
import pytest
from amqp.exceptions import AccessRefused, AMQPError, NotAllowed, PreconditionFailed

from admin.embedded_broker import LOOPBACK
from admin.keys import public_half
from contracts.records import plain
from contracts.topology import hub_topology
from docs import openapi
from kopuro_client import Kopuro
from kopuro_client.commands import ExitCode, main
from kopuro_client.sealing import seal
from runtime.messaging.rabbit.connection import ConnectionFactory, close
from runtime.storage.database import sqlite_url
from runtime.tls import TlsFiles
from sandbox import network
from sandbox.hub import Hub
from sandbox.hub_files import GATEWAY, HUB, SERVICES
from services.gateway.domain.partner import (
    SUBMISSIONS,
    client_of,
    exchange_of,
    queue_of,
    submissions_of,
)
from services.gateway.ports import UserConflict
from services.gateway.submission_processor import LONGEST_BODY
from tests.journey.traces import kept
from tests.journey.waiting import until
from tests.support import hostile_tokens
from tests.support.amqp_hub import AmqpHub, add_tls
from tests.support.amqp_partner import AmqpPartner
from tests.support.canaries import Canaries, leaves, with_leaf
from tests.support.certificates import PrivateCa
from tests.support.partners import ask_for_token
from tests.support.webhook_receiver import Received, WebhookReceiver, repeating_challenge

OSH = "kg.osh-legal-aid"
MOSCOW = "ru.moscow-common-table"
STRANGER = "uz.silk-needle-union"
_UNKNOWN = "no_member_of_a_referral"
WAGES = "wage-claim-osh-moscow"
REVOKED_WITHIN = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TlsPorts:
    """Where the hub's broker speaks TLS, with a certificate of the CA in the file."""

    ca: Path
    amqps: int
    management: int


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("amqp") / "data"


@pytest.fixture(scope="module")
def tls(data: Path) -> TlsPorts:
    ca = PrivateCa(data.parent)
    amqps, management = add_tls(data, ca.issue("partners"))
    # The operators' broker has an earlier, higher limit: the gateway does not depend on the broker's limit.
    (data / "broker" / "conf.d" / "20-size.conf").write_text("max_message_size = 16777216\n")
    return TlsPorts(ca=ca.file, amqps=amqps, management=management)


@pytest.fixture(scope="module")
def hub(data: Path, tls: TlsPorts) -> Iterator[AmqpHub]:
    environment = {name: value for name, value in os.environ.items() if name != "KOPURO_AMQP_URI"}
    running = Hub(data, environment=environment, amqp=True)
    try:
        running.start()
        made = AmqpHub(running)
        key = public_half(json.loads(running.files.key("gateway").read_text(encoding="utf-8")))
        for organization in (MOSCOW, STRANGER):
            made.connect(organization, key)
        shown = made.connect_by_command(OSH)
        assert (shown["user"], shown["vhost"], shown["queue"]) == (OSH, "partners", queue_of(OSH))
        yield made
    finally:
        running.stop()


def referral(hub: AmqpHub, **changes: Any) -> dict[str, Any]:
    sample = network.load().referral(WAGES)
    key = hub.hub.files.people()["organizations"][MOSCOW]["sealing_key"]
    case = seal(plain(sample.case), public_half(key))
    return {"submit": "referral", **plain(sample.facts), "to": MOSCOW, "case": case, **changes}


def test_two_plain_amqp_programs_close_a_loop(hub: AmqpHub) -> None:
    with hub.program(OSH) as osh, hub.program(MOSCOW) as moscow:
        refused = osh.answer_to(osh.submit(referral(hub, urgency="whenever")))
        assert refused["problem"]["errors"][0]["pointer"] == "/urgency"
        sent = referral(hub)
        key = osh.submit(sent)
        referral_id = osh.answer_to(key)["submission_id"]
        osh.submit(sent, message_id=key)  # published again, because a lost confirm makes a program repeat it
        offer = moscow.await_message("offer.opened", referral_id=referral_id)["data"]
        accepted = moscow.answer_to(moscow.submit({"submit": "accept", "offer_id": offer["offer_id"]}))
        assert "problem" not in accepted
        moscow.await_message("case.released", referral_id=referral_id)
        with hub.partner(MOSCOW) as over_http:
            opened = over_http.case(referral_id)
        assert opened["name"] == plain(network.load().referral(WAGES).case)["name"]
        moscow.submit({"submit": "progress", "referral_id": referral_id, "status": "in_progress"})
        osh.await_message("referral.progressed", referral_id=referral_id)
        moscow.submit({"submit": "complete", "referral_id": referral_id, "outcome": "resolved"})
        osh.await_message("referral.completed", referral_id=referral_id)
        moscow.await_message("referral.completed", referral_id=referral_id)
        # One admission and one answer, whatever was repeated.
        answers = [one for one in osh.seen.values() if one["data"].get("message_id") == key]
        assert len(answers) == 1
    # Messages that both have acknowledged at the broker are acknowledged over HTTP, although later messages
    # wait.
    for program in (osh, moscow):
        with hub.partner(program.organization) as over_http:

            def acknowledged(program: AmqpPartner = program, over_http: Kopuro = over_http) -> bool:
                return not program.seen.keys() & {one["id"] for one in over_http.mailbox()["items"]}

            until(acknowledged, f"the acknowledgements of {program.organization}", within=60)


def metrics(hub: AmqpHub) -> Iterator[tuple[str, bytes]]:
    """Yield what each process says of itself."""
    for service in (*SERVICES, GATEWAY):
        port = hub.hub.files.ports(service).operations
        for path in ("/metrics", "/readyz"):
            yield f"{service}: {path}", httpx.get(f"http://{LOOPBACK}:{port}{path}").content


def test_hub_stores_and_returns_no_canary_of_a_loop_over_amqp(hub: AmqpHub) -> None:
    canaries = Canaries()
    keys = {
        name: public_half(hub.hub.files.people()["organizations"][name]["sealing_key"])
        for name in (OSH, MOSCOW)
    }

    def hits() -> dict[str, set[str]]:
        databases = {name: sqlite_url(hub.hub.files.database(name)) for name in SERVICES}
        said = [("said", json.dumps(one.seen).encode()) for one in (osh, moscow)]
        everything = (*kept([hub.hub.files.directory], databases), *said, *shown, *metrics(hub))
        return {place: found for place, content in everything if (found := canaries.found(content))}

    shown: list[tuple[str, bytes]] = []

    def note(author: AmqpPartner, reader: AmqpPartner, **command: str) -> None:
        text = {"text": canaries.text(f"{command['submit']} of {author.organization}")}
        sealed = seal(text, keys[reader.organization])
        assert "problem" not in author.answer_to(author.submit({**command, "note": sealed}))

        def opened() -> bool:
            told = [one["data"] for one in reader.seen.values() if one["type"] == "kopuro.note.delivered.v1"]
            with hub.partner(reader.organization) as over_http:
                return text in [over_http.open(one["note"]) for one in told]

        until(lambda: reader.take(0.5) is not None and opened(), f"the note of {command['submit']}")

    def offered(case: dict[str, Any]) -> tuple[str, str]:
        sent = referral(hub, case=seal(case, keys[MOSCOW]))
        referral_id = osh.answer_to(osh.submit(sent))["submission_id"]
        offer = moscow.await_message("offer.opened", referral_id=referral_id)["data"]
        return referral_id, offer["offer_id"]

    page = canaries.text("error page of a partner").encode()

    def failing(got: Received) -> tuple[int, bytes]:
        return repeating_challenge(got) if got.type == "kopuro.webhook.challenge" else (500, page)

    with (
        hub.program(OSH) as osh,
        hub.program(MOSCOW) as moscow,
        hub.partner(MOSCOW) as over_http,
        WebhookReceiver(failing) as receiver,
    ):
        webhooks = over_http.webhooks
        endpoint = webhooks.register(receiver.url)["endpoint"]["id"]
        webhooks.test(endpoint)
        until(lambda: webhooks.endpoint(endpoint)["state"] == "active", "the endpoint is verified")
        case = canaries.case("case")
        referral_id, offer_id = offered(case)
        assert hits() == {}
        moscow.answer_to(moscow.submit({"submit": "accept", "offer_id": offer_id}))
        released = moscow.await_message("case.released", referral_id=referral_id)
        assert over_http.case(referral_id) == case
        for author, reader in ((osh, moscow), (moscow, osh)):
            note(author, reader, submit="note", referral_id=referral_id)
        declined, offer_id = offered(canaries.case("case that is declined"))
        note(moscow, osh, submit="decline", offer_id=offer_id, reason="other")
        returned, offer_id = offered(canaries.case("case that is handed back"))
        moscow.answer_to(moscow.submit({"submit": "accept", "offer_id": offer_id}))
        moscow.await_message("case.released", referral_id=returned)
        note(moscow, osh, submit="hand_back", referral_id=returned, reason="other")
        replaced, offer_id = offered(canaries.case("case that is replaced"))
        moscow.answer_to(moscow.submit({"submit": "accept", "offer_id": offer_id}))
        moscow.await_message("case.released", referral_id=replaced)
        unreadable = {
            "submit": "unreadable",
            "referral_id": replaced,
            "content": "case",
            "reason": "not_understood",
        }
        assert "problem" not in moscow.answer_to(moscow.submit(unreadable))
        osh.await_message("case.unreadable", referral_id=replaced)
        again = canaries.case("case that replaces")
        sealed = seal(again, keys[MOSCOW])
        replacement = {"submit": "replace_case", "referral_id": replaced, "to": MOSCOW, "case": sealed}
        assert "problem" not in osh.answer_to(osh.submit(replacement))
        until(lambda: over_http.case(replaced) == again, "the case that replaces")
        assert hits() == {}
        for ended in (referral_id, declined, returned, replaced):
            osh.submit({"submit": "revoke_consent", "referral_id": ended})
            osh.await_message("referral.withdrawn", referral_id=ended)
        until(lambda: receiver.received[1:], "a request that fails")
        attempts = webhooks.attempts_page(endpoint)
        assert any(each["response"] and each["response"]["status"] == 500 for each in attempts["items"])
        shown += [
            ("attempts", str(attempts).encode()),
            ("notices", str(webhooks.notices_page(endpoint)).encode()),
        ]
        shown += [("webhook", str((each.headers, each.body)).encode()) for each in receiver.received]
        webhooks.delete(endpoint)
        assert hits() == {}
        # The search works: it finds what is not secret in the broker's files too.
        places = [
            place
            for place, content in kept([hub.broker.files.root], {})
            if released["id"].encode() in content
        ]
        assert places


def test_refusal_over_amqp_repeats_nothing_of_its_submission(hub: AmqpHub) -> None:
    canaries = Canaries()
    sent = referral(hub)
    document = json.loads(openapi.FILE.read_bytes())
    schema = document["components"]["schemas"]["ReferralSubmissionInput"]
    submissions: list[dict[str, Any] | bytes] = [
        {**with_leaf(sent, path, canaries.text("/".join(path))), _UNKNOWN: 1}
        for path in leaves(document, schema)
    ]
    submissions += [{**sent, canaries.text("name of a member"): 1}, canaries.text("no JSON").encode()]
    with hub.program(OSH) as osh:
        answers = [osh.answer_to(key) for key in [osh.submit(one) for one in submissions]]
    assert {answer["problem"]["status"] for answer in answers} <= {400, 415, 422}
    assert canaries.found(json.dumps(answers).encode()) == set()
    databases = {name: sqlite_url(hub.hub.files.database(name)) for name in SERVICES}
    own = hub.broker.files.root  # which stores each submission as it came, until the gateway has read it
    hits = {
        place
        for place, content in kept([hub.hub.files.directory], databases)
        if canaries.found(content) and own not in Path(place).parents
    }
    assert hits == set()


def test_hostile_submission_over_amqp_is_refused_and_costs_little_cpu_and_no_memory(hub: AmqpHub) -> None:
    sent = referral(hub)

    def submit_all(osh: AmqpPartner) -> set[int]:
        keys = [osh.submit({**sent, "case": text}) for text in hostile_tokens.JWES.values()]
        keys += [osh.submit(body, content_encoding="utf-8") for body in hostile_tokens.HEADERS.values()]
        keys.append(osh.submit(json.dumps(sent).encode() + b" " * LONGEST_BODY, content_encoding="utf-8"))
        return {osh.answer_to(key)["problem"]["status"] for key in keys}

    with hub.program(OSH) as osh:
        submit_all(osh)
        before = {service: used(hub, service) for service in (GATEWAY, "intake")}
        assert submit_all(osh) <= {400, 413, 422}
    count = len(hostile_tokens.JWES) + len(hostile_tokens.HEADERS) + 1
    for service, (cpu, memory) in before.items():
        cpu_now, memory_now = used(hub, service)
        assert (cpu_now - cpu) / count < 0.05, service
        assert memory_now - memory < 40_000_000, service


def test_flood_of_huge_submissions_takes_no_memory_of_the_gateway_and_delays_no_other(hub: AmqpHub) -> None:
    """Twenty of 15 MiB took half a gigabyte of it: the bodies were kept, and cycles kept them longer."""
    assert hub.hub.supervisor is not None
    (pid,) = [one.pid for one in hub.hub.supervisor.status() if one.name == GATEWAY]
    huge = b'{"submit":"progress","referral_id":"' + b"a" * (15 * 1024 * 1024) + b'"}'
    with hub.program(OSH) as osh, hub.program(MOSCOW) as moscow:
        _, before = used(hub, GATEWAY)
        keys = [osh.submit(huge, content_encoding="utf-8") for _ in range(20)]
        other = moscow.submit({"submit": "accept", "offer_id": "none"})
        assert moscow.answer_to(other)["problem"]["status"] == 422
        assert {osh.answer_to(key)["problem"]["status"] for key in keys} == {413}
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (peak,) = [int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")]
    # One message on its way, in frames and as a whole.
    assert peak - before < 120_000_000


def used(hub: AmqpHub, service: str) -> tuple[float, float]:
    """Return a process's CPU time in seconds and its resident memory in bytes."""
    (content,) = [content for place, content in metrics(hub) if place == f"{service}: /metrics"]
    found = dict(line.split(" ", 1) for line in content.decode().splitlines() if " " in line)
    return float(found["process_cpu_seconds_total"]), float(found["process_resident_memory_bytes"])


def test_partners_broker_with_private_ca_is_used_over_tls(
    hub: AmqpHub, tls: TlsPorts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    management = urlsplit(hub.identity.management_uri(HUB))
    netloc = f"{management.username}:{management.password}@{LOOPBACK}:{tls.management}"
    monkeypatch.setenv("KOPURO_BROKER_MANAGEMENT_URI", f"https://{netloc}")
    command = ["admin", "amqp", "password", STRANGER, "--json"]
    monkeypatch.delenv("KOPURO_BROKER_CA", raising=False)
    assert main(command) == ExitCode.UNAVAILABLE
    assert "its certificate is not signed by a CA that this process trusts" in capsys.readouterr().err
    monkeypatch.setenv("KOPURO_BROKER_CA", str(tls.ca))
    assert main(command) == ExitCode.OK

    hub.passwords[STRANGER] = json.loads(capsys.readouterr().out)["password"]
    files = TlsFiles(ca=tls.ca)
    own = hub.url(STRANGER).replace("amqp://", "amqps://")
    own = own.replace(f":{hub.identity.amqp_port}/", f":{tls.amqps}/")
    for uri in (own, f"amqps://{netloc.rpartition(':')[0]}:{tls.amqps}/partners"):  # and the gateway's user
        link = ConnectionFactory(uri=uri, connect_timeout=10, heartbeat=20, tls=files).connect()
        assert link.connected
        close(link)


def test_killed_gateway_repeats_messages_and_loses_none(hub: AmqpHub) -> None:
    with hub.program(OSH) as osh:
        key = osh.submit({"submit": "accept", "offer_id": "before"})

        def answer() -> dict[str, Any] | None:
            osh.take(0.2, acknowledge=False)
            found = (one for one in osh.seen.values() if one["data"].get("message_id") == key)
            return next(found, None)

        first = until(answer, "the answer, which the program does not acknowledge")
        assert hub.hub.supervisor is not None
        (pid,) = [one.pid for one in hub.hub.supervisor.status() if one.name == "gateway"]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    with hub.program(OSH) as osh:
        # Published while no gateway runs.
        later = osh.submit({"submit": "accept", "offer_id": "after"})
        assert osh.answer_to(later)["problem"]["status"] == 422
        osh.answer_to(key)
        assert osh.seen[first["id"]] == first


def connection(hub: AmqpHub, organization: str, vhost: str = "partners") -> amqp.Connection:
    link = amqp.Connection(
        host=f"{LOOPBACK}:{hub.identity.amqp_port}",
        userid=organization,
        password=hub.passwords[organization],
        virtual_host=vhost,
        confirm_publish=True,
        read_timeout=10,
    )
    link.connect()
    return link


def allowed(hub: AmqpHub, act: Callable[[Any], object]) -> bool:
    """Return whether the broker lets STRANGER do something on a channel."""
    link = connection(hub, STRANGER)
    try:
        act(link.channel())
    except (AccessRefused, PreconditionFailed):
        return False
    finally:
        link.collect()
    return True


def published(exchange: str, key: str, **properties: str) -> Callable[[Any], object]:
    def act(channel: Any) -> None:
        content = amqp.Message(b"{}", **properties)
        channel.basic_publish_confirm(content, exchange, key, confirm_timeout=10)

    return act


QUEUES = (
    *(SUBMISSIONS, "submissions.parked", *map(queue_of, (OSH, MOSCOW, STRANGER))),
    *map(submissions_of, (MOSCOW, STRANGER)),
)
READS: dict[str, Callable[[Any], object]] = {
    f"{verb} {queue}": act
    for queue in QUEUES
    for verb, act in (
        ("get", lambda channel, queue=queue: channel.basic_get(queue, no_ack=False)),
        ("consume", lambda channel, queue=queue: channel.basic_consume(queue)),
        ("purge", lambda channel, queue=queue: channel.queue_purge(queue)),
        ("bind", lambda channel, queue=queue: channel.queue_bind(queue, exchange_of(STRANGER), "#")),
        ("delete", lambda channel, queue=queue: channel.queue_delete(queue)),
    )
}
ORGANIZATIONS = (OSH, MOSCOW, STRANGER)
OTHER_EXCHANGES = (exchange_of(OSH), exchange_of(MOSCOW), "", "amq.topic", "amq.direct", "amq.fanout")
WRITES: dict[str, Callable[[Any], object]] = {
    f"publish {exchange or 'default'} {key}": published(exchange, key)
    for exchange in (*OTHER_EXCHANGES, exchange_of(STRANGER))
    for key in (*QUEUES, *ORGANIZATIONS, "#", "*")
}
OTHERS: dict[str, Callable[[Any], object]] = {
    "declare a queue": lambda channel: channel.queue_declare("mine"),
    "declare a queue named by a line feed": lambda channel: channel.queue_declare("\n"),
    "declare an exclusive queue": lambda channel: channel.queue_declare("", exclusive=True),
    "declare an exchange": lambda channel: channel.exchange_declare("mine", "topic"),
    "delete the exchange": lambda channel: channel.exchange_delete(exchange_of(STRANGER)),
    "publish as another": published(exchange_of(STRANGER), STRANGER, user_id=OSH),
}
# The whole access of an organisation over AMQP.
ALLOWED = {
    # A message with any routing key goes from there to the organisation's own queue of submissions.
    *(f"publish {exchange_of(STRANGER)} {key}" for key in (*QUEUES, *ORGANIZATIONS, "#", "*")),
    f"get {queue_of(STRANGER)}",
    f"consume {queue_of(STRANGER)}",
    f"purge {queue_of(STRANGER)}",
}


def test_organization_may_do_exactly_what_the_matrix_lists(hub: AmqpHub) -> None:
    acts = {**READS, **WRITES, **OTHERS}
    found = {name for name, act in acts.items() if allowed(hub, act)}
    assert found == ALLOWED
    assert acts.keys() >= ALLOWED


def test_organization_cannot_enter_the_hubs_virtual_host(hub: AmqpHub) -> None:
    for vhost in ("kopuro", "/"):
        with pytest.raises((NotAllowed, AMQPError)):
            connection(hub, STRANGER, vhost)
    assert hub_topology().queues
    # The management API, which only needs a password, is not open to it either.
    answer = httpx.get(
        f"http://{LOOPBACK}:{hub.identity.management_port}/api/overview",
        auth=(STRANGER, hub.passwords[STRANGER]),
    )
    assert answer.status_code == 401


def test_organization_may_open_few_connections(hub: AmqpHub) -> None:
    links = []
    try:
        with pytest.raises((NotAllowed, AMQPError)):
            for _ in range(6):
                links.append(connection(hub, STRANGER))
    finally:
        for link in links:
            link.close()
    assert len(links) == 5


def test_user_of_a_service_is_never_taken_over(hub: AmqpHub) -> None:
    for name in ("kg.intake", "kg.gateway"):
        for act in (lambda n: hub.users.put(n, "x"), hub.users.grant, hub.users.withdraw, hub.users.remove):
            with pytest.raises(UserConflict):
                act(name)


def test_password_of_a_deleted_user_is_not_replaced(hub: AmqpHub) -> None:
    # An operator that deletes a user at the broker must not find it again with a password of its owner.
    name = "kg.nobody-over-amqp"
    hub.users.replace_password(name, "bm9u" + 44 * "A")
    assert name not in hub.users.all()


def test_only_the_gateway_answers_submissions(hub: AmqpHub) -> None:
    forged = {"message_id": "forged-1", "body": "", "submission_id": "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a01"}
    files = hub.hub.files
    directory, delivery = (
        f"http://{LOOPBACK}:{files.ports(name).http}" for name in ("directory", "delivery")
    )
    person = files.people()["organizations"][OSH]
    token = ask_for_token(directory, person["client_id"], person["client_secret"]).json()["access_token"]
    refused = httpx.post(
        f"{delivery}/v1/mailbox:answer",
        headers={"Authorization": f"Bearer {token}"},
        json={"answers": [forged]},
    )
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:kopuro:problem:forbidden")


def test_organization_replaces_its_own_password_and_loses_no_message(hub: AmqpHub, tmp_path: Path) -> None:
    files, password = hub.hub.files, tmp_path / "password"
    link, before = connection(hub, OSH), hub.url(OSH)
    mine = ("--as", OSH, "--credentials", str(files.credentials), "--discovery", files.discovery_address())
    assert main(["credential", "amqp-password", str(password), *mine]) == ExitCode.OK
    with pytest.raises((AMQPError, ConnectionError)):
        for _ in range(10):
            with contextlib.suppress(TimeoutError):
                link.drain_events(timeout=1)
    with pytest.raises((AMQPError, ConnectionError)):
        AmqpPartner(OSH, before)
    hub.passwords[OSH] = password.read_text()
    with hub.program(OSH) as osh:
        refused = osh.answer_to(osh.submit(referral(hub, urgency="whenever")))
        assert refused["problem"]["errors"][0]["pointer"] == "/urgency"
    with hub.partner(STRANGER) as stranger:
        assert not stranger.administration.amqp_password_waits()


def test_client_that_is_revoked_loses_the_password_that_it_set(hub: AmqpHub, tmp_path: Path) -> None:
    """Its organisation keeps its rights, and sets another password with another client."""
    files, password = hub.hub.files, tmp_path / "password"
    mine = ("--as", OSH, "--credentials", str(files.credentials), "--discovery", files.discovery_address())
    assert main(["credential", "amqp-password", str(password), *mine]) == ExitCode.OK
    with hub.partner(OSH) as partner:
        until(lambda: not partner.administration.amqp_password_waits() or None, "the new password")
    hub.passwords[OSH] = password.read_text()
    link = connection(hub, OSH)
    started = time.monotonic()
    with hub.staff("operator") as operator:
        operator.administration.revoke_client(OSH)
    _await_closure(link, started)
    with pytest.raises((AMQPError, OSError)):
        connection(hub, OSH)
    assert OSH in hub.granted()


def test_revoked_client_loses_its_connections_and_its_rights(hub: AmqpHub) -> None:
    links = [connection(hub, STRANGER), connection(hub, STRANGER)]
    with hub.staff("operator") as operator:
        started = time.monotonic()
        operator.administration.revoke_client(client_of(STRANGER))
        _await_end(hub, STRANGER, links, started)
        with pytest.raises((AMQPError, OSError)):
            connection(hub, STRANGER)


def test_suspended_organization_loses_its_connections(hub: AmqpHub) -> None:
    links = [connection(hub, MOSCOW), connection(hub, MOSCOW)]
    with hub.staff("coordinator") as coordinator:
        started = time.monotonic()
        coordinator.administration.suspend(MOSCOW, "other")
        _await_end(hub, MOSCOW, links, started)
        with pytest.raises((AMQPError, OSError)):
            connection(hub, MOSCOW)


def _await_end(hub: AmqpHub, organization: str, links: list[amqp.Connection], started: float) -> None:
    """Wait until the organisation has neither rights nor a connection, and check that both ended in time.

    started: the monotonic time before the request that ends them.
    """
    left = REVOKED_WITHIN - (time.monotonic() - started)
    until(lambda: organization not in hub.granted() or None, "the end of the rights", within=left)
    for link in links:
        _await_closure(link, started)


def _await_closure(link: amqp.Connection, started: float) -> None:
    """Wait until the broker closes the connection, within REVOKED_WITHIN of `started`."""
    with pytest.raises((AMQPError, OSError)):
        while True:
            try:
                link.drain_events(timeout=0.2)
            except TimeoutError:
                assert time.monotonic() - started < REVOKED_WITHIN
