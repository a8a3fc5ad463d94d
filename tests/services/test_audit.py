"""The audit service as a process, on a real broker: what was acknowledged is in a checkpoint, once."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from joserfc.jwk import OKPKey
from sqlalchemy import update

from contracts.envelope import Event
from contracts.facts import CaseErased, Fact, OfferAccepted, ReplicaCompleted, TokenKeyChanged
from contracts.topology import hub_topology
from runtime.identifiers import new_id
from runtime.messaging.outbox import outgoing
from runtime.messaging.ports import Outgoing
from runtime.messaging.rabbitmq import RabbitBroker
from runtime.storage.database import Database
from runtime.storage.migrate import upgrade
from runtime.web.signer import TokenSigner
from runtime.web.tokens import Principal, issuer_of
from services.audit.adapters.tables import ENTRIES
from services.audit.domain.checkpoint import Checkpoint
from services.audit.domain.merkle import leaf_hash, root, verify_consistency, verify_inclusion
from services.audit.domain.note import Ed25519Verifier, open_note
from tests.processes import HUB, RunningService

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

REFERRAL = new_id()
OSH, MOSCOW = "kg.osh-legal-aid", "ru.moscow-union"
WAIT_SECONDS = 30.0


def said(fact: Fact, partition_key: str = REFERRAL) -> Event[Fact]:
    number = new_id()
    return Event(
        id=number,
        source="/kg/routing",
        time=datetime.now(UTC),
        partition_key=partition_key,
        correlation_id=number,
        causation_id=None,
        data=fact,
    )


def accepted() -> Event[Fact]:
    return said(OfferAccepted(referral_id=REFERRAL, offer_id=new_id(), organization=MOSCOW, sender=OSH))


class AuditedHub:
    """A broker with the hub's topology, a migrated database, and the audit service upon them."""

    def __init__(self, vhost: str, database_url: str, directory: Path) -> None:
        broker = RabbitBroker(vhost)
        # The service does so too; here before it, so that what is published has a queue to wait in.
        broker.declare(hub_topology())
        self._publisher = broker.publisher()
        self.database = Database.open(database_url)
        upgrade("services.audit", self.database)
        key_file = directory / "log_key.json"
        key_file.write_text(json.dumps(OKPKey.generate_key("Ed25519", private=True).as_dict(private=True)))
        token_key = OKPKey.generate_key("Ed25519", private=True).as_dict(private=True)
        self._signer = TokenSigner(token_key, issuer_of(HUB))
        self.service = RunningService(
            "services.audit",
            directory,
            amqp_uri=vhost,
            database_url=database_url,
            environment={
                "KOPURO_LOG_SIGNING_KEY": str(key_file),
                "KOPURO_LOG_DIRECTORY": str(directory / "published"),
            },
        )

    def close(self) -> None:
        self.service.process.kill()
        self._publisher.close()
        self.database.close()

    def publish(self, events: Sequence[Event[Fact]]) -> None:
        self._publisher.publish([outgoing(event) for event in events])

    def answer_as_the_directory(self) -> None:
        """The token key, and the word that there is nothing more."""
        key = said(TokenKeyChanged(revision=1, key=self._signer.public_jwk()), self._signer.kid)
        end = outgoing(said(ReplicaCompleted(queue="audit.directory", records=1), "audit.directory"))
        to_queue: Outgoing = replace(end, exchange="", routing_key="audit.directory")
        self._publisher.publish([outgoing(key), to_queue])

    def get(self, path: str, /, *, role: str = "auditor", **params: Any) -> httpx.Response:
        token = self._signer.issue(Principal(id="ann", roles=frozenset({role})), now=datetime.now(UTC))
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.get(self.service.url + path, params=params or None, headers=headers, timeout=10)

    def verifier(self) -> Ed25519Verifier:
        return Ed25519Verifier.parse(httpx.get(self.service.url + "/v1/log-key").text.strip())

    def checkpoint(self) -> Checkpoint:
        note = httpx.get(self.service.url + "/checkpoint").content
        return Checkpoint.parse(open_note(note, [self.verifier()]).text)

    def logged(self) -> list[tuple[int, str]]:
        """Index and message id of every entry."""
        with self.database.read() as transaction:
            rows = transaction.execute(ENTRIES.select().order_by(ENTRIES.c.leaf_index)).all()
        return [(row.leaf_index, row.message_id) for row in rows]

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            assert self.service.process.running(), self.service.log.read_text()
            assert time.monotonic() < deadline, self.service.log.read_text()
            time.sleep(0.02)

    def until_logged(self, events: Sequence[Event[Fact]]) -> None:
        wanted = {event.id for event in events}
        self.until(lambda: wanted <= {message_id for _, message_id in self.logged()})


@pytest.fixture
def hub(vhost: str, database_url: str, tmp_path: Path) -> Iterator[AuditedHub]:
    made = AuditedHub(vhost, database_url, tmp_path)
    yield made
    made.close()


