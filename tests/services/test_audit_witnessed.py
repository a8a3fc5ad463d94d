"""A log and its witnesses, verified independently by the client.

The two share no code.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from contracts.envelope import Envelope
from contracts.facts import ReceiptsIssued
from kopuro_client.tlog.bundle import Bundle
from kopuro_client.tlog.keys import SigningKey, VerifierKey
from kopuro_client.tlog.log_check import verify_log
from kopuro_client.tlog.policy import TrustPolicy
from kopuro_client.tlog.proof_file import ProofFile
from kopuro_client.tlog.receipts import Receipt, receipts_in
from kopuro_client.tlog.tiles import DirectorySource, HttpSource
from kopuro_client.transport import Transport
from kopuro_client.witness.record import WitnessRecord
from kopuro_client.witness.server import serve
from kopuro_client.witness.witness import Witness
from services.audit.log.adapters.signing_key import load_log_key
from tests.processes import HUB
from tests.services.audited_hub import REFERRAL, AuditedHub, accepted

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


@contextmanager
def witness(name: str, log: VerifierKey, directory: Path) -> Iterator[dict[str, str]]:
    """Run a partner's witness; yield its policy record."""
    key = SigningKey.generate(name)
    made = Witness(key=key, logs=[log], record=WitnessRecord(directory), now=lambda: int(time.time()))
    server = serve(made, "127.0.0.1", 0, complain=lambda text: None)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield {
            "name": name,
            "vkey": str(key.verifier),
            "url": f"http://127.0.0.1:{server.server_address[1]}",
        }
    finally:
        server.shutdown()
        server.server_close()


def test_client_verifies_the_published_log(hub_vhost: str, database_url: str, tmp_path: Path) -> None:
    policy_file = tmp_path / "policy.json"
    policy_file.write_text("{}")
    hub = AuditedHub(
        hub_vhost, database_url, tmp_path, environment={"KOPURO_WITNESS_POLICY": str(policy_file)}
    )
    log = VerifierKey.parse(load_log_key(tmp_path / "log_key.json", HUB).verifier_key)
    with ExitStack() as running:
        running.callback(hub.close)
        witnesses = [
            running.enter_context(witness(name, log, tmp_path / name)) for name in ("union", "library")
        ]
        document = json.dumps({"witnesses": witnesses, "threshold": 2})
        policy_file.write_text(document)
        trusted = TrustPolicy.parse(document)
        policy = TrustPolicy(
            logs=(log,), witnesses=trusted.witnesses, groups=trusted.groups, quorum=trusted.quorum
        )
        hub.answer_as_the_directory()
        events = [accepted() for _ in range(600)]
        running.enter_context(hub.service)
        hub.service.until_ready()
        hub.publish(events)
        hub.until_logged(events)
        hub.until(lambda: cosigned_size(hub) == len(hub.logged()) >= 600)

        directory = verify_log(DirectorySource(hub.published), policy, whole=True)
        over_http = verify_log(HttpSource(hub.service.url, Transport()), policy, whole=True)
        for verified in (directory, over_http):
            assert verified.witnessed is not None
            assert len(verified.witnessed.cosigned) == 2
            assert verified.witnessed.checkpoint.size >= 600

        answer = hub.get(f"/v1/history/{REFERRAL}/bundle")
        assert answer.status_code == 200
        checkpoint, entries = Bundle.parse(answer.content).verify(policy)
        assert len(entries) == 600
        assert len(checkpoint.cosigned) == 2
        assert hub.get(f"/v1/history/{REFERRAL}/bundle", role="partner").status_code == 404

        unwitnessed = TrustPolicy(logs=(log,))
        for receipt in receipts(hub, 1_200):
            ProofFile.parse(str(receipt.proof)).verify(receipt.leaf, unwitnessed)
        figures = httpx.get(hub.service.operations_url + "/metrics").text
        assert 'kopuro_log_witness_stale{witness="union"} 0.0' in figures
        ready = httpx.get(hub.service.operations_url + "/readyz").json()
        assert set(ready["warnings"].values()) == {"ok"}
        assert {"messages", "parked", "database", "clocks", "witnesses", "log"} <= ready["warnings"].keys()


def cosigned_size(hub: AuditedHub) -> int:
    answer = httpx.get(hub.service.url + "/cosigned-checkpoint")
    return int(answer.text.split("\n")[1]) if answer.status_code == 200 else 0


def receipts(hub: AuditedHub, at_least: int) -> list[Receipt]:
    consumer = hub.broker.consumer(["delivery.events"], 1000)
    found: list[Receipt] = []
    try:
        while len(found) < at_least:
            deliveries = consumer.take(1000, 1.0)
            assert deliveries
            consumer.acknowledge(deliveries)
            for message in [Envelope.decode(delivery.body) for delivery in deliveries]:
                if message.type == ReceiptsIssued.type:
                    found += receipts_in(message.data)
    finally:
        consumer.close()
    return found


def test_tiles_over_http_equal_the_static_files(hub_vhost: str, sqlite_database: str, tmp_path: Path) -> None:
    hub = AuditedHub(hub_vhost, sqlite_database, tmp_path)
    events = [accepted() for _ in range(300)]
    hub.publish(events)
    with hub.service:
        hub.until_logged(events)
        hub.until((hub.published / "tile/0/000").exists)
        hub.until(lambda: hub.checkpoint().size >= 300)
        url = hub.service.url
        tile = httpx.get(url + "/tile/0/000")
        assert tile.content == (hub.published / "tile/0/000").read_bytes()
        assert tile.headers["cache-control"] == "public, max-age=31536000, immutable"
        known = {"If-None-Match": tile.headers["etag"]}
        assert httpx.get(url + "/tile/0/000", headers=known).status_code == 304
        part = httpx.get(url + "/tile/0/000", headers={"Range": "bytes=32-63"})
        assert (part.status_code, part.content) == (206, tile.content[32:64])
        assert httpx.head(url + "/tile/0/000").headers["content-length"] == "8192"
        entries = httpx.get(url + "/tile/entries/000")
        assert entries.headers["content-encoding"] == "gzip"
        assert entries.content == (hub.published / "tile/entries/000").read_bytes()
        assert httpx.get(url + "/checkpoint").headers["cache-control"] == "no-cache"
        assert httpx.get(url + "/cosigned-checkpoint").status_code == 404
        for path in ("/tile/0/x000/000", "/tile/0/000.p/7", "/tile/9/000"):
            assert httpx.get(url + path).status_code == 404, path
        assert httpx.get(url + "/tile/%2e%2e/checkpoint").status_code == 400
    hub.close()


def test_published_files_of_another_log_stop_the_start(
    hub_vhost: str, sqlite_database: str, tmp_path: Path
) -> None:
    hub = AuditedHub(hub_vhost, sqlite_database, tmp_path)
    events = [accepted() for _ in range(3)]
    hub.publish(events)
    with hub.service:
        hub.until(lambda: hub.checkpoint().size >= 3)
    (hub.published / "checkpoint").write_bytes(b"kopuro/kg\n3\nAAAA\n")
    with pytest.raises(RuntimeError, match="not signed with this log's key"), hub.service:
        pass
    assert hub.service.process.exit_code() == 1
    hub.close()
