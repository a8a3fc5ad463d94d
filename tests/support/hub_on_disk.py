"""A database per service with rows that agree with a log, for reconciliation."""

from __future__ import annotations

import datetime as dt
import os
from typing import Any

import orjson
from sqlalchemy import select, update

from admin.reconciliation.service_states import SERVICES
from contracts.commitment import commitment_to
from contracts.envelope import Envelope
from contracts.facts import DecisionsRecorded
from contracts.records import plain
from runtime.identifiers import new_id
from runtime.storage.database import Database
from services.audit.adapters.tables import REPLICA as AUDIT_REPLICA
from services.delivery.adapters.tables import CASE_LETTERS, MESSAGES
from services.delivery.adapters.tables import REPLICA as DELIVERY_REPLICA
from services.delivery.domain.recipients import recipients_of
from services.directory.adapters.tables import REVISIONS
from services.intake.adapters.tables import REPLICA as INTAKE_REPLICA
from services.intake.adapters.tables import SUBMISSIONS
from services.routing.adapters.store import SqlReferralStore
from services.routing.adapters.tables import DECISIONS, OFFERS, REFERRALS, TIMELINE
from services.routing.adapters.tables import REPLICA as ROUTING_REPLICA
from services.routing.domain.recorded_decision import RecordedDecision
from services.routing.ports import Changes
from services.vault.adapters.tables import CUSTODIES, EVIDENCE, SEALED_CASES
from services.vault.adapters.tables import REPLICA as VAULT_REPLICA
from tests.support.migrated import upgrade
from tests.unit.services.audit.logs import LogOnDatabase, event, new_key

REPLICAS = {
    "audit": AUDIT_REPLICA,
    "delivery": DELIVERY_REPLICA,
    "intake": INTAKE_REPLICA,
    "routing": ROUTING_REPLICA,
    "vault": VAULT_REPLICA,
}
OSH, MOSCOW = "kg.osh-legal-aid", "ru.moscow-union"
THEN = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)


def encoded(message: Envelope) -> bytes:
    """Return the message as its author publishes it."""
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": message.id,
            "source": message.source,
            "type": message.type,
            "time": message.time,
            "partitionkey": message.partition_key,
            "correlationid": message.correlation_id,
            "data": message.data,
        }
    )


