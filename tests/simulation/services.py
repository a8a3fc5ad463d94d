"""The five services of a referral's journey, assembled as by their bootstraps but without processes.

Everything a service keeps in memory is made by `start`, so a new `start` on the same database is what a
restart after SIGKILL is.
"""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry
from sqlalchemy import MetaData

from contracts.codes import Vetting
from contracts.envelope import Envelope, decode
from contracts.errors import Unavailable
from contracts.organization import Organization
from contracts.queries import Query
from contracts.records import plain
from contracts.topology import ROUTING, ROUTING_PARTITIONS
from runtime.access.rate_limits import SubmissionRates
from runtime.clock import Clock
from runtime.identifiers import new_id
from runtime.messaging.authors import authors_in
from runtime.messaging.batches import BatchProcessor
from runtime.messaging.inbox import NoDeduplication
from runtime.messaging.memory import MemoryConsumer
from runtime.messaging.messenger import Messenger
from runtime.messaging.replica import ReplicaRecord
from runtime.messaging.signatures.reloaded_identity import ReloadedIdentity
from runtime.messaging.tables import MessagingTables
from runtime.settings import CUSTODY_MIB, KEY_PAUSE, TRANSIT_KEY_PERIOD
from runtime.storage.exclusive_lock import ExclusiveLock
from services.audit.adapters import tables as audit_tables
from services.audit.log.adapters.sql_due_receipts import SqlDueReceipts
from services.audit.log.adapters.sql_log import SqlLog
from services.audit.log.adapters.sql_publication import SqlPublicationRecord
from services.audit.log.adapters.sql_retention import SqlClosures
from services.audit.log.domain.head import Head, LogKey, origin_of
from services.audit.log.domain.note import Ed25519Signer
from services.audit.log.handlers.author_receipts import AuthorReceipts
from services.audit.log.handlers.published_log import PublishedLog
from services.audit.log.handlers.publisher import LogPublisher
from services.audit.log.handlers.receipts import Receipts
from services.audit.log.handlers.self_check import SelfCheck
from services.audit.log.handlers.sequencer import Sequencer
from services.delivery.adapters import tables as delivery_tables
from services.delivery.adapters.alert_counts import SqlAlertCounts
from services.delivery.adapters.closings import SqlClosings
from services.delivery.adapters.consumers import SqlConsumers
from services.delivery.adapters.mailbox_notifier import MailboxNotifier
from services.delivery.adapters.mailboxes import SqlMailboxes
from services.delivery.adapters.released_cases import SqlReleasedCases
from services.delivery.adapters.report_closings import SqlReportClosings
from services.delivery.delivery_records import DeliveryRecords
from services.delivery.handlers import KEPT, MailboxHandlers
from services.delivery.incoming import Incoming
from services.intake.adapters import tables as intake_tables
from services.intake.adapters.store import SqlAdmissionStore
from services.intake.adapters.transit_keys import SqlTransitKeys
from services.intake.commits import SubmissionCommits
from services.intake.domain.custody_bound import MIB
from services.intake.domain.members import member_of
from services.intake.handlers import IntakeHandlers as IntakeHandlers
from services.intake.sealed_rates import SealedRates
from services.intake.transit_key_changes import TransitKeyChanges
from services.routing.adapters import tables as routing_tables
from services.routing.adapters.placement_keys import SqlPlacementKeys
from services.routing.adapters.policies import SqlPolicyStore
from services.routing.adapters.store import SqlReferralStore
from services.routing.adapters.unanswered import SqlUnansweredEmergencies
from services.routing.api import reply_to_query
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.policy_document import ConfiguredPolicy, document_of
from services.routing.handlers.commands import RoutingCommands as RoutingCommands
from services.routing.handlers.coordinator_submissions import CoordinatorSubmissions
from services.routing.handlers.policies import LivePolicy, Policies
from services.routing.handlers.queries import RoutingQueries
from services.routing.handlers.transactions import RoutingTransactions
from services.routing.handlers.unanswered import ReportUnanswered
from services.routing.live_directory import LiveDirectory as RoutingNetwork
from services.vault.adapters import tables as vault_tables
from services.vault.adapters.custody_keys import CustodyKeyRing
from services.vault.adapters.decline_notes import SqlDeclineNotes
from services.vault.adapters.sealing_keys import SealingKeysInMemory
from services.vault.adapters.store import SqlCustodyStore
from services.vault.adapters.transit_keys import SqlTransitKeyStore, TransitOpener
from services.vault.domain.evidence import ProvenEvent, with_proof
from services.vault.handlers import VaultHandlers
from services.vault.key_keeping import KeyKeeping
from tests.simulation.broker import TOPOLOGY, ServiceConnections, UnreliableBroker
from tests.simulation.databases import MemoryDatabase
from tests.simulation.network import agreements, the_network
from tests.support.hub_keys import identity
from tests.support.memory_keys import MemoryKeys
from tests.unit.services.audit.publications import MemoryPublication

