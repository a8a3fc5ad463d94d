"""A directory that crashes and restarts, an operator who changes it, and a replica of it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import CollectorRegistry
from sqlalchemy import select

from contracts.envelope import Envelope
from contracts.facts import ReplicaCompleted, ReplicaRequested
from contracts.records import plain
from contracts.topology import hub_topology
from runtime.access.signer import TokenSigner
from runtime.access.tokens import issuer_of
from runtime.clock import SystemClock
from runtime.messaging.batches import BatchProcessor
from runtime.messaging.metrics import MessagingMetrics
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.messaging.replica import Replica
from runtime.storage.database import Database
from services.directory import admission
from services.directory.adapters.approvals import SqlApprovalStore
from services.directory.adapters.register import SqlRegister
from services.directory.adapters.request_proofs import SqlProofKeyStore
from services.directory.adapters.tables import REVISIONS
from services.directory.domain.approval import Policy
from services.directory.domain.client import Client
from services.directory.domain.entry import Subject
from services.directory.domain.full_state import full_state, subjects_for
from services.directory.domain.request_proof import public_proof_key
from services.directory.handlers.approvals import Approvals
from services.directory.handlers.change_rates import ChangeRates
from services.directory.handlers.entries import Entries
from services.directory.offline import offline_ledger
from tests.crash.crashing import Crashing, until
from tests.messaging.consumer_harness import METADATA, REPLICA, TABLES
from tests.processes import HUB
from tests.services.neighbours import event_of
from tests.support.hub_keys import signed_event, verifier
from tests.support.partners import Partner, answered, ask_for_token
from tests.unit.services.directory.samples import OSH, new_signing_key, organization_record

OPERATOR = "kg.operator"
SECRET = "an-invented-secret-of-at-least-32-characters"
# The replica queue that receives every kind of published entry.
COPY = "routing.directory"

# The contents of a replica: revision and content by type and key.
Records = Mapping[tuple[str, str], tuple[int, Mapping[str, Any]]]


class CrashingDirectory(Crashing):
    """A directory whose database has OSH (revision 1) and the credentials of OSH and an operator."""

    def __init__(self, amqp_uri: str, directory: Path) -> None:
        RabbitBroker(amqp_uri).declare(hub_topology())
        self._key_file = directory / "signing-key.json"
        self.change_signing_key()
        super().__init__(
            "directory",
            directory,
            amqp_uri=amqp_uri,
            environment={"KOPURO_TOKEN_SIGNING_KEY": str(self._key_file), "KOPURO_APPROVALS": "one-person"},
        )
        self._database = Database.open(f"sqlite:///{directory / 'directory.sqlite'}")
        ledger = offline_ledger(self._database, HUB)
        rates = ChangeRates()
        approvals = Approvals(ledger, SqlApprovalStore(), Policy.one_person, rates)
        entries = Entries(ledger, approvals, rates)
        entries.enter(
            type(osh := admission.organization(organization_record(), SystemClock().now())), [osh], by="load"
        )
        clients = [_client(OSH, "partner"), _client(OPERATOR, "operator")]
        entries.enter(Client, clients, by="load")
        # A client's first token registers its proof key. Registered here, it is none of the moments at which
        # a test kills the directory.
        with self._database.write() as transaction:
            for client in clients:
                secret = client.secret_sha256
                SqlProofKeyStore().register(
                    transaction, client.id, secret, public_proof_key(SECRET), live=[secret]
                )

    def close(self) -> None:
        self._database.close()

    def change_signing_key(self) -> str:
        """Write another signing key, used from the next start on; return its id."""
        key = new_signing_key()
        self._key_file.write_text(json.dumps(key))
        return TokenSigner(key, issuer_of(HUB)).kid

    # Requests of the operator to the running build; None if there is no response

    def rename(self, url: str, name: str) -> httpx.Response | None:
        """Change OSH's name to this."""
        record = organization_record(name=name)
        return self._ask("PUT", url, f"/v1/organizations/{OSH}", record, {"If-Match": "*"})

    def rotate_credential(self, url: str) -> httpx.Response | None:
        """Request a new secret for OSH."""
        body = {"principal": OSH, "roles": ["partner"]}
        return self._ask("POST", url, "/v1/credentials", body, {"If-Match": "*"})

    def _ask(
        self, method: str, url: str, path: str, body: Mapping[str, Any], condition: Mapping[str, str]
    ) -> httpx.Response | None:
        token = self.token(url, OPERATOR, SECRET).raise_for_status().json()["access_token"]
        with Partner(lambda _: url, lambda: str(token)) as operator:
            return answered(
                lambda: operator.ask(method, "directory", path, json=dict(body), headers=dict(condition))
            )

    def token(self, url: str, client: str, secret: str) -> httpx.Response:
        """Return the response to a client with this secret."""
        return ask_for_token(url, client, secret)

    # Contents of its database

    def told(self) -> Records:
        """Return everything that a replica on the queue COPY must hold."""
        register, found = SqlRegister(), dict[tuple[str, str], tuple[int, Mapping[str, Any]]]()
        with self._database.read() as transaction:
            for subject in subjects_for(COPY):
                for standing in register.every(transaction, subject):
                    fact = full_state(standing)
                    found[fact.type, standing.entry.id] = (standing.revision, _record(plain(fact)))
        return found

    def revisions(self, subject: Subject) -> dict[str, list[int]]:
        """Return the revision numbers of each entry in order, by entry id."""
        numbers: dict[str, list[int]] = defaultdict(list)
        every = select(REVISIONS).where(REVISIONS.c.subject == subject.value).order_by(REVISIONS.c.number)
        with self._database.read() as transaction:
            for row in transaction.execute(every):
                assert row.previous == (numbers[row.id][-1] if numbers[row.id] else None)
                numbers[row.id].append(row.number)
        return dict(numbers)


