"""Routing's handlers behind a real batch processor on a real database, in the test process."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, select

from contracts.codes import Answer
from contracts.envelope import Event, decode
from contracts.facts import (
    AgreementChanged,
    AnswerSubmitted,
    DecisionsRecorded,
    Fact,
    OfferOpened,
    OrganizationChanged,
    ReferralSubmitted,
    RoutingPolicyApplied,
)
from contracts.organization import Organization
from contracts.records import plain
from contracts.topology import ROUTING, ROUTING_PARTITIONS
from runtime.messaging.batches import BatchProcessor
from runtime.messaging.metrics import MessagingMetrics
from runtime.messaging.outbox.event_batch import decode_batch
from runtime.messaging.outbox.outbox import Outbox
from runtime.messaging.ports import Delivery
from runtime.messaging.replica import ReplicaRecord
from runtime.storage.database import Database
from services.routing.adapters.placement_keys import SqlPlacementKeys
from services.routing.adapters.store import SqlReferralStore
from services.routing.adapters.tables import MESSAGING
from services.routing.domain.fairness import Fairness
from services.routing.domain.observation import Observation
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.tally import Tally
from services.routing.handlers.commands import RoutingCommands
from services.routing.handlers.coordination_queries import CoordinationQueries
from services.routing.handlers.coordinator_submissions import CoordinatorSubmissions
from services.routing.handlers.decision_spans import Decided
from services.routing.handlers.network_queries import NetworkQueries
from services.routing.handlers.queries import RoutingQueries
from services.routing.handlers.transactions import RoutingTransactions
from services.routing.live_directory import LiveDirectory
from tests.support.events import message_of
from tests.support.first_delivery import first_delivery
from tests.support.hub_keys import verifier
from tests.support.migrated import upgrade
from tests.support.settable_clock import SettableClock
from tests.unit.services.routing.samples import NOW, SENDER, agreement, facts, organization


class Workbench:
    """The handlers of one routing process. A second workbench on a database acts as a second process."""

    def __init__(self, database_url: str, receivers: Iterable[Organization | str]) -> None:
        self.database = Database.open(database_url)
        self.store = SqlReferralStore()
        self.clock = SettableClock(NOW)
        self.network = LiveDirectory()
        self.woken = 0
        self._count: Callable[[Tally], None] = lambda tally: None
        # Random referral ids must not decide who is asked.
        self.policy: Callable[[], RoutingPolicy] = lambda: RoutingPolicy(fairness=Fairness(explore=0.0))
        # Organisations without a live client.
        self.without_client: set[str] = set()
        self.outbox = Outbox(MESSAGING.outbox)
        self.queries = RoutingQueries(
            database=self.database, store=self.store, directory=self.network.directory
        )
        self.decided: list[Decided] = []
        self.commands = RoutingCommands(
            database=self.database,
            store=self.store,
            network=self.network,
            transactions=RoutingTransactions(
                database=self.database,
                store=self.store,
                outbox=self.outbox,
                network=self.network,
                has_live_client=lambda organization: organization not in self.without_client,
                policy=lambda: self.policy(),
                source="/kg/routing",
                after_commit=self._wake,
                count=lambda tally: self._count(tally),
                report=self.decided.extend,
            ),
            coordinators=CoordinatorSubmissions(
                database=self.database,
                store=self.store,
                keys=SqlPlacementKeys(),
                outbox=self.outbox,
                source="/kg/routing",
                after_commit=self._wake,
            ),
        )
        self.coordination = CoordinationQueries(
            database=self.database,
            store=self.store,
            directory=self.network.directory,
            consider=self.commands.consider,
            circumstances=self.commands.circumstances,
        )
        self.whole_network = NetworkQueries(
            database=self.database,
            store=self.store,
            network=self.network,
            consider=self.commands.consider,
        )
        self.processor = BatchProcessor(
            ROUTING,
            ROUTING_PARTITIONS,
            database=self.database,
            tables=MESSAGING,
            verifier=verifier(),
            decode=decode,
            handler=self.commands.take_facts,
            clock=self.clock,
            metrics=MessagingMetrics(CollectorRegistry()),
            after_commit=self._wake,
        )
        self.absorb([sender(SENDER), *receivers])

    def _wake(self) -> None:
        self.woken += 1

    def counted_by(self, count: Callable[[Tally], None]) -> None:
        """Pass the sums of each committed transaction to `count`."""
        self._count = count

    def absorb(self, receivers: Iterable[Organization | str]) -> None:
        """Load the directory as the replica delivers it, as JSON values."""
        known = [organization(r) if isinstance(r, str) else r for r in receivers]
        records = [
            ReplicaRecord(
                type=OrganizationChanged.type,
                key=o.id,
                change=n,
                data={"revision": n, "organization": plain(o)},
            )
            for n, o in enumerate(known, self.network.directory.version + 1)
        ]
        memorandum = {"agreement": plain(agreement())}
        change = self.network.directory.version + len(records) + 1
        records.append(
            ReplicaRecord(type=AgreementChanged.type, key="network", change=change, data=memorandum)
        )
        self.network.absorb(records)

    def close(self) -> None:
        self.database.close()

    def take(self, *events: Event[Fact]) -> list[Fact]:
        """Process one batch, not before its events were made; return the published facts."""
        self.clock.time = max([self.clock.time, *(event.time for event in events)])
        known = {event.id for event in self.published()}
        self.processor.process([delivery(event) for event in events])
        return [event.data for event in self.published() if event.id not in known]

    def fire(self, at: dt.datetime) -> list[Fact]:
        """Fire the deadlines; return the published facts."""
        known = {event.id for event in self.published()}
        self.clock.time = at
        self.commands.fire_deadlines(at)
        return [event.data for event in self.published() if event.id not in known]

    def published(self) -> list[Event[Fact]]:
        """Return the events about referrals in the outbox."""
        about_no_referral = (DecisionsRecorded, RoutingPolicyApplied)
        return [event for event in self.outbox_events() if not isinstance(event.data, about_no_referral)]

    def committed(self) -> dict[str, str]:
        """Return the published commitments to decisions, by decision id."""
        recorded = [event.data for event in self.outbox_events()]
        commitments = [one.decisions for one in recorded if isinstance(one, DecisionsRecorded)]
        return {one.decision_id: one.commitment for decisions in commitments for one in decisions}

    def bodies(self) -> list[bytes]:
        """Return the bodies of all events in the outbox."""
        table = MESSAGING.outbox
        with self.database.read() as transaction:
            bodies = transaction.execute(select(table.c.body).order_by(table.c.number)).scalars().all()
        return [event for body in bodies for event in decode_batch(body)]

    def outbox_events(self) -> list[Event[Fact]]:
        """Return all events in the outbox."""
        return [decode(body) for body in self.bodies()]

    def observations(self) -> dict[str, Observation]:
        with self.database.read() as transaction:
            return self.store.observations(transaction)


def sender(name: str) -> Organization:
    """An organisation without services."""
    return replace(organization(name), services=())


def workbench(database_url: str, *receivers: Organization | str) -> Workbench:
    """Migrate the database and return a workbench on it."""
    database = Database.open(database_url)
    upgrade("services.routing", database)
    database.close()
    return Workbench(database_url, receivers or ("ru.one", "ru.two", "ru.three"))


def event(fact: Fact, referral_id: str, at: dt.datetime = NOW) -> Event[Fact]:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    return message_of(fact, referral_id, time=at, source="/kg/intake", traceparent=traceparent)


def accepted_by(offer: OfferOpened) -> Event[Fact]:
    """Return the acceptance of the offer by its organisation."""
    answer = AnswerSubmitted(
        referral_id=offer.referral_id,
        offer_id=offer.offer_id,
        organization=offer.organization,
        answer=Answer.accept,
    )
    return event(answer, offer.referral_id)


def asked_for(monkeypatch: pytest.MonkeyPatch, store: SqlReferralStore, method: str) -> list[list[str]]:
    """Return the referrals that each call of the store's method from now on is given; it is still made."""
    asked: list[list[str]] = []
    real = getattr(store, method)

    def noted(transaction: Connection, ids: Iterable[str]) -> Any:
        asked.append(list(ids))
        return real(transaction, asked[-1])

    monkeypatch.setattr(store, method, noted)
    return asked


def delivery(submission: Event[Fact]) -> Delivery:
    return first_delivery(submission, ROUTING_PARTITIONS[0])


def submitted(referral_id: str, sender: str = SENDER, **changes: object) -> Event[Fact]:
    submission = ReferralSubmitted(referral_id=referral_id, sender=sender, facts=facts(**changes))
    return event(submission, referral_id)


def opened(published: Iterable[Fact]) -> list[OfferOpened]:
    return [fact for fact in published if isinstance(fact, OfferOpened)]
