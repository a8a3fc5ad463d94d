"""One simulation: its seed decides the order of the small steps and the faults in each."""

from __future__ import annotations

import datetime as dt
import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

from services.audit.adapters import tables as audit_tables
from services.delivery.adapters import tables as delivery_tables
from services.intake.adapters import tables as intake_tables
from services.routing.adapters import tables as routing_tables
from services.routing.domain.escalation_steps import Escalation, EscalationStep, StepAct
from services.routing.domain.places import OffersPerSender
from services.routing.domain.policy import FullFor, RoutingPolicy
from services.vault.adapters import tables as vault_tables
from tests.simulation.broker import UnreliableBroker
from tests.simulation.databases import Fate, Killed, MemoryDatabase
from tests.simulation.invariants import check, no_unplaced_referral_has_a_candidate
from tests.simulation.network import RECEIVERS, SENDERS, SHELTER, WAGES, the_network
from tests.simulation.partners import Partners
from tests.simulation.services import Audit, Delivery, Intake, Routing, Service, Vault
from tests.simulation.virtual_time import BEGINNING, VirtualTime
from tests.support.memory_keys import MemoryKeys
from tests.unit.services.audit.publications import MemoryPublication

_SCHEMAS = {
    "intake": intake_tables.METADATA,
    "routing": routing_tables.METADATA,
    "vault": vault_tables.METADATA,
    "delivery": delivery_tables.METADATA,
    "audit": audit_tables.METADATA,
}
_SECOND, _HOUR = dt.timedelta(seconds=1), dt.timedelta(hours=1)
_NEXT_DEADLINE = "SELECT min(deadline) FROM offers WHERE state = 'open'"
_UNPUBLISHED = "SELECT number FROM outbox LIMIT 1"
# From this seed on, acceptors refer persons onward, referrals are split and operators apply policies. The
# stories of earlier seeds stay as they were.
WIDE = 10**9
_ASK_ANOTHER = (EscalationStep(at=0.4, act=StepAct.ask_another),)
_POLICIES = (
    RoutingPolicy(),
    RoutingPolicy(version="one at once", emergency_offers=1),
    RoutingPolicy(
        version="all at once", emergency_offers=20, full_for=FullFor(emergency=60, urgent=60, routine=60)
    ),
    RoutingPolicy(version="impatient", escalation=Escalation(urgent=_ASK_ANOTHER, routine=_ASK_ANOTHER)),
    RoutingPolicy(version="bounded", offers_per_sender=OffersPerSender(most=3, withdrawn=3)),
)
# More rounds than any story needs to come to rest.
_PATIENCE = 2_000
_EVERYBODY = (*SENDERS, *RECEIVERS)