class DirectoryCopy:
    """A replica as in every service. It stays alive when the directory is killed.

    answers: the number of copies of each `replica.completed`, by its id.
    """

    def __init__(self, amqp_uri: str, directory: Path) -> None:
        self._database = Database.open(f"sqlite:///{directory / 'copy.sqlite'}")
        with self._database.write() as transaction:
            METADATA.create_all(transaction)
        self._publisher = RabbitBroker(amqp_uri).publisher()
        self._consumer = RabbitBroker(amqp_uri).consumer([COPY], 1000)
        self._replica = Replica(REPLICA, queue=COPY, source="/kg/routing", secret=lambda: b"s" * 32)
        self._processor = BatchProcessor(
            COPY,
            [COPY],
            database=self._database,
            tables=TABLES,
            verifier=verifier(),
            decode=Envelope.decode,
            handler=self._replica.apply,
            clock=SystemClock(),
            metrics=MessagingMetrics(CollectorRegistry()),
            after_commit=lambda: None,
        )
        self.answers: Counter[str] = Counter()

    def close(self) -> None:
        self._consumer.close()
        self._publisher.close()
        self._database.close()

    def ask(self) -> None:
        """Request every entry, as a service with an empty replica does when it starts."""
        self._publisher.publish([signed_event(event_of(ReplicaRequested(queue=COPY), COPY))])

    def until_complete(self) -> None:
        """Return when a complete snapshot has arrived."""
        until(lambda: self.records() is not None and self._is_complete(), "the copy is complete")

    def until_same(self, directory: CrashingDirectory) -> None:
        """Return when the replica equals the directory."""
        until(lambda: self.records() == directory.told(), "the copy says what the directory says")

    def records(self) -> Records:
        """Consume all messages, then return the contents of the replica."""
        while deliveries := self._consumer.take(1000, 0.2):
            self._processor.process(deliveries)
            self._consumer.acknowledge(deliveries)
            messages = [Envelope.decode(delivery.body) for delivery in deliveries]
            self.answers.update(one.id for one in messages if one.type == ReplicaCompleted.type)
        with self._database.read() as transaction:
            found = self._replica.newer_than(transaction, 0).records
        return {
            (record.type, record.key): (record.data["revision"], _record(record.data)) for record in found
        }

    def _is_complete(self) -> bool:
        return self._replica.unready(self._database) is None


def _record(data: Mapping[str, Any]) -> Mapping[str, Any]:
    # Only the event of a change names who made it; a snapshot does not.
    return {name: value for name, value in data.items() if name != "by"}


def _client(name: str, role: str) -> Client:
    document = {"client_id": name, "client_secret": SECRET, "principal": name, "roles": [role]}
    return admission.credential(document).client()
