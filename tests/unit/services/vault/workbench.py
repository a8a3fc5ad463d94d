"""The vault's handlers behind real batch processors, on a real database."""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from prometheus_client import CollectorRegistry
from sqlalchemy import select

from contracts.envelope import Event, decode
from contracts.facts import Fact, OfferAccepted, SealedCaseReplaced, SealedCaseSubmitted, SealedNoteSubmitted
from contracts.organization import SealingKey
from contracts.records import read
from contracts.topology import DEAD_LETTERS
from kopuro_client.sealing import generate_key, public_key
from runtime.identifiers import new_id
from runtime.messaging.batches import BatchProcessor
from runtime.messaging.metrics import MessagingMetrics
from runtime.messaging.outbox.event_batch import decode_batch
from runtime.messaging.outbox.outbox import Outbox
from runtime.messaging.ports import Delivery
from runtime.storage.database import Database
from services.vault.adapters.custody_keys import CustodyKeyRing
from services.vault.adapters.decline_notes import SqlDeclineNotes
from services.vault.adapters.key_store import SqliteKeyStore
from services.vault.adapters.store import SqlCustodyStore
from services.vault.adapters.tables import CUSTODIES, EVIDENCE, MESSAGING, METADATA, SEALED_CASES
from services.vault.adapters.transit_keys import SqlTransitKeyStore, TransitOpener
from services.vault.domain.custody import CustodyState
from services.vault.domain.evidence import ProvenEvent, with_proof
from services.vault.domain.quiet_window import WaitingForVault
from services.vault.handlers import VaultHandlers
from services.vault.key_keeping import KeyKeeping
from tests.support.events import message_of
from tests.support.first_delivery import first_delivery
from tests.support.hub_keys import verifier
from tests.support.migrated import upgrade
from tests.support.settable_clock import SettableClock
from tests.support.stored_values import stored_values

SENDER = "kg.osh-legal-aid"
ACCEPTOR = "ru.moscow-migrant-support"
STRANGER = "uz.tashkent-union"
REFERRAL = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a01"
OFFER = "01930f6e-61b4-7f52-9d03-5c7e8a1b2c02"
CORRELATION = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a00"
NAME = "Айгерим Токтогулова"
CASE = {"name": NAME, "phones": ["+996555123456"], "narrative": "Паспорт у работодателя."}
NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
PERIOD = dt.timedelta(hours=1)  # the time after which a transit key is replaced


class Keys:
    """The organisations' key pairs; `published` holds the public keys known to the vault."""

    def __init__(self) -> None:
        self.private: dict[str, Any] = {}
        self.published: dict[str, SealingKey] = {}
        self.pauses: dict[str, dt.datetime] = {}

    def publish(self, organization: str) -> None:
        self.private[organization] = generate_key()
        self.published[organization] = read(SealingKey, dict(public_key(self.private[organization])))

    def of(self, organization: str) -> SealingKey | None:
        return self.published.get(organization)

    def accepts(self, organization: str, kid: str, now: dt.datetime) -> bool:
        key = self.published.get(organization)
        return key is not None and key.kid == kid

    def paused_until(self, organization: str) -> dt.datetime | None:
        return self.pauses.get(organization)


NOTHING_WAITS = WaitingForVault(queued=0, dead_letters=0, oldest_retry=None)