class Restless(AssertionError):
    """The services do not come to rest although all faults have ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Faults:
    """Probabilities of events, from 0 to 1."""

    commit: float
    kill: float
    wave: float
    acknowledgement: float

    @classmethod
    def drawn(cls, random: Random) -> Faults:
        """Choose no faults for some seeds, and faults of one kind or of all kinds for others."""

        def some(most: float) -> float:
            return random.choice([0.0, most / 5, most])

        return cls(commit=some(0.15), kill=some(0.05), wave=some(0.3), acknowledgement=some(0.3))


@functools.cache
def _databases() -> Mapping[str, MemoryDatabase]:
    """Return shared databases, so that each engine compiles its statements only once."""
    return {name: MemoryDatabase(name, schema) for name, schema in _SCHEMAS.items()}


class Story:
    """A hub of its own, from the first referral to the last check. Not for threads."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.time = VirtualTime()
        self.databases = _databases()
        for database in self.databases.values():
            database.fate = lambda: Fate.committed
            database.reset()
        self.broker = UnreliableBroker()
        self._faults = Faults.drawn(self.random)
        self._referrals = self.random.randint(1, 5)
        self._steps = self.random.randint(60, 240)
        # Drawn separately, so that the stories of earlier seeds stay as they were.
        self._suspends = Random(f"suspensions {seed}").random() < 0.3
        self._is_scarce = Random(f"places {seed}").random() < 0.25
        self._begins = _later_agreements(Random(f"agreements {seed}"))
        is_wide = seed >= WIDE
        self._policies = _POLICIES if is_wide and Random(f"policies {seed}").random() < 0.6 else ()
        self._onward = Random(f"onward {seed}") if is_wide else None
        splits = Random(f"splits {seed}")
        self._splits = splits if is_wide and splits.random() < 0.6 else None
        self._slow: set[str] = set()

    def tell(self) -> None:
        """Plays the story, lets it come to rest and checks it. Raises AssertionError."""
        with self.time.ruling(), _quiet():
            self._begin()
            with self._failing():
                for _ in range(self._steps):
                    self._step()
            self._heal()
            if self.random.random() < 0.5:
                self._let_everything_expire()
            self._let_agreements_begin()
            check(self.services, self.partners, self.broker, self.time.now())

    def _begin(self) -> None:
        # Consumers refuse older messages (`inbox.REMEMBERED`), and some queues are read only at the end.
        self._latest = self.time.now() + dt.timedelta(days=28)
        known = set(_EVERYBODY)
        if self.random.random() < 0.3:
            known -= set(self.random.sample(_EVERYBODY, 3))
        Vault.known = known
        Routing.suspended, Routing.begins, Routing.changes = set(), self._begins, []
        Routing.changes_policy = bool(self._policies)
        Routing.needs = {} if self._splits is None else _divided_needs(self._splits)
        Routing.maxima = dict.fromkeys(RECEIVERS, 1) if self._is_scarce else {}
        if self._is_scarce:
            self._referrals += 4
        Vault.own_keys = MemoryKeys()
        Audit.publication = MemoryPublication()
        parts = {
            kind.name: kind(self.databases[kind.name], self.broker, self.time)
            for kind in (Intake, Routing, Vault, Delivery, Audit)
        }
        self.services: Mapping[str, Service] = parts
        intake, routing, delivery = parts["intake"], parts["routing"], parts["delivery"]
        assert isinstance(intake, Intake)
        assert isinstance(routing, Routing)
        assert isinstance(delivery, Delivery)
        intake.ask = routing.answer
        self.partners = Partners(
            random=self.random,
            time=self.time,
            intake=intake,
            routing=routing,
            delivery=delivery,
            onward=self._onward,
            splits=self._splits,
        )
        self._readers = {
            queue: (service, name)
            for service in parts.values()
            for name, queues in service.consumers.items()
            for queue in queues
        }
        # Intake admits no case before it has the vault's first transit key.
        parts["vault"].turn()
        parts["vault"].publish()
        intake.consume("intake.transit_keys", 1)
        # These queues are read rarely, so that the others get far ahead.
        self._slow = {queue for queue in self._readers if self.random.random() < 0.15}

    # Steps

    def _step(self) -> None:
        """Take one small step, usually one with work to do."""
        random = self.random
        self.time.advance(_SECOND * random.choice([0.01, 0.1, 0.4]))
        unpublished = [service for service in self.services.values() if service.database.values(_UNPUBLISHED)]
        unread = [queue for queue in sorted(self.broker.ready()) if self._is_read_now(queue)]
        mail = self.partners.with_mail()
        anybody = list(self.services.values())
        choices: list[tuple[float, Callable[[], object]]] = [
            (4 if self._referrals else 0, self._refer),
            (20 if unpublished else 0, lambda: random.choice(unpublished).publish()),
            (30 if unread else 0, lambda: self._consume(random.choice(unread))),
            (15 if mail else 0, lambda: self.partners.read_mailbox(random.choice(mail))),
            (20 if self.partners.intents else 0, self.partners.act),
            (0.6, self.partners.change_mind),
            (1, self.partners.place_by_hand),
            (1, self.partners.intervene_by_hand),
            (3, lambda: random.choice(anybody).turn()),
            (2, lambda: random.choice(anybody).retry()),
            (3, self._time_passes),
            (1, self._deadline_strikes),
            (0.7, lambda: self._restart(random.choice(anybody).name)),
            (0.5 if not self.broker.down else 10, self._break_broker),
            (0.5, self._learn_key),
            (2 if self._suspends else 0, self._change_standing),
            (10 if self._routing().held_by_suspended() else 0, self.partners.move_by_hand),
            (1 if self._is_scarce else 0, self._change_capacity),
            (1.5 if self._policies else 0, self._change_policy),
        ]
        (chosen,) = random.choices([act for _, act in choices], [weight for weight, _ in choices])
        self._attempt(chosen)

    def _attempt(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Killed as killed:
            self._restart(killed.service)

    def _restart(self, service: str) -> None:
        # The process starts once it can read its database, which is as it was left.
        fate, self.databases[service].fate = self.databases[service].fate, lambda: Fate.committed
        self.services[service].start()
        self.databases[service].fate = fate

    def _refer(self) -> None:
        if self._referrals:
            self._referrals -= 1
            self.partners.want_to_refer()
            self.partners.act()

    def _is_read_now(self, queue: str) -> bool:
        if self.broker.down or queue not in self._readers:
            return False
        return queue not in self._slow or self.random.random() < 0.05

    def _consume(self, queue: str) -> None:
        service, name = self._readers[queue]
        service.consume(name, self.random.choice([1, 1, 2, 3, 5, 20, 100]))

    def _time_passes(self) -> None:
        spans = {_SECOND: 40, 12 * _SECOND: 30, _HOUR: 12, 25 * _HOUR: 8, 75 * _HOUR: 5, 400 * _HOUR: 2}
        (span,) = self.random.choices(list(spans), list(spans.values()))
        self._pass(span)

    def _pass(self, span: dt.timedelta) -> None:
        """Advance time, as far as every message that waits can still be admitted."""
        self.time.advance(min(span, max(dt.timedelta(0), self._latest - self.time.now())))

    def _deadline_strikes(self) -> None:
        """Advance time to just after the next deadline, whatever is in progress, and run the timer."""
        deadlines = self.services["routing"].database.values(_NEXT_DEADLINE)
        if deadlines[0] is not None:
            deadline = dt.datetime.fromtimestamp(deadlines[0] / 1_000_000, dt.UTC)
            self._pass(max(dt.timedelta(0), deadline - self.time.now()) + 3 * _SECOND)
            self.services["routing"].turn()

    def _break_broker(self) -> None:
        self.broker.down = not self.broker.down

    def _learn_key(self) -> None:
        vault = self.services["vault"]
        assert isinstance(vault, Vault)
        missing = sorted(set(_EVERYBODY) - vault.known)
        if missing:
            vault.learn(the_network().organizations[missing[0]])

    def _routing(self) -> Routing:
        routing = self.services["routing"]
        assert isinstance(routing, Routing)
        return routing

    def _change_standing(self) -> None:
        """The directory suspends an organisation, or readmits one."""
        routing = self._routing()
        organization = self.random.choice(sorted(routing.acceptors()) or RECEIVERS)
        (routing.readmit if organization in routing.suspended else routing.suspend)(organization)

    def _change_capacity(self) -> None:
        """An organisation states another maximum."""
        self._routing().state_capacity(self.random.choice(RECEIVERS), self.random.choice([0, 1, 1, 2, 3]))

    def _change_policy(self) -> None:
        """An operator applies another policy, or returns to an earlier one."""
        self._routing().apply_policy(self.random.choice(self._policies))

    # Faults

    @contextmanager
    def _failing(self) -> Iterator[None]:
        random, faults = self.random, self._faults

        def fate() -> Fate:
            chance = random.random()
            if chance < faults.commit:
                return random.choice([Fate.rolled_back, Fate.unknown])
            if chance < faults.commit + faults.kill:
                return random.choice([Fate.killed_before, Fate.killed_after])
            return Fate.committed

        def cut(messages: int) -> tuple[int, int] | None:
            if random.random() >= faults.wave:
                return None
            arrived = random.randint(0, messages)
            return random.randint(0, arrived), arrived

        for database in self.databases.values():
            database.fate = fate
        self.broker.cut = cut
        self.broker.loses_acknowledgement = lambda: random.random() < faults.acknowledgement
        yield
        for database in self.databases.values():
            database.fate = lambda: Fate.committed
        self.broker.cut = lambda messages: None
        self.broker.loses_acknowledgement = lambda: False

    # The end

    def _heal(self) -> None:
        """Run without faults, with all keys known, until nothing changes."""
        self.broker.down = False
        while set(_EVERYBODY) - Vault.known:
            self._learn_key()
        self._come_to_rest()

    def _come_to_rest(self) -> None:
        quiet = False
        for _ in range(_PATIENCE):
            moved = 0
            for service in self.services.values():
                if service.database.values(_UNPUBLISHED):
                    moved += service.publish()
                for name, queues in service.consumers.items():
                    if ready := self.broker.ready().keys() & set(queues):
                        moved += len(ready)
                        service.consume(name, 500)
            turned = sum(service.turn_if_due() for service in self.services.values())
            # A turn may finish what an earlier one left: audit's receipts for a log that is out already.
            said = any(service.database.values(_UNPUBLISHED) for service in self.services.values())
            if moved or turned or said:
                quiet = False
                continue
            if quiet and not any(service.postponed for service in self.services.values()):
                return
            # Retries have a due time, and routing lets nothing expire while it has just been reading.
            quiet = True
            self.time.advance(10 * _SECOND)
            for service in self.services.values():
                service.retry()
        raise Restless(f"still moving after {_PATIENCE} rounds")

    def _let_everything_expire(self) -> None:
        """Advance time, without partners, until every offer has expired."""
        for _ in range(len(RECEIVERS) + 1):
            self.time.advance(75 * _HOUR)
            self._come_to_rest()

    def _let_agreements_begin(self) -> None:
        """Advance time to each day on which an agreement begins, and let routing's timer run once then."""
        for day in sorted(set(self._begins.values())):
            begins = dt.datetime.combine(day, dt.time(), dt.UTC)
            if begins > self.time.now():
                self.time.advance(begins - self.time.now())
                self._routing().turn()
                no_unplaced_referral_has_a_candidate(self._routing(), self.time.now())
                self._come_to_rest()


def _later_agreements(random: Random) -> dict[str, dt.date]:
    """Return receivers with the day from which each has an agreement; none in most stories."""
    if random.random() >= 0.3:
        return {}
    return {
        name: BEGINNING.date() + dt.timedelta(days=random.randint(1, 40))
        for name in RECEIVERS
        if random.random() < 0.7
    }


def _divided_needs(random: Random) -> dict[str, tuple[str, ...]]:
    """Return the needs of the organisations that meet another one than the others, or both."""
    needs: dict[str, tuple[str, ...]] = {"ru.three": (SHELTER,), "ru.four": (SHELTER,)}
    if random.random() < 0.4:
        needs["ru.two"] = (WAGES, SHELTER)
    return needs


@contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
