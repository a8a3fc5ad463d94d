"""Stand-ins for the other services of a hub (intake, routing, the directory), on a real broker."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from joserfc.jwk import OKPKey

from contracts.codes import OrganizationKind, Vetting
from contracts.envelope import Event, decode
from contracts.facts import (
    Fact,
    OfferAccepted,
    OfferOpened,
    OfferRevoked,
    OrganizationChanged,
    ReplicaCompleted,
    SealedCaseSubmitted,
    TokenKeyChanged,
)
from contracts.organization import Organization, SealingKey
from contracts.records import read
from contracts.topology import DIRECT, hub_topology
from kopuro_client.sealing import generate_key, public_key, seal
from runtime.access.signer import TokenSigner
from runtime.access.tokens import issuer_of
from runtime.identifiers import new_id
from runtime.messaging.ports import Outgoing
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.storage.database import Database
from tests.processes import HUB, RunningService
from tests.support.events import message_of
from tests.support.hub_keys import signed_event
from tests.support.migrated import upgrade
from tests.support.partners import Partner, client_id_of, registered, signed_token
from tests.support.pauses import pauses
from tests.support.transit_secrets import TransitSecrets
from tests.unit.services.routing.samples import HOUR, NOW, facts

SENDER, ACCEPTOR, STRANGER = "kg.osh-legal-aid", "kg.bishkek-union", "kg.batken-library"
NAME = "Айгерим Токтогулова"
WAIT_SECONDS = 20.0

T = TypeVar("T")


class Neighbours:
    """The services around the one under test.

    keys: each organisation's private sealing key, published or not.
    """

    def __init__(self, amqp_uri: str, directory: Path) -> None:
        self.amqp_uri = amqp_uri
        self._directory = directory
        self._broker = RabbitBroker(amqp_uri)
        self._broker.declare(hub_topology())
        self._publisher = self._broker.publisher()
        self._revision = 0
        self._registered: set[tuple[str, str]] = set()
        self.keys = {name: generate_key() for name in (SENDER, ACCEPTOR, STRANGER)}
        self.custody_key = generate_key()
        self.transit = TransitSecrets()
        key = OKPKey.generate_key("Ed25519", private=True)
        self.signer = TokenSigner(key.as_dict(private=True), issuer_of(HUB))

    # The services under test

    def vault(self, database_url: str) -> RunningService:
        """Prepare a vault whose directory lacks only STRANGER's key. Enter the context to start it."""
        key_file = self.write_custody_key()
        for organization in (SENDER, ACCEPTOR):
            self.publish_key(organization)
        self._complete("vault.directory")
        environment = {"KOPURO_CUSTODY_KEY": str(key_file)}
        return self._service("services.vault", database_url, environment)

    def write_custody_key(self) -> Path:
        """Write the current custody key to the vault's key file."""
        file = self._directory / "custody_key.json"
        file.write_text(json.dumps(self.custody_key))
        return file

    def delivery(self, database_url: str) -> RunningService:
        """Prepare a delivery service with a complete directory. Enter the context to start it."""
        key = TokenKeyChanged(revision=1, key=self.signer.public_jwk())
        self.publish(key, partition_key=self.signer.kid)
        self._complete("delivery.directory")
        return self._service("services.delivery", database_url, {})

    def _service(self, package: str, database_url: str, environment: dict[str, str]) -> RunningService:
        database = Database.open(database_url)
        upgrade(package, database)
        database.close()
        directory = self._directory / package
        directory.mkdir()
        return RunningService(
            package,
            directory,
            amqp_uri=self.amqp_uri,
            database_url=database_url,
            environment=environment,
        )

    def publish_transit_key(self) -> None:
        """Publish a transit key to intake, as the vault does."""
        key = self.transit.new(dt.datetime.now(dt.UTC))
        self.publish(key, partition_key=key.kid)

    # Messages that the stand-ins publish

    def publish(self, fact: Fact, *, partition_key: str | None = None) -> Event[Fact]:
        """Publish one fact; return when the broker has confirmed it."""
        event = event_of(fact, partition_key)
        self._send([signed_event(event)])
        return event

    def publish_all(self, facts: list[Fact]) -> None:
        """Publish many facts; return when the broker has confirmed them all."""
        self._send([signed_event(event_of(fact)) for fact in facts])

    def publish_key(self, organization: str) -> None:
        """Publish the directory record of an organisation with its sealing key."""
        self._revision += 1
        record = Organization(
            id=organization,
            name=organization,
            kind=OrganizationKind.ngo,
            country="KG",
            vetting=Vetting.vetted,
            sealing_key=read(SealingKey, dict(public_key(self.keys[organization]))),
        )
        changed = OrganizationChanged(revision=self._revision, organization=record)
        self.publish(changed, partition_key=organization)

    def _complete(self, queue: str) -> None:
        event = event_of(ReplicaCompleted(queue=queue, records=1), queue)
        self._send([replace(signed_event(event), exchange=DIRECT, routing_key=queue)])

    def _send(self, messages: Sequence[Outgoing]) -> None:
        # The broker has ended a connection that was silent while a test did something else.
        self._publisher.tend()
        self._publisher.publish(messages)

    def sealed_case(
        self, referral_id: str, narrative: str = "Паспорт у работодателя."
    ) -> SealedCaseSubmitted:
        """Return a case sealed to the hub."""
        case = {"name": NAME, "phones": ["+996555123456"], "narrative": narrative}
        sealed = seal(case, public_key(self.custody_key))
        return SealedCaseSubmitted(referral_id=referral_id, sender=SENDER, to=None, case=sealed)

    # Messages that the stand-ins consume

    def hear(self, queue: str, until: Callable[[list[Event[Fact]]], bool]) -> list[Event[Fact]]:
        """Consume a queue that no process consumes, until the condition holds; return all events."""
        consumer = self._broker.consumer([queue], 1000)
        received: list[Event[Fact]] = []
        deadline = time.monotonic() + WAIT_SECONDS
        try:
            while not until(received):
                assert time.monotonic() < deadline, [event.type for event in received]
                deliveries = consumer.take(1000, 0.2)
                consumer.acknowledge(deliveries)
                received += [decode(delivery.body) for delivery in deliveries]
        finally:
            consumer.close()
        return received

    # Clients of the services under test

    def register(self, who: str, role: str = "partner") -> None:
        """Announce the client of an organisation or a staff member to the services, once."""
        if (who, role) not in self._registered:
            self._registered.add((who, role))
            self.publish(registered(who, role), partition_key=client_id_of(who, role))

    def partner(self, who: str, *services: RunningService, role: str = "partner") -> Partner:
        """Return a client of these services for an organisation or a staff member."""
        self.register(who, role)
        addresses = {service.name: service.url for service in services}
        return Partner(addresses.__getitem__, lambda: signed_token(self.signer, who, role=role))


