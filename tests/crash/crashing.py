"""A service that crashes and restarts, its simulated neighbours and its client."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, insert, select, text

from contracts.codes import Urgency
from contracts.envelope import Envelope, Event, decode
from contracts.facts import AgreementChanged, EventsLogged, Fact, OrganizationChanged, TokenKeyChanged
from contracts.organization import SealingKey
from contracts.records import read
from contracts.topology import RECEIPTS
from kopuro_client.sealing import public_key, seal
from runtime.clock import SystemClock
from runtime.messaging.batches import BatchProcessor
from runtime.messaging.metrics import MessagingMetrics
from runtime.messaging.outbox.event_batch import decode_batch
from runtime.messaging.ports import Outgoing
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.storage.database import Database
from tests.crash.faults import PLAN, Moment, Plan
from tests.messaging.consumer_harness import EFFECTS, METADATA, TABLES
from tests.processes import HUB, RunningService
from tests.services.neighbours import ACCEPTOR, SENDER, Neighbours, event_of
from tests.support.hub_keys import signed_event, verifier
from tests.support.migrated import upgrade
from tests.support.partners import answered
from tests.support.pauses import pauses
from tests.unit.services.intake.samples import document
from tests.unit.services.intake.samples import organization as member
from tests.unit.services.routing.samples import agreement
from tests.unit.services.routing.samples import organization as receiver
from tests.unit.services.routing.workbench import sender as sender_only

WAIT_SECONDS = 20.0
# Candidates in routing's tests; SENDER is the sender.
RECEIVERS = ("ru.one", "ru.two")
# The deadline of every offer, in seconds.
ANSWER_SECONDS = 2


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    between = pauses()
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(next(between))


class Crashing:
    """Two builds of one service: `dying` has faulty parts, `whole` is the real service.

    Both are at home in one database and one virtual host; only one of them runs at a time.
    """

    def __init__(
        self, service: str, directory: Path, *, amqp_uri: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self._url = f"sqlite:///{directory / service}.sqlite"
        database = Database.open(self._url)
        upgrade(f"services.{service}", database)
        database.close()
        self._plan = Plan(directory / "plan")

        def made(place: str, altered_by: str | None) -> RunningService:
            (directory / place).mkdir()
            return RunningService(
                f"services.{service}",
                directory / place,
                amqp_uri=amqp_uri,
                database_url=self._url,
                environment={
                    PLAN: str(directory / "plan"),
                    "KOPURO_VAULT_KEYS": str(directory / "vault-keys.sqlite"),
                    **(environment or {}),
                },
                altered_by=altered_by,
            )

        self.dying = made("dying", "tests.crash.faults")
        self.whole = made("whole", None)

    def announce(self, discovery: Mapping[str, Any]) -> None:
        for service in (self.dying, self.whole):
            (service.log.parent / "discovery.json").write_text(json.dumps(discovery))

    def plan(self, moment: Moment) -> None:
        self._plan.set(moment)

    def until_reached(self) -> None:
        until(self._plan.reached, "the process comes to the moment that was planned")

    def until_settled(self) -> None:
        """Return when the dying service is ready and has published its request for a snapshot.

        A moment that is planned afterwards comes in the processing of what the test sends.
        """
        self.dying.until_ready()
        self.until_published()

    def until_dead(self) -> None:
        assert self.dying.process.wait(WAIT_SECONDS), "the process did not come to its end"
        assert self.dying.process.exit_code() == -9

    def until_published(self) -> None:
        """Return when the outbox is empty."""
        until(lambda: self.rows("outbox") == 0, "the outbox is empty")

    def copies(self) -> list[Envelope]:
        """Return the published events that have no receipt."""
        database = Database.open(self._url)
        try:
            with database.read() as transaction:
                bodies = transaction.execute(select(TABLES.unreceipted.c.body)).scalars().all()
        finally:
            database.close()
        return [Envelope.decode(event) for body in bodies for event in decode_batch(body)]

    def rows(self, table: str) -> int:
        database = Database.open(self._url)
        try:
            with database.read() as transaction:
                return int(transaction.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608
        finally:
            database.close()


def consumed(service: RunningService, consumer: str, result: str) -> int:
    """Return the number of messages with this result since the process started."""
    return int(figure(service, f'kopuro_messages_consumed_total{{consumer="{consumer}",result="{result}"}}'))


def figure(service: RunningService, sample: str) -> float:
    """Return the value of a metric sample (name and labels); 0 if it is missing."""
    for line in httpx.get(service.operations_url + "/metrics").text.splitlines():
        name, _, value = line.rpartition(" ")
        if name == sample:
            return float(value)
    return 0.0


class Listener:
    """A real consumer of facts with its own inbox.

    copies: how often each message came, by its id. effects: the facts that took effect, in order.
    """

    def __init__(self, amqp_uri: str, directory: Path) -> None:
        self.copies: Counter[str] = Counter()
        self._events: dict[str, Event[Fact]] = {}
        self._database = Database.open(f"sqlite:///{directory / 'listener.sqlite'}")
        with self._database.write() as transaction:
            METADATA.create_all(transaction)
        self._consumer = RabbitBroker(amqp_uri).consumer(["audit.log"], 1000)
        self._processor = BatchProcessor(
            "listener",
            ["audit.log"],
            database=self._database,
            tables=TABLES,
            verifier=verifier(),
            decode=decode,
            handler=self._take_effect,
            clock=SystemClock(),
            metrics=MessagingMetrics(CollectorRegistry()),
            after_commit=lambda: None,
        )

    def close(self) -> None:
        self._consumer.close()
        self._database.close()

    def effects(self, kind: type[Fact]) -> list[Any]:
        """Consume all messages, then return the data of the applied facts of a kind."""
        while deliveries := self._consumer.take(1000, 0.3):
            self._processor.process(deliveries)
            self._consumer.acknowledge(deliveries)
            self.copies.update(delivery.message_id for delivery in deliveries)
        with self._database.read() as transaction:
            ids = list(transaction.execute(select(EFFECTS.c.message_id)).scalars())
        events = (self._events[id_] for id_ in ids)
        return [event.data for event in events if isinstance(event.data, kind)]

    def until_heard(self, kind: type[Fact]) -> Any:
        """Return the first fact of a kind."""
        until(lambda: bool(self.effects(kind)), f"{kind.__name__} is heard")
        return self.effects(kind)[0]

    def most_copies(self, kind: type[Fact]) -> int:
        """Return the highest number of copies of one message of that kind."""
        return max(n for id_, n in self.copies.items() if isinstance(self._events[id_].data, kind))

    def _take_effect(
        self, transaction: Connection, events: Sequence[Event[Fact]], now: object
    ) -> Iterable[Outgoing]:
        self._events |= {event.id: event for event in events}
        transaction.execute(insert(EFFECTS), [{"message_id": event.id} for event in events])
        return ()


class CrashHub(Neighbours):
    """The neighbour services; the directory replies to requests for its records."""

    def __init__(self, amqp_uri: str, directory: Path) -> None:
        super().__init__(amqp_uri, directory)
        self.amqp_uri = amqp_uri
        self.directory = directory

    def crashing_intake(self, *, amqp_uri: str | None = None) -> Crashing:
        for name in (SENDER, ACCEPTOR):
            key = read(SealingKey, dict(public_key(self.keys[name])))
            self.publish(
                OrganizationChanged(revision=1, organization=member(name, key=key)), partition_key=name
            )
        self.publish_transit_key()
        self._tell_token_key("intake.directory")
        crashing = Crashing("intake", self.directory, amqp_uri=amqp_uri or self.amqp_uri)
        custody = public_key(self.custody_key)
        crashing.announce({"hub": HUB, "version": "1", "custody_key": custody})
        return crashing

    def crashing_delivery(self) -> Crashing:
        self._tell_token_key("delivery.directory")
        return Crashing("delivery", self.directory, amqp_uri=self.amqp_uri)

    def crashing_vault(self) -> Crashing:
        for name in (SENDER, ACCEPTOR):
            self.publish_key(name)
        self._complete("vault.directory")
        return Crashing(
            "vault",
            self.directory,
            amqp_uri=self.amqp_uri,
            environment={"KOPURO_CUSTODY_KEY": str(self.write_custody_key())},
        )

    def crashing_routing(self) -> Crashing:
        for record in (sender_only(SENDER), *map(receiver, RECEIVERS)):
            self.publish(OrganizationChanged(revision=1, organization=record), partition_key=record.id)
        self.publish(AgreementChanged(revision=1, agreement=agreement()), partition_key="network")
        self._tell_token_key("routing.directory")
        policy = self.directory / "policy.json"
        short = {"answer": ANSWER_SECONDS, "progress": 86400}
        policy.write_text(json.dumps({"version": "short", "practice": True, str(Urgency.urgent): short}))
        return Crashing(
            "routing",
            self.directory,
            amqp_uri=self.amqp_uri,
            environment={"KOPURO_POLICY": str(policy)},
        )

    def submit(self, service: RunningService, body: Mapping[str, Any]) -> httpx.Response | None:
        """Submit the referral, always under the same Idempotency-Key; return None if there is no response."""
        sender = self.partner(SENDER, service)
        return answered(lambda: sender.submit(dict(body), key="the-only-one"))

    def referral_body(self) -> dict[str, Any]:
        return document(case=seal({"name": "N", "phones": [], "narrative": ""}, public_key(self.custody_key)))

    def mailbox(self, service: RunningService) -> list[dict[str, Any]] | None:
        """Return the messages in ACCEPTOR's mailbox; None if there is no response."""
        page = answered(lambda: self.partner(ACCEPTOR, service).mailbox(wait=20))
        return None if page is None else page["items"]

    def receipt(self, fact: EventsLogged) -> None:
        """Send a receipt to its service, as audit does."""
        message = signed_event(event_of(fact, fact.service))
        self._send([replace(message, exchange=RECEIPTS, routing_key=f"{fact.service}.receipts")])

    def _tell_token_key(self, queue: str) -> None:
        self.publish(TokenKeyChanged(revision=1, key=self.signer.public_jwk()), partition_key=self.signer.kid)
        # Sent before the service is ready: a test's planned moment must not come when a client is stored.
        for name in (SENDER, ACCEPTOR):
            self.register(name)
        self._complete(queue)
