"""A broker with the hub's topology, a migrated database, and the audit service."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from joserfc.jwk import OKPKey

from contracts.envelope import Event
from contracts.facts import Fact, OfferAccepted, ReplicaCompleted, TokenKeyChanged
from contracts.topology import hub_topology
from kopuro_client.tlog.tiles import split_entries
from runtime.access.signer import TokenSigner
from runtime.access.tokens import issuer_of
from runtime.identifiers import new_id
from runtime.messaging.ports import Outgoing
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.storage.database import Database
from services.audit.adapters.tables import ENTRIES
from services.audit.log.adapters.signing_key import load_log_key
from services.audit.log.domain.checkpoint import Checkpoint
from services.audit.log.domain.merkle import Frontier, leaf_hash
from services.audit.log.domain.note import Ed25519Verifier, open_note
from services.audit.log.domain.tiles import ENTRIES as BUNDLES
from services.audit.log.domain.tiles import Tile, tiles_between
from tests.processes import HUB, RunningService
from tests.support.events import message_of
from tests.support.hub_keys import signed_event, source_of
from tests.support.migrated import upgrade
from tests.support.partners import Partner, client_id_of, registered, signed_token
from tests.support.pauses import pauses

REFERRAL = new_id()
OSH, MOSCOW = "kg.osh-legal-aid", "ru.moscow-union"
WAIT_SECONDS = 30.0


def event_of(fact: Fact, partition_key: str = REFERRAL, *, hub: str = HUB) -> Event[Fact]:
    return message_of(fact, partition_key, source=source_of(fact, hub))


def accepted(*, hub: str = HUB) -> Event[Fact]:
    fact = OfferAccepted(referral_id=REFERRAL, offer_id=new_id(), organization=MOSCOW, sender=OSH)
    return event_of(fact, hub=hub)


class AuditedHub:
    """A running audit service.

    published: the log's directory; hub: country code; altered_by, environment: as for RunningService.
    """

    def __init__(
        self,
        vhost: str,
        database_url: str,
        directory: Path,
        *,
        altered_by: str | None = None,
        hub: str = HUB,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        broker = RabbitBroker(vhost)
        self.broker = broker
        self._hub = hub
        self.published = directory / "published"
        broker.declare(hub_topology())
        self._publisher = broker.publisher()
        self.database = Database.open(database_url)
        upgrade("services.audit", self.database)
        key_file = directory / "log_key.json"
        key_file.write_text(json.dumps(OKPKey.generate_key("Ed25519", private=True).as_dict(private=True)))
        self.log_verifier = load_log_key(key_file, hub).signer.verifier
        token_key = OKPKey.generate_key("Ed25519", private=True).as_dict(private=True)
        self._readers: set[tuple[str, str]] = set()
        self._signer = TokenSigner(token_key, issuer_of(hub))
        self._hub = hub
        self.service = RunningService(
            "services.audit",
            directory,
            service="audit",
            amqp_uri=vhost,
            database_url=database_url,
            environment={
                "KOPURO_HUB": hub,
                "KOPURO_REQUESTS_PER_MINUTE": "999999",
                "KOPURO_LOG_SIGNING_KEY": str(key_file),
                "KOPURO_LOG_DIRECTORY": str(self.published),
                **(environment or {}),
            },
            altered_by=altered_by,
        )

    def close(self) -> None:
        self.service.process.kill()
        self._publisher.close()
        self.database.close()

    def publish(self, events: Sequence[Event[Fact]]) -> None:
        self._send([signed_event(event) for event in events])

    def _send(self, messages: Sequence[Outgoing]) -> None:
        # The broker has ended a connection that was silent while a test did something else.
        self._publisher.tend()
        self._publisher.publish(messages)

    def answer_as_the_directory(self) -> None:
        """Publish the token key and the end of the replica, as the directory would."""
        changed = TokenKeyChanged(revision=1, key=self._signer.public_jwk())
        key = event_of(changed, self._signer.kid, hub=self._hub)
        completed = ReplicaCompleted(queue="audit.directory", records=1)
        end = signed_event(event_of(completed, "audit.directory", hub=self._hub))
        to_queue: Outgoing = replace(end, exchange="", routing_key="audit.directory")
        self._send([signed_event(key), to_queue])

    def get(
        self, path: str, /, *, role: str = "auditor", reader: str = "ann", **params: Any
    ) -> httpx.Response:
        if (reader, role) not in self._readers:
            self._readers.add((reader, role))
            client = signed_event(
                event_of(registered(reader, role), client_id_of(reader, role), hub=self._hub)
            )
            # To the replica alone, as in a snapshot: the log of these tests has no entry about readers.
            self._send([replace(client, exchange="", routing_key="audit.directory")])
        with Partner(
            lambda _: self.service.url, lambda: signed_token(self._signer, reader, role=role)
        ) as partner:
            return partner.ask("GET", "audit", path, params=params or None)

    def verifier(self) -> Ed25519Verifier:
        return Ed25519Verifier.parse(httpx.get(self.service.url + "/v1/log-key").text.strip())

    def checkpoint(self) -> Checkpoint:
        # At the first start the service responds before its first publication.
        self.until(lambda: httpx.get(self.service.url + "/checkpoint").status_code == 200)
        note = httpx.get(self.service.url + "/checkpoint").content
        return Checkpoint.parse(open_note(note, [self.verifier()]).text)

    def logged(self) -> list[tuple[int, str]]:
        """Return index and message id of every entry."""
        with self.database.read() as transaction:
            rows = transaction.execute(ENTRIES.select().order_by(ENTRIES.c.leaf_index)).all()
        return [(row.leaf_index, row.message_id) for row in rows]

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        between = pauses()
        while not condition():
            assert self.service.process.running(), self.service.log.read_text()
            assert time.monotonic() < deadline, self.service.log.read_text()
            time.sleep(next(between))

    def until_logged(self, events: Sequence[Event[Fact]]) -> None:
        wanted = {event.id for event in events}
        self.until(lambda: wanted <= {message_id for _, message_id in self.logged()})


def read_published(directory: Path, verifier: Ed25519Verifier) -> tuple[Checkpoint, list[bytes]] | None:
    """Return checkpoint and leaves from the published files, once they are consistent."""
    try:
        note = (directory / "checkpoint").read_bytes()
    except FileNotFoundError:
        return None
    checkpoint = Checkpoint.parse(open_note(note, [verifier]).text)
    leaves: list[bytes] = []
    hashes = b""
    for tile in tiles_between(0, checkpoint.size):
        content = _content(directory, tile)
        if tile.level == BUNDLES:
            leaves += split_entries(content, tile.path)[: tile.width]
            continue
        content = content[: tile.width * 32]
        if tile.level == 0:
            hashes += content
        else:
            assert len(content) == tile.width * 32
    assert len(leaves) == checkpoint.size
    assert hashes == b"".join(map(leaf_hash, leaves))
    assert Frontier().extend(map(leaf_hash, leaves)).root() == checkpoint.root
    return checkpoint, leaves


def _content(directory: Path, tile: Tile) -> bytes:
    """Return a tile, or the full tile that has replaced it since the checkpoint was read."""
    try:
        return (directory / tile.path).read_bytes()
    except FileNotFoundError:
        return (directory / Tile(level=tile.level, index=tile.index).path).read_bytes()