class HubOnDisk:
    """A database per service with the rows that the services would have written.

    template: the databases' URL, with `{service}` in it.
    """

    def __init__(self, template: str) -> None:
        self.template = template
        self.databases = {name: Database.open(template.format(service=name)) for name in SERVICES}
        for name, database in self.databases.items():
            upgrade(f"services.{name}", database)
        self.log = LogOnDatabase(database=self.databases["audit"], key=new_key())
        self.log.check()

    def close(self) -> None:
        for database in self.databases.values():
            database.close()

    def write(self, name: str, table: Any, /, **row: Any) -> None:
        with self.databases[name].write() as transaction:
            transaction.execute(table.insert(), [row])

    def refer(self, *, skip: str = "", moved: dt.datetime = THEN) -> str:
        """Add an accepted referral. skip: the step that a service missed."""
        number = new_id()
        self.write("intake", SUBMISSIONS, referral_id=number, sender=OSH, submitted_at=moved)
        self.write(
            "routing",
            REFERRALS,
            id=number,
            sender=OSH,
            status="accepted",
            acceptor=MOSCOW,
            facts={},
            correlation_id=number,
            submitted_at=moved,
            updated_at=moved,
        )
        self.write(
            "routing",
            OFFERS,
            id=new_id(),
            referral_id=number,
            organization=MOSCOW,
            service="legal",
            rank=1,
            state="accepted",
            opened_at=moved,
            deadline=moved,
            acts_at=moved,
        )
        self.decide(number, moved)
        said = [
            self._said(number, "referral.submitted", {"sender": OSH}, moved),
            self._said(number, "offer.opened", {"organization": MOSCOW}, moved),
            self._said(number, "offer.accepted", {"organization": MOSCOW, "sender": OSH}, moved),
            self._said(number, "case.released", {"organization": MOSCOW}, moved, source="/kg/vault"),
        ]
        for one in said[:3]:
            self.step(number, one)
        acceptance = said[2]
        self.write(
            "vault",
            CUSTODIES,
            referral_id=number,
            sender=OSH,
            state="released",
            acceptor=MOSCOW,
            acceptance_id=acceptance.id,
            changed_at=moved,
        )
        self.write("vault", SEALED_CASES, referral_id=number, wrapped_key="k", ciphertext="c")
        self.write(
            "vault",
            EVIDENCE,
            referral_id=number,
            message_id=acceptance.id,
            type=acceptance.type,
            body=encoded(acceptance),
            signed="proof",
            acted_at=moved,
        )
        self.write("delivery", CASE_LETTERS, referral_id=number, organization=MOSCOW, sealed_case="sealed")
        self.log.append([one for one in said if skip != f"entry {one.type}"])
        for one in said[1:3]:
            if skip != f"mailbox {one.type}":
                self.deliver(number, one, moved)
        return number

    def decide(self, referral_id: str, moved: dt.datetime = THEN, *, logged: bool = True) -> str:
        """Store a decision, and its commitment in the log."""
        kept = RecordedDecision(
            id=new_id(),
            referral_id=referral_id,
            decided_at=moved,
            record=b'{"score":0.5}',
            salt=os.urandom(32),
            asked=(),
            candidates=None,
            logged_in=new_id(),
        )
        with self.databases["routing"].write() as transaction:
            SqlReferralStore().save(transaction, Changes(before={}, after=(), decisions=[kept]))
        if logged:
            data = plain(DecisionsRecorded(decisions=(kept.committed,)))
            self.log.append([event(DecisionsRecorded.type, data=data, partition_key="decisions", time=moved)])
        return kept.id

    def routed(self, status: str, **columns: Any) -> str:
        """Add a referral to routing alone, which is a difference too; return its id."""
        number = new_id()
        self.write(
            "routing",
            REFERRALS,
            id=number,
            sender=OSH,
            status=status,
            facts={},
            correlation_id=number,
            submitted_at=THEN,
            updated_at=THEN,
            **columns,
        )
        return number

    def erase(self, decision_id: str, *, commitment: str | None = None) -> None:
        """Erase a decision's record as routing does. commitment: to keep another one than the record's."""
        with self.databases["routing"].write() as transaction:
            found = select(DECISIONS.c.record, DECISIONS.c.salt).where(DECISIONS.c.id == decision_id)
            record, salt = transaction.execute(found).one()
            own = commitment_to(orjson.dumps(record), salt)
            kept: dict[str, Any] = {
                "record": {},
                "salt": None,
                "erased_at": THEN,
                "commitment": commitment or own,
            }
            transaction.execute(update(DECISIONS).where(DECISIONS.c.id == decision_id).values(kept))

    def step(self, referral_id: str, message: Envelope) -> None:
        """Add a fact to the timeline of the referral."""
        fact = ".".join(message.type.split(".")[1:-1])
        organization = message.data.get("organization", message.data.get("sender"))
        self.write(
            "routing",
            TIMELINE,
            referral_id=referral_id,
            time=message.time,
            fact=fact,
            organization=organization,
            detail={},
        )

    def deliver(self, referral_id: str, message: Envelope, moved: dt.datetime = THEN) -> None:
        """Put the message into the mailbox of each recipient."""
        for organization in recipients_of(message.type, message.data):
            self.write(
                "delivery",
                MESSAGES,
                organization=organization,
                message_id=message.id,
                type=message.type,
                referral_id=referral_id,
                correlation_id=referral_id,
                body=encoded(message),
                state="queued",
                queued_at=moved,
            )

    def revise(self, number: int = 1, *, subject: str = "organization", moved: dt.datetime = THEN) -> None:
        """Change a directory record, without its log entry."""
        self.write(
            "directory",
            REVISIONS,
            subject=subject,
            id="record",
            number=number,
            previous=None,
            changed_by="kg.operator",
            changed_at=moved,
            record={"key": {"kid": "record"}} if subject == "token_key" else {"id": "record"},
        )

    def log_revision(
        self, number: int = 1, *, subject: str = "organization", moved: dt.datetime = THEN
    ) -> None:
        """Add the log entry of such a change, without the change."""
        records: dict[str, dict[str, Any]] = {
            "token_key": {"key": {"kid": "record"}},
            "client": {"client_id": "record"},
        }
        data: Any = {"revision": number, **records.get(subject, {subject: {"id": "record"}})}
        self.log.append(
            [event(f"kopuro.{subject}.changed.v1", data=data, partition_key="record", time=moved)]
        )

    @staticmethod
    def _said(
        referral_id: str, fact: str, data: dict[str, str], time: dt.datetime, source: str = "/kg/routing"
    ) -> Envelope:
        said = {"referral_id": referral_id, **data}
        return event(f"kopuro.{fact}.v1", data=said, partition_key=referral_id, time=time, source=source)


SAYS: dict[str, dict[str, Any]] = {
    "organization": {"organization": {"id": "record"}},
    "agreement": {"agreement": {"id": "record"}},
    "token_key": {"key": {"kid": "record"}},
    "client": {"client_id": "record"},
}


def replicate(hub: HubOnDisk, service: str, subject: str = "organization", **row: Any) -> None:
    """Add a row to a service's replica, as the service has it of the log's first revision."""
    revision = row.get("revision", 1)
    said = {"revision": revision, **SAYS[subject]}
    key = {"type": f"kopuro.{subject}.changed.v1", "key": "record"}
    hub.write(service, REPLICAS[service], **{**key, "revision": 1, "change": 1, "data": said, **row})


def complete(hub: HubOnDisk, service: str) -> None:
    state = {"type": "kopuro.replica.state", "key": f"{service}.directory", "revision": 9, "change": 9}
    hub.write(service, REPLICAS[service], **state, data={})