_PREFETCH = 500


class Service(ABC):
    """name and tables: the service's. Its consumers are started and killed with it.

    keeps_time: whether its turn may find something to do because time has passed.
    """

    name: str
    metadata: MetaData
    messaging: MessagingTables
    keeps_time = False

    def __init__(self, database: MemoryDatabase, broker: UnreliableBroker, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self._broker = broker
        self._processors: dict[str, BatchProcessor[Any]] = {}
        self._consumers: dict[str, MemoryConsumer] = {}
        self.start()

    def start(self) -> None:
        """Start the process, also after a SIGKILL."""
        for consumer in self._consumers.values():
            consumer.close()
        self._idle_at: tuple[int, dt.datetime | None] | None = None
        self.messenger = Messenger(
            identity=ReloadedIdentity(identity(self.name)),
            database=self.database,
            tables=self.messaging,
            broker=ServiceConnections(self._broker, self.name),
            topology=TOPOLOGY,
            clock=self.clock,
            registry=CollectorRegistry(),
            authors=authors_in(identity(self.name).manifest),
        )
        processors = [*self.build(), self.messenger.receipts]
        self._processors = {processor.consumer: processor for processor in processors}
        self._consumers = {
            name: self._broker.consumer(processor.queues, _PREFETCH)
            for name, processor in self._processors.items()
        }

    @abstractmethod
    def build(self) -> Iterable[BatchProcessor[Any]]:
        """Create the handlers again; return the consumers' processors."""

    @property
    def consumers(self) -> dict[str, tuple[str, ...]]:
        """Return the queues of each consumer."""
        return {name: tuple(processor.queues) for name, processor in self._processors.items()}

    def consume(self, name: str, most: int) -> None:
        """One turn of a consumer's loop (`runtime.entrypoints.batches`)."""
        consumer = self._consumers[name]
        try:
            if deliveries := consumer.take(most, 0):
                self._processors[name].process(deliveries)
                consumer.acknowledge(deliveries)
        except Unavailable:
            consumer.close()

    def publish(self) -> int:
        """One turn of the relay's loop; returns how many messages left the outbox."""
        try:
            return self.messenger.relay.publish_wave()
        except Unavailable:
            return 0

    def retry(self) -> int:
        """One tick of the messenger's timer; returns how many messages were due."""
        if not self.postponed:
            return 0
        try:
            return sum(processor.retry_due() for processor in self._processors.values())
        except Unavailable:
            return 0

    @property
    def postponed(self) -> int:
        """Return the number of messages that wait for a retry."""
        return int(self.database.values("SELECT count(*) FROM retries")[0])

    def turn(self) -> int:
        """Run the service's timers; return the number of actions."""
        return 0

    def turn_if_due(self) -> int:
        """Like `turn` without faults: an idle timer is called again only after a change or later."""
        if self._place() == self._idle_at:
            return 0
        turned = self.turn()
        self._idle_at = None if turned else self._place()
        return turned

    def _place(self) -> tuple[int, dt.datetime | None]:
        return self.database.changes, self.clock.now() if self.keeps_time else None


class Intake(Service):
    name = "intake"
    metadata, messaging = intake_tables.METADATA, intake_tables.MESSAGING
    ask: Callable[[Query], Any]

    def build(self) -> Iterable[BatchProcessor[Any]]:
        network = the_network()
        members = {name: member_of(known) for name, known in network.organizations.items()}
        self.handlers = IntakeHandlers(
            database=self.database,
            store=SqlAdmissionStore(),
            commits=SubmissionCommits(
                database=self.database,
                store=SqlAdmissionStore(),
                outbox=self.messenger.outbox,
                transit_keys=SqlTransitKeys(self.database, process=new_id()),
                backlog=lambda: 0,
                after_commit=self.messenger.wake,
                rates=SubmissionRates(per_minute=60, burst=1_000_000),
                sealed=SealedRates(CUSTODY_MIB),
                custody_bytes=CUSTODY_MIB * MIB,
            ),
            referrals=_Asked(self),
            members=members.get,
            custody_kids=lambda: (network.custody_kid,),
            hub_country="KG",
        )
        changes = TransitKeyChanges(
            source=self.messenger.source,
            keys=SqlTransitKeys(self.database, process=new_id()),
            new_id=new_id,
        )
        return [
            self.messenger.consumer("intake.offers", self.handlers.note_offers, Envelope.decode),
            self.messenger.consumer("intake.transit_keys", changes.receive, decode),
        ]


class _Asked:
    """Routing over the broker, without the broker: a question is lost with its process, never doubled."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def ask(self, query: Query) -> Any:
        return self._intake.ask(query)


class Routing(Service):
    """Routing, with its copy of the directory.

    suspended: the organisations that are suspended in the copy. maxima: the capacity of an organisation's
    services in the copy, by organisation; others state no maximum. begins: the days from which receivers
    have an agreement with the senders; the others always have one. changes: of the copy, each with its
    number. needs: what an organisation's services meet, if it is not a wage claim.
    changes_policy: whether operators apply policies; otherwise the default one is in force.
    """

    name = "routing"
    keeps_time = True
    metadata, messaging = routing_tables.METADATA, routing_tables.MESSAGING
    suspended: set[str]
    maxima: dict[str, int]
    begins: dict[str, dt.date]
    needs: dict[str, tuple[str, ...]]
    changes: list[ReplicaRecord]
    changes_policy: bool

    def build(self) -> Iterable[BatchProcessor[Any]]:
        self.network = RoutingNetwork()
        if not self.changes:
            self.changes += [*the_network().records.values(), *agreements(self.begins)]
            for organization in sorted(self.suspended | self.maxima.keys() | self.needs.keys()):
                self._change_standing(organization)
        self.network.absorb(self.changes)
        store = SqlReferralStore()
        self.policies = Policies(
            database=self.database,
            store=SqlPolicyStore(),
            outbox=self.messenger.outbox,
            source=self.messenger.source,
        )
        self._live = LivePolicy(
            self.policies,
            ConfiguredPolicy(document=document_of(RoutingPolicy())),
            self.clock,
            self.messenger.wake,
        )
        if self.changes_policy:
            self._live.start(lambda _: None)
        policy = self._live.current if self.changes_policy else RoutingPolicy
        self.queries = RoutingQueries(database=self.database, store=store, directory=self.network.directory)
        self.commands = RoutingCommands(
            database=self.database,
            store=store,
            network=self.network,
            transactions=RoutingTransactions(
                database=self.database,
                store=store,
                outbox=self.messenger.outbox,
                network=self.network,
                has_live_client=lambda _: True,
                policy=policy,
                source=self.messenger.source,
                after_commit=self.messenger.wake,
            ),
            coordinators=CoordinatorSubmissions(
                database=self.database,
                store=store,
                keys=SqlPlacementKeys(),
                outbox=self.messenger.outbox,
                source=self.messenger.source,
                after_commit=self.messenger.wake,
            ),
        )
        self.unanswered = ReportUnanswered(
            database=self.database,
            store=store,
            emergencies=SqlUnansweredEmergencies(),
            outbox=self.messenger.outbox,
            policy=policy,
            source=self.messenger.source,
            clock=self.clock,
            after_commit=self.messenger.wake,
        )
        self.commands.recall()
        return [self.messenger.consumer(ROUTING, self.commands.take_facts, decode, queues=ROUTING_PARTITIONS)]

    def answer(self, query: Query) -> Any:
        return plain(reply_to_query(self.queries, query.wire()))

    def suspend(self, organization: str) -> None:
        """The directory's record of a suspended organisation arrives."""
        self.suspended.add(organization)
        self._absorb_standing(organization)

    def readmit(self, organization: str) -> None:
        """The directory's record of a readmitted organisation arrives."""
        self.suspended.discard(organization)
        self._absorb_standing(organization)

    def apply_policy(self, policy: RoutingPolicy) -> None:
        """An operator applies a policy; this process reads it some time later."""
        try:
            self.policies.apply(document_of(policy), by="kg.operator", now=self.clock.now())
        except Unavailable:
            return

    def state_capacity(self, organization: str, maximum: int) -> None:
        """The directory's record of an organisation with another capacity arrives."""
        self.maxima[organization] = maximum
        self._absorb_standing(organization)

    def held_by_suspended(self) -> list[str]:
        """Return the open referrals whose acceptors are suspended."""
        return sorted(
            referral
            for organization, referrals in self.acceptors().items()
            for referral in referrals
            if organization in self.suspended
        )

    def acceptors(self) -> dict[str, list[str]]:
        """Return acceptor -> its open referrals."""
        rows = self.database.values(
            "SELECT acceptor || ' ' || id FROM referrals"
            " WHERE status IN ('accepted', 'in_progress', 'on_hold')"
        )
        found: dict[str, list[str]] = {}
        for organization, referral in map(str.split, rows):
            found.setdefault(organization, []).append(referral)
        return found

    def awaited(self) -> list[tuple[str, str]]:
        """Return (referral, organisation) of the open offers and of the acceptors."""
        offers = self.database.values(
            "SELECT referral_id || ' ' || organization FROM offers WHERE state = 'open'"
        )
        open_offers = [(referral, organization) for referral, organization in map(str.split, offers)]
        held = [(one, acceptor) for acceptor, referrals in self.acceptors().items() for one in referrals]
        return sorted(open_offers + held)

    def turn(self) -> int:
        """Run the due timers."""
        try:
            if self.changes_policy:
                self._live.refresh()
            acted = self.commands.act_on_suspensions(self.clock.now())
            fired = self.commands.fire_deadlines(self.clock.now())
            ended = self.commands.end_uncovered_offers(self.clock.now())
            told = self.unanswered.turn()
            return fired + acted + ended + told + self.commands.decide_unplaced_again(self.clock.now())
        except Unavailable:
            return 0

    def _absorb_standing(self, organization: str) -> None:
        self.network.absorb([self._change_standing(organization)])

    def _change_standing(self, organization: str) -> ReplicaRecord:
        """Return the next change of the copy: the organisation's record as it is now."""
        known = the_network().organizations[organization]
        if organization in self.suspended:
            known = replace(known, vetting=Vetting.suspended)
        if (maximum := self.maxima.get(organization)) is not None:
            services = tuple(
                replace(one, capacity=replace(one.capacity, maximum=maximum)) for one in known.services
            )
            known = replace(known, services=services)
        if (needs := self.needs.get(organization)) is not None:
            known = replace(known, services=tuple(replace(one, needs=needs) for one in known.services))
        change = self.changes[-1].change + 1
        data = {"revision": change, "organization": plain(known)}
        self.changes.append(replace(the_network().records[organization], change=change, data=data))
        return self.changes[-1]


class Vault(Service):
    """known: whose keys its copy of the directory has; it may lag behind routing's.

    own_keys: its key store, which outlives the process.
    """

    name = "vault"
    keeps_time = True
    metadata, messaging = vault_tables.METADATA, vault_tables.MESSAGING
    known: set[str]
    own_keys: MemoryKeys

    def build(self) -> Iterable[BatchProcessor[Any]]:
        store = SqlCustodyStore(self.own_keys, self.clock, new_id)
        transit_keys = SqlTransitKeyStore()
        self.keeping = KeyKeeping(
            source=self.messenger.source,
            database=self.database,
            outbox=self.messenger.outbox,
            store=store,
            transit_keys=transit_keys,
            keys=self.own_keys,
            clock=self.clock,
            new_id=new_id,
            period=TRANSIT_KEY_PERIOD,
            # The vault looks too rarely here to know that nothing has been waiting.
            waiting=lambda: None,
            after_commit=self.messenger.wake,
        )
        self._keys = SealingKeysInMemory(changed=lambda: None, pause=KEY_PAUSE)
        self._keys.absorb([the_network().records[name] for name in sorted(self.known)])
        self.handlers = VaultHandlers(
            source=self.messenger.source,
            store=store,
            notes=SqlDeclineNotes(),
            opener=TransitOpener(self.own_keys, transit_keys),
            transit_keys=transit_keys,
            custody_keys=CustodyKeyRing(lambda: (the_network().custody,)),
            keys=self._keys,
            new_id=new_id,
        )
        return [
            self.messenger.consumer("vault.sealed", self.handlers.sealed_messages, decode),
            self.messenger.consumer(
                "vault.events", self.handlers.events, ProvenEvent.decode, keep_proof=with_proof
            ),
        ]

    def learn(self, organization: Organization) -> None:
        """The directory's record of an organisation arrives."""
        self.known.add(organization.id)
        self._keys.absorb([the_network().records[organization.id]])

    def turn(self) -> int:
        """Release the cases that waited for a key; make and destroy keys."""
        try:
            changes = self.keeping.run()
            with self.database.write() as transaction:
                released = list(self.handlers.release_waiting(transaction, self.clock.now()))
                self.messenger.outbox.add(transaction, released)
        except Unavailable:
            return 0
        return len(released) + changes


class Delivery(Service):
    name = "delivery"
    metadata, messaging = delivery_tables.METADATA, delivery_tables.MESSAGING

    def build(self) -> Iterable[BatchProcessor[Any]]:
        mailboxes, cases, closings = SqlMailboxes(), SqlReleasedCases(), SqlClosings()
        reports = SqlReportClosings()
        records = DeliveryRecords(
            source=self.messenger.source,
            outbox=self.messenger.outbox,
            mailboxes=mailboxes,
            clock=self.clock,
            new_id=new_id,
        )
        self.handlers = MailboxHandlers(
            source=self.messenger.source,
            database=self.database,
            mailboxes=mailboxes,
            consumers=SqlConsumers(),
            cases=cases,
            closings=closings,
            reports=reports,
            records=records,
            notifier=MailboxNotifier(self.database, mailboxes),
            clock=self.clock,
            after_commit=self.messenger.wake,
            is_barred=lambda _: False,
            messages_kept=KEPT,
        )
        incoming = Incoming(
            source=self.messenger.source,
            mailboxes=mailboxes,
            cases=cases,
            closings=closings,
            reports=reports,
            alerts=SqlAlertCounts(),
            new_id=new_id,
        )
        return [
            self.messenger.consumer("delivery.events", incoming.events, Envelope.decode),
            self.messenger.consumer("delivery.sealed", incoming.sealed_messages, decode),
        ]


class Audit(Service):
    """publication: the log's files, which outlive the process as the database does."""

    name = "audit"
    metadata, messaging = audit_tables.METADATA, audit_tables.MESSAGING
    key = LogKey(
        signer=Ed25519Signer(
            name=origin_of("kg"),
            private_key=Ed25519PrivateKey.from_private_bytes(b"simulated log key 32 bytes long."),
        )
    )
    publication: MemoryPublication

    def build(self) -> Iterable[BatchProcessor[Any]]:
        log = SqlLog()
        self._published = PublishedLog(self.publication, self.key)
        self._publisher = LogPublisher(
            database=self.database,
            log=log,
            record=SqlPublicationRecord(),
            publication=self.publication,
            published=self._published,
            lease=ExclusiveLock(self.database, 0),
            outbox=self.messenger.outbox,
            after_publish=Receipts(
                log=log, published=self._published, source=self.messenger.source, clock=self.clock
            ),
            after_commit=self.messenger.wake,
        )
        self._publisher.begin(self.check())
        self._author_receipts = AuthorReceipts(
            database=self.database,
            due=SqlDueReceipts(),
            published=self._published,
            works=lambda: True,
            outbox=self.messenger.outbox,
            source=self.messenger.source,
            clock=self.clock,
            after_commit=self.messenger.wake,
        )
        # Salts decide nothing here, and thousands of them cost much time.
        sequencer = Sequencer(log, self.key, lambda length: bytes(length), SqlClosures(), SqlDueReceipts())
        return [
            self.messenger.consumer(
                "audit.log", sequencer.append, Envelope.decode, deduplicator=NoDeduplication()
            )
        ]

    def check(self) -> Head:
        """Check that every entry is covered by the signature. Raises LogDamaged."""
        return SelfCheck(self.database, SqlLog(), self.key, self.clock).run()

    def published_size(self) -> int:
        return self._published.size

    def turn(self) -> int:
        """Publish the appended entries."""
        before = self._published.size
        try:
            self._publisher.turn()
            self._author_receipts.turn()
        except Unavailable:
            return 0
        return self._published.size - before
