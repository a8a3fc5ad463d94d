"""A directory and a routing process on real databases, with changes and decisions drawn at random."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from sqlalchemy import select

from contracts.codes import (
    Answer,
    CapacityStatus,
    DeclineReason,
    DisclosureClass,
    Funding,
    OrganizationKind,
    Urgency,
    Vetting,
)
from contracts.envelope import Envelope, Event
from contracts.facts import AnswerSubmitted, Fact, OfferOpened
from contracts.organization import Agreement, Capacity, Organization
from runtime.messaging.outbox.event_batch import decode_batch
from runtime.messaging.replica import Replica, ReplicaHistory
from runtime.messaging.replica_view import ReplicaView
from runtime.storage.database import Database, sqlite_url
from services.directory.adapters.tables import MESSAGING
from services.directory.offline import offline_ledger
from services.routing.adapters.policies import SqlPolicyStore
from services.routing.adapters.tables import DIRECTORY_CHANGES, REPLICA
from services.routing.domain.directory import Directory
from services.routing.domain.places import OffersPerSender
from services.routing.domain.policy import RoutingPolicy, Weights
from services.routing.domain.policy_document import ConfiguredPolicy, document_of
from services.routing.handlers.policies import LivePolicy, Policies
from services.routing.live_directory import directory_entry
from tests.support.migrated import upgrade
from tests.unit.services.routing.samples import DAY, HOUR, NOW, agreement, organization, service
from tests.unit.services.routing.workbench import Workbench, event, submitted

SENDERS = ("kg.one", "kg.two", "kg.three")
RECEIVERS = tuple(f"ru.receiver-{number}" for number in range(8))
CITIES = ("RU-MOW", "RU-SPE", "RU-TYU")


class RoutedNetwork:
    """The directory's facts reach routing's replica as they do in a hub, without the broker."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.drawn = random.Random(seed)
        self.urls = {name: sqlite_url(folder / f"{name}.sqlite") for name in ("routing", "directory")}
        for name, url in self.urls.items():
            database = Database.open(url)
            upgrade(f"services.{name}", database)
            database.close()
        self.directory = Database.open(self.urls["directory"])
        self.ledger = offline_ledger(self.directory, "kg")
        self.bench = Workbench(self.urls["routing"], ())
        self.policies = Policies(
            database=self.bench.database,
            store=SqlPolicyStore(),
            outbox=self.bench.outbox,
            source="/kg/routing",
        )
        configured = ConfiguredPolicy(document=document_of(RoutingPolicy()))
        self.live = LivePolicy(self.policies, configured, self.bench.clock, lambda: None)
        self.live.start(lambda _: None)
        self.bench.policy = self.live.current
        self.replica = Replica(
            REPLICA,
            queue="routing.directory",
            source="/kg/routing",
            secret=lambda: b"s" * 32,
            history=ReplicaHistory(table=DIRECTORY_CHANGES, entry_of=directory_entry),
        )
        # The network knows only what the directory has sent.
        self.bench.network.directory = Directory()
        self.bench.network.start(lambda _prepare: None)
        self.view = ReplicaView(
            self.bench.database, self.replica, self.bench.network.absorb, self.bench.outbox
        )
        self.read_facts = 0
        self.numbers = 0
        self.put(*(replace(organization(name), country="KG", services=()) for name in SENDERS))
        self.put(*map(self._drawn_organization, RECEIVERS))
        self.put(agreement())

    def close(self) -> None:
        self.bench.close()
        self.directory.close()

    def put(self, *entries: Organization | Agreement) -> None:
        """Change the directory, and let routing read the facts and follow them."""
        self.deliver(*entries)
        self.view.refresh(NOW)

    def deliver(self, *entries: Organization | Agreement) -> None:
        """Change the directory, and let routing read the facts. Its process does not follow them yet."""
        with self.ledger.writing() as writing:
            for entry in entries:
                if isinstance(entry, Organization):
                    writing.put(entry, by="kg.operator")
                else:
                    writing.put(entry, by="kg.operator")
        table = MESSAGING.outbox
        wanted = select(table.c.number, table.c.body).where(table.c.number > self.read_facts)
        with self.directory.read() as transaction:
            rows = transaction.execute(wanted.order_by(table.c.number)).all()
        self.read_facts = max((row.number for row in rows), default=self.read_facts)
        envelopes = [Envelope.decode(body) for row in rows for body in decode_batch(row.body)]
        changes = [one for one in envelopes if "changed" in one.type]
        with self.bench.database.write() as transaction:
            self.replica.apply(transaction, changes, NOW)

    def apply(self, **changes: object) -> None:
        """Put another policy in force."""
        self.numbers += 1
        policy = replace(RoutingPolicy(), version=f"drawn-{self.numbers}", **changes)  # type: ignore[arg-type]
        self.policies.apply(document_of(policy), by="ann", now=self.bench.clock.time)
        self.live.refresh()

    def change_something(self) -> None:
        """Change an organisation, an agreement or the policy."""
        drawn = self.drawn
        match drawn.randrange(5):
            case 0:
                self.apply(weights=Weights(nearness=drawn.random() * 9, load=drawn.random() * 9))
            case 1:
                self.apply(offers_per_sender=OffersPerSender(most=drawn.choice([2, 8, None])))
            case 2:
                disclosure = drawn.choice(list(DisclosureClass))
                parties = drawn.choice([("*",), (*SENDERS, *RECEIVERS[:4])])
                self.put(agreement(parties=parties, disclosure=disclosure))
            case _:
                self.put(*map(self._drawn_organization, drawn.sample(RECEIVERS, 2)))

    def decide(self, count: int) -> None:
        """Submit referrals, and answer some of their offers."""
        drawn, clock = self.drawn, self.bench.clock
        clock.time += drawn.choice([HOUR, 7 * HOUR, DAY])
        submissions = (self._drawn_submission() for _ in range(count))
        facts = self.bench.take(*(replace(one, time=clock.time) for one in submissions))
        offers = [fact for fact in facts if isinstance(fact, OfferOpened)]
        answers = [self._drawn_answer(offer) for offer in offers if drawn.random() < 0.6]
        if answers:
            self.bench.take(*(replace(one, time=clock.time) for one in answers))
        if drawn.random() < 0.3:
            self.bench.fire(clock.time + 4 * DAY)

    def _drawn_submission(self) -> Event[Fact]:
        drawn = self.drawn
        self.numbers += 1
        return submitted(
            f"018f0000-0000-7000-8000-{self.numbers:012d}",
            drawn.choice(SENDERS),
            region=drawn.choice(CITIES),
            urgency=drawn.choice(list(Urgency)),
            needs=drawn.choice([("legal.wage_claim",), ("legal", "health"), ("health.hiv",)]),
            languages=drawn.choice([("ky",), ("tg", "ru"), ("uz",)]),
            accepts_cost=drawn.random() < 0.5,
        )

    def _drawn_answer(self, offer: OfferOpened) -> Event[Fact]:
        what = self.drawn.choice(list(Answer))
        fact = AnswerSubmitted(
            referral_id=offer.referral_id,
            offer_id=offer.offer_id,
            organization=offer.organization,
            answer=what,
            reason=self.drawn.choice(list(DeclineReason)) if what is Answer.decline else None,
        )
        return event(fact, offer.referral_id, self.bench.clock.time)

    def _drawn_organization(self, name: str) -> Organization:
        drawn = self.drawn
        stated = Capacity(
            status=drawn.choice([CapacityStatus.capacity] * 3 + list(CapacityStatus)),
            maximum=drawn.choice([None, 2, 30]),
            updated_at=NOW - drawn.randrange(200) * DAY,
        )
        offered = service(
            areas=tuple(drawn.sample(CITIES, 2)),
            languages=tuple(drawn.sample(("ru", "ky", "tg", "uz"), 3)),
            needs=tuple(drawn.sample(("legal.wage_claim", "health.hiv", "health.primary_care"), 2)),
            cost=drawn.choice(list(Funding)),
            capacity=stated,
        )
        return organization(
            name,
            offered,
            kind=drawn.choice([OrganizationKind.ngo] * 3 + [OrganizationKind.consular_representative]),
            vetting=drawn.choice([Vetting.vetted, Vetting.vetted, Vetting.suspended]),
            parent=drawn.choice([None, "kg.one"]),
        )