def event_of(fact: Fact, partition_key: str | None = None) -> Event[Fact]:
    """Return the fact in an envelope. partition_key: by default the referral id."""
    return message_of(fact, partition_key)


def accepted(referral_id: str, by: str = ACCEPTOR) -> OfferAccepted:
    return OfferAccepted(referral_id=referral_id, offer_id=new_id(), organization=by, sender=SENDER)


def opened() -> OfferOpened:
    return OfferOpened(
        referral_id=new_id(),
        offer_id=new_id(),
        organization=ACCEPTOR,
        sender=SENDER,
        rank=1,
        opened_at=NOW,
        deadline=NOW + HOUR,
        facts=facts().situation(),
    )


def revoked(organization: str = ACCEPTOR) -> OfferRevoked:
    return OfferRevoked(
        referral_id=new_id(),
        offer_id=new_id(),
        organization=organization,
        sender=SENDER,
        reason="accepted_elsewhere",
    )


def until(look: Callable[[], T | None], what: str) -> T:
    """Poll `look` until it returns something other than None, and return that. Fails with `what`."""
    deadline = time.monotonic() + WAIT_SECONDS
    between = pauses()
    while (found := look()) is None:
        assert time.monotonic() < deadline, what
        time.sleep(next(between))
    return found


def kinds(events: list[Event[Fact]], kind: type[Fact]) -> list[Any]:
    """Return the data of the events of one type."""
    return [event.data for event in events if isinstance(event.data, kind)]