class Workbench:
    """A vault.

    sealed_messages, events: its consumers. keys: the organisations' keys, ACCEPTOR's published. key_file: the
    file with the vault's own keys. waiting: what `keeping` sees waiting for the vault.
    """

    def __init__(self, database_url: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="vault-keys-")
        self.key_file = Path(self._folder.name) / "vault.sqlite"
        self.own_keys = SqliteKeyStore(self.key_file)
        self.waiting: WaitingForVault | None = NOTHING_WAITS
        self.clock = SettableClock(NOW)
        self.custody = generate_key()
        # The keys in the vault's file of custody keys, the present one first.
        self.custody_file: list[dict[str, Any]] = [dict(self.custody)]
        self.custody_keys = CustodyKeyRing(lambda: tuple(self.custody_file))
        self.keys = Keys()
        self.keys.publish(ACCEPTOR)
        self.database = Database.open(database_url)
        upgrade("services.vault", self.database)
        self.store = SqlCustodyStore(self.own_keys, self.clock, new_id)
        self.transit_keys = SqlTransitKeyStore()
        self.keeping = self.new_keeping()
        self.handlers = VaultHandlers(
            source="/kg/vault",
            store=self.store,
            notes=SqlDeclineNotes(),
            opener=TransitOpener(self.own_keys, self.transit_keys),
            transit_keys=self.transit_keys,
            custody_keys=self.custody_keys,
            keys=self.keys,
            new_id=new_id,
        )
        metrics = MessagingMetrics(CollectorRegistry())

        def processor(
            name: str, handler: Any, decode: Callable[[bytes], Any], keep_proof: Any = None
        ) -> BatchProcessor[Any]:
            return BatchProcessor(
                name,
                (name,),
                database=self.database,
                tables=MESSAGING,
                verifier=verifier(),
                decode=decode,
                handler=handler,
                clock=self.clock,
                metrics=metrics,
                after_commit=lambda: None,
                keep_proof=keep_proof,
            )

        self.sealed_messages = processor("vault.sealed", self.handlers.sealed_messages, decode)
        self.events = processor("vault.events", self.handlers.events, ProvenEvent.decode, with_proof)

    def new_keeping(self, *, is_new: bool = False) -> KeyKeeping:
        """Return the keeping of keys as after a restart of the process."""
        return KeyKeeping(
            source="/kg/vault",
            database=self.database,
            outbox=Outbox(MESSAGING.outbox),
            store=self.store,
            transit_keys=self.transit_keys,
            keys=self.own_keys,
            clock=self.clock,
            new_id=new_id,
            period=PERIOD,
            waiting=lambda: self.waiting,
            after_commit=lambda: None,
            is_new=is_new,
        )

    def close(self) -> None:
        self.database.close()
        self.own_keys.close()
        self._folder.cleanup()

    def receive(self, *messages: Event[Fact]) -> None:
        """Process the messages: one batch of sealed messages, one batch of events."""
        sealed = [
            m
            for m in messages
            if isinstance(m.data, SealedCaseSubmitted | SealedCaseReplaced | SealedNoteSubmitted)
        ]
        events = [m for m in messages if m not in sealed]
        for processor, batch in ((self.sealed_messages, sealed), (self.events, events)):
            if batch:
                processor.process([delivery(message) for message in batch])

    def releasable(self) -> list[str]:
        with self.database.read() as transaction:
            return self.handlers.releasable(transaction, self.clock.now())

    def without_key(self) -> dict[str, int]:
        with self.database.read() as transaction:
            return self.handlers.without_key(transaction, self.clock.now())

    def release_waiting(self) -> None:
        with self.database.write() as transaction:
            released = self.handlers.release_waiting(transaction, self.clock.now())
            Outbox(MESSAGING.outbox).add(transaction, released)

    def sent(self) -> list[Event[Fact]]:
        """Return the events in the outbox, without dead letters."""
        bodies = self.bodies("kopuro.events", "kopuro.cases")
        return [decode(event) for body in bodies for event in decode_batch(body)]

    def dead_letters(self) -> int:
        return len(self.bodies(DEAD_LETTERS))

    def bodies(self, *exchanges: str) -> list[bytes]:
        with self.database.read() as transaction:
            outbox = MESSAGING.outbox
            rows = transaction.execute(
                select(outbox.c.body).where(outbox.c.exchange.in_(exchanges)).order_by(outbox.c.number)
            )
            return [bytes(body) for body in rows.scalars()]

    def state(self, referral: str = REFERRAL) -> CustodyState | None:
        with self.database.read() as transaction:
            found = transaction.execute(
                select(CUSTODIES.c.state).where(CUSTODIES.c.referral_id == referral)
            ).scalar()
        return None if found is None else CustodyState(found)

    def evidence(self, referral: str = REFERRAL) -> list[tuple[str, bytes, str]]:
        """Return type, bytes and signature of each fact that the vault acted on."""
        table = EVIDENCE.c
        with self.database.read() as transaction:
            found = select(table.type, table.body, table.signed).where(table.referral_id == referral)
            return [(row.type, bytes(row.body), row.signed) for row in transaction.execute(found)]

    def paused(self, now: dt.datetime) -> tuple[int, dt.datetime | None]:
        with self.database.read() as transaction:
            return self.store.paused(transaction, now)

    def sealed_cases(self) -> int:
        with self.database.read() as transaction:
            return len(transaction.execute(select(SEALED_CASES)).all())

    def stored(self, table: str) -> str:
        """Return every value of every row of a table; empty if there are no rows."""
        with self.database.read() as transaction:
            rows = transaction.execute(select(METADATA.tables[table])).all()
        return "\n".join(str(tuple(row)) for row in rows)

    def everything_stored(self) -> str:
        """Return every value of every row of every table."""
        return stored_values(self.database, METADATA)


def event(fact: Fact, *, time: dt.datetime = NOW, causation_id: str | None = None) -> Event[Fact]:
    key = getattr(fact, "referral_id", REFERRAL)
    return message_of(fact, key, time=time, correlation_id=CORRELATION, causation_id=causation_id)


def delivery(message: Event[Fact]) -> Delivery:
    return first_delivery(message, "vault")


def sealed_case(sealed: str, *, to: str | None = None, referral: str = REFERRAL) -> Event[Fact]:
    return event(SealedCaseSubmitted(referral_id=referral, sender=SENDER, to=to, case=sealed))


def offer_to(organization: str) -> str:
    """Return the id of the organisation's offer: each offer has an id of its own."""
    return OFFER if organization == ACCEPTOR else str(uuid5(UUID(OFFER), organization))


def acceptance(by: str = ACCEPTOR, *, referral: str = REFERRAL, offer: str | None = None) -> Event[Fact]:
    offer_id = offer or offer_to(by)
    return event(OfferAccepted(referral_id=referral, offer_id=offer_id, organization=by, sender=SENDER))


def until_a_lock_is_waited_for(vault: Workbench) -> None:
    """Wait until a transaction waits for a lock of another one."""
    deadline = time.monotonic() + 20
    while True:
        with vault.database.read() as transaction:
            if transaction.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted").scalar_one():
                return
        assert time.monotonic() < deadline
        time.sleep(0.01)


def only(kind: type[Fact], events: list[Event[Fact]]) -> Any:
    """Return the data of the only event of that type. Raises ValueError unless there is exactly one."""
    (found,) = [e.data for e in events if isinstance(e.data, kind)]
    return found


def header_change(sealed: str, change: Mapping[str, Any]) -> str:
    import json
    from base64 import urlsafe_b64decode, urlsafe_b64encode

    segment, rest = sealed.split(".", 1)
    header = json.loads(urlsafe_b64decode(segment + "=" * (-len(segment) % 4))) | dict(change)
    return urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode() + "." + rest
