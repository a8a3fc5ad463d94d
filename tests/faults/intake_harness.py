"""Intake under network and disk faults: its simulated neighbour services and its observable state."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from contracts.facts import OrganizationChanged, TokenKeyChanged
from contracts.organization import SealingKey
from contracts.records import read
from contracts.topology import ROUTING_QUERIES
from kopuro_client.sealing import public_key, seal
from runtime.clock import SystemClock
from runtime.messaging.ports import BrokerUnavailable
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.messaging.request_reply import DEADLINE_SECONDS, RequestServer
from runtime.storage.database import Database
from tests.crash.crashing import consumed, figure
from tests.processes import HUB, RunningService
from tests.services.neighbours import ACCEPTOR, SENDER, Neighbours, event_of, opened
from tests.support.hub_keys import peers, signed_event
from tests.support.migrated import upgrade
from tests.unit.services.intake.samples import document
from tests.unit.services.intake.samples import organization as member

# Seconds that a query may take: its deadline plus a margin for a busy machine.
ANSWERED_WITHIN = DEADLINE_SECONDS + 3


class IntakeHarness(Neighbours):
    """One running intake and its simulated neighbours. intake_uri: the broker, or a proxy in front of it."""

    def __init__(
        self,
        amqp_uri: str,
        directory: Path,
        *,
        altered_by: str | None = "tests.faults.short_timeouts",
        intake_uri: str | None = None,
        database: Path | None = None,
    ) -> None:
        super().__init__(amqp_uri, directory)
        self.amqp_uri = amqp_uri
        self.database = database or directory / "intake.sqlite"
        url = f"sqlite:///{self.database}"
        prepared = Database.open(url)
        upgrade("services.intake", prepared)
        prepared.close()
        self.intake = RunningService(
            "services.intake",
            directory,
            amqp_uri=intake_uri or amqp_uri,
            database_url=url,
            altered_by=altered_by,
        )
        discovery = {"hub": HUB, "version": "1", "custody_key": public_key(self.custody_key)}
        (directory / "discovery.json").write_text(json.dumps(discovery))
        self.sender = self.partner(SENDER, self.intake)
        for name in (SENDER, ACCEPTOR):
            key = read(SealingKey, dict(public_key(self.keys[name])))
            record = OrganizationChanged(revision=1, organization=member(name, key=key))
            self.publish(record, partition_key=name)
        key_changed = TokenKeyChanged(revision=1, key=self.signer.public_jwk())
        self.publish(key_changed, partition_key=self.signer.kid)
        self.publish_transit_key()
        self._complete("intake.directory")

    def submit(self, narrative: str = "") -> httpx.Response:
        case = {"name": "N", "phones": [], "narrative": narrative}
        return self.sender.submit(document(case=seal(case, public_key(self.custody_key))))

    def query(self) -> httpx.Response:
        """Send a query that only routing can answer."""
        return self.sender.ask("GET", "intake", "/v1/referrals")

    def publish_offer(self, *, at: dt.datetime | None = None) -> None:
        """Publish an event that intake consumes. at: the event's time by its sender's clock."""
        offer = opened()
        # Not with the neighbours' publisher, whose heartbeats nothing sends.
        with closing(RabbitBroker(self.amqp_uri).publisher()) as publisher:
            event = event_of(offer)
            publisher.publish([signed_event(event if at is None else replace(event, time=at))])

    def offers_consumed(self) -> int:
        return consumed(self.intake, "intake.offers", "applied")

    def paused(self) -> str | None:
        """Return the readiness warning about messaging; intake stays ready."""
        answer = httpx.get(self.intake.operations_url + "/readyz")
        assert answer.status_code == 200
        warning: str = answer.json()["warnings"]["messages"]
        return None if warning == "ok" else warning

    def paused_seconds(self) -> float:
        """Return the metric of the same state, seconds."""
        return figure(self.intake, "kopuro_messaging_paused_seconds")

    @contextmanager
    def routing(self) -> Iterator[None]:
        """Reply to intake's queries inside the block, as routing would."""
        stop = threading.Event()
        broker = RabbitBroker(self.amqp_uri)
        thread = threading.Thread(target=_answer, args=(broker, stop))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _answer(broker: RabbitBroker, stop: threading.Event) -> None:
    def reply_to(query: Mapping[str, Any]) -> Any:
        return []

    peers_of_routing = peers("routing", "intake", user=broker.user)
    processor = RequestServer(broker, reply_to, peers=peers_of_routing, clock=SystemClock())
    with closing(broker.consumer([ROUTING_QUERIES], 100)) as consumer:
        while not stop.is_set():
            with suppress(BrokerUnavailable):
                if deliveries := consumer.take(100, 0.2):
                    processor.process(deliveries)
                    consumer.acknowledge(deliveries)


def unavailable(answer: httpx.Response) -> bool:
    """Return whether the response is a 503; assert that a 503 is a problem document with Retry-After."""
    if answer.status_code != 503:
        return False
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:kopuro:problem:unavailable"
    assert int(answer.headers["retry-after"]) >= 1
    return True