def test_killed_in_between_the_log_has_no_gap_no_duplicate_and_no_fork(hub: AuditedHub) -> None:
    events = [accepted() for _ in range(500)]
    seen: list[Checkpoint] = []
    for at in range(0, 500, 125):
        with hub.service:
            before = hub.checkpoint().size
            hub.publish(events[at : at + 125])
            hub.until(lambda before=before: hub.checkpoint().size > before)  # type: ignore[misc]
            seen.append(hub.checkpoint())
            hub.service.process.kill()
    with hub.service:
        hub.until_logged(events)
        hub.answer_as_the_directory()
        hub.service.until_ready()
        last = hub.checkpoint()
        for earlier in seen:
            proof = hub.get(f"/v1/consistency?from={earlier.size}&to={last.size}").json()
            hashes = [b64decode(text) for text in proof["hashes"]]
            verify_consistency(earlier.size, last.size, hashes, earlier.root, last.root)
    logged = hub.logged()
    assert [index for index, _ in logged] == list(range(len(logged)))
    ids = [message_id for _, message_id in logged]
    assert len(set(ids)) == len(ids)
    # Besides ours there are the questions for a copy of the directory, one for each start.
    ours = {event.id for event in events}
    assert len([i for i in ids if i in ours]) == 500
    with hub.database.read() as transaction:
        leaves = [row.leaf for row in transaction.execute(ENTRIES.select().order_by(ENTRIES.c.leaf_index))]
    assert last.size >= 500
    assert root(map(leaf_hash, leaves[: last.size])) == last.root


def test_an_auditor_finds_reads_and_verifies_and_is_seen_doing_so(hub: AuditedHub) -> None:
    erased = said(CaseErased(referral_id=REFERRAL, reason="completed"))
    story = [accepted(), said(CaseErased(referral_id=(other := new_id()), reason="failed"), other), erased]
    hub.answer_as_the_directory()
    hub.publish(story)
    with hub.service:
        hub.service.until_ready()
        hub.until_logged(story)

        page = hub.get(f"/v1/history/{REFERRAL}").json()
        assert [item["message_id"] for item in page["items"]] == [story[0].id, erased.id]
        assert page["next"] is None
        item = page["items"][0]
        assert (item["organization"], item["hub"], item["actor"]) == (MOSCOW, "kg", "/kg/routing")
        for party in (OSH, MOSCOW):
            items = hub.get("/v1/history", organization=party, type=story[0].type).json()["items"]
            assert [i["message_id"] for i in items] == [story[0].id]
        assert hub.get("/v1/history?from=2099-01-01T00:00:00Z").json()["items"] == []
        first = hub.get("/v1/history", limit=1).json()
        second = hub.get("/v1/history", limit=1, after=first["next"]).json()
        assert (first["items"][0]["index"], second["items"][0]["index"]) == (0, 1)

        checkpoint = hub.checkpoint()
        assert checkpoint.origin == "kopuro/kg" == page["checkpoint"]["origin"]
        shown = hub.get(f"/v1/entries/{item['index']}").json()
        assert orjson.loads(shown["leaf"]) == {name: item[name] for name in item if name != "index"}
        leaf = leaf_hash(shown["leaf"].encode())
        assert b64decode(shown["leaf_hash"]) == leaf
        proof = hub.get("/v1/proof", index=item["index"], size=checkpoint.size).json()
        hashes = [b64decode(text) for text in proof["hashes"]]
        verify_inclusion(leaf, item["index"], checkpoint.size, hashes, checkpoint.root)

        hub.until(lambda: len(timeline_reads(hub)) >= 1)
        assert (
            hub.get("/v1/history", type="kopuro.history.read.v1").json()["items"][0]["actor"] == "/kg/audit"
        )


def timeline_reads(hub: AuditedHub) -> list[dict[str, Any]]:
    items = hub.get(f"/v1/history/{REFERRAL}").json()["items"]
    return [item for item in items if item["type"] == "kopuro.history.read.v1"]


def test_what_cannot_be_asked_is_refused(hub: AuditedHub) -> None:
    hub.answer_as_the_directory()
    with hub.service:
        hub.service.until_ready()
        for role in ("auditor", "coordinator", "operator"):
            assert hub.get("/v1/history", role=role).status_code == 200
        assert hub.get("/v1/history", role="partner").status_code == 403
        assert httpx.get(hub.service.url + "/v1/history").status_code == 401
        for path in (
            "/v1/history?referal=x",
            "/v1/history?referral=Азамат",
            "/v1/history?organization=Osh",
            "/v1/history?type=a b",
            "/v1/history?from=yesterday",
            "/v1/history?from=2026-03-01T12:00:00",
            "/v1/history?after=x",
            "/v1/history?limit=0",
            f"/v1/history/{REFERRAL}?referral={REFERRAL}",
            "/v1/history/not-an-id",
            "/v1/entries/-1",
            "/v1/proof",
            "/v1/proof?index=0&size=999999",
            "/v1/proof?index=999999",
            "/v1/consistency?from=2&to=1",
        ):
            answer = hub.get(path)
            assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) in (
                (400, "invalid-parameter"),
                (400, "invalid-cursor"),
            ), path
        assert hub.get("/v1/entries/999999").status_code == 404


def test_a_log_that_was_tampered_with_is_not_served(hub: AuditedHub) -> None:
    events = [accepted() for _ in range(3)]
    hub.publish(events)
    with hub.service:
        hub.until_logged(events)
    with hub.database.write() as transaction:
        row = transaction.execute(ENTRIES.select().where(ENTRIES.c.message_id == events[1].id)).one()
        changed = row.leaf.replace(MOSCOW.encode(), b"ru.moscow-other")
        assert changed != row.leaf
        transaction.execute(
            update(ENTRIES).where(ENTRIES.c.leaf_index == row.leaf_index).values(leaf=changed)
        )
    with pytest.raises(RuntimeError, match="not those that the checkpoint vouches for"), hub.service:
        pass
    assert hub.service.process.exit_code() == 1
