"""Each column that the list calls compared is rewritten, and reconciliation names the difference."""

from __future__ import annotations

import datetime as dt
import importlib
import shutil
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, cast

import orjson
import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    literal_column,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from admin.reconciliation.coverage import COVERAGE
from admin.reconciliation.coverage.rules import Compared
from admin.reconciliation.differences import Difference
from admin.reconciliation.reconcile import DELIVERED_TYPES, engines, reconcile
from admin.reconciliation.reconcile import Compared as Counts
from admin.reconciliation.service_states import SERVICES, ServiceStates
from contracts.codes import DeclineReason, Outcome
from contracts.envelope import Envelope, Event
from contracts.facts import (
    CATALOGUE,
    DecisionsRecorded,
    DeliveryAcknowledged,
    HistoryRead,
    OfferDeclined,
    OfferOpened,
    ReferralCompleted,
    ReferralWithdrawn,
    StatementIssued,
)
from contracts.records import dump, plain
from contracts.referral import Situation
from contracts.topology import REPLICA_QUEUES
from runtime.identifiers import new_id
from runtime.messaging.outbox.event_batch import encode_batch
from runtime.messaging.outbox.outbox import outgoing
from runtime.messaging.outbox.unreceipted import Unreceipted
from runtime.messaging.ports import Outgoing
from runtime.storage.columns import Instant, Json
from runtime.storage.database import Database
from services.delivery.adapters.tables import MESSAGES, WEBHOOK_ENDPOINTS, WEBHOOK_SECRETS
from services.delivery.webhooks.domain.endpoint import commitment as endpoint_commitment
from services.delivery.webhooks.owners import OVERLAP
from services.delivery.webhooks.webhook_facts import secret_digest
from services.directory.adapters.tables import (
    AGREEMENTS,
    APPLICATIONS,
    APPROVALS,
    CLIENTS,
    EMPLOYER_REPLIES,
    ORGANIZATIONS,
    PROOF_KEYS,
    REVISIONS,
    SEALING_KEYS,
    TOKEN_KEYS,
    WATCH_RECIPIENTS,
    WATCH_REPORTS,
)
from services.directory.domain.application import commitment
from services.directory.domain.change import RootClient, stored
from services.directory.domain.change import digest as digest_of_change
from services.directory.domain.client import Client, Role
from services.directory.domain.employer_identity import entry_keys
from services.directory.domain.entry import Standing
from services.directory.domain.full_state import full_state, subjects_for
from services.intake.adapters.tables import SUBMISSIONS, TRANSIT_KEYS
from services.routing.adapters.store import SqlReferralStore
from services.routing.adapters.tables import OFFERS, STATEMENTS, TIMELINE
from services.routing.domain.candidate_tree import candidates_root
from services.routing.domain.monthly_statement import digest_of
from services.routing.domain.recorded_decision import RecordedDecision
from services.routing.domain.timeline import entry_of
from services.routing.ports import Changes
from tests.long_run import LONG
from tests.support.hub_on_disk import MOSCOW, OSH, SAYS, THEN, HubOnDisk, complete, replicate
from tests.unit.services.audit.logs import event
from tests.unit.services.directory.application_samples import content
from tests.unit.services.directory.watch_samples import employer, report
from tests.unit.services.routing.samples import facts

ALMATY = "kz.almaty-clinic"
RECORD: Final = {
    "candidates": [{"organization": ALMATY, "rank": 1, "service": "legal"}],
    "decided_at": THEN.isoformat(),
}


def metadata_of(service: str) -> MetaData:
    found: MetaData = importlib.import_module(f"services.{service}.adapters.tables").METADATA
    return found


COMPARED: Final = [
    (service, table, column)
    for service, tables in COVERAGE.items()
    for table, columns in tables.items()
    for column, rule in columns.items()
    if isinstance(rule, Compared)
]


@pytest.mark.parametrize("service", SERVICES)
def test_each_column_of_each_table_has_a_rule(service: str) -> None:
    declared = {
        table.name: {column.name for column in table.columns} for table in metadata_of(service).sorted_tables
    }
    assert {table: set(columns) for table, columns in COVERAGE[service].items()} == declared


def test_each_compared_column_names_a_fact_and_its_member() -> None:
    known = {
        kind.routing_key: {field.name for field in fields(cast("Any", kind))} for kind in CATALOGUE.values()
    }
    of_the_event = {"id", "time", "source", "data"}
    for service, table, column in COMPARED:
        rule = COVERAGE[service][table][column]
        assert isinstance(rule, Compared)
        assert rule.member in known[rule.fact] | of_the_event, (service, table, column)


class _FilledHub(HubOnDisk):
    """A hub with a row in every table that is compared, all as the log says."""

    def fill(self) -> None:
        self._acknowledged(self.refer())
        self._declined()
        self._ended("completed")
        self._ended("withdrawn")
        self._records()
        self._approval()
        self._sealing_key()
        self._statement()
        self._watch_report()
        self._application("in_approval")
        self._application("refused", reason="not_genuine")
        self._webhook()
        key = {"kid": "k" * 43, "x": "x" * 43}
        self.write("intake", TRANSIT_KEYS, **key, published_at=THEN)
        self._published("transit_key.published", {**key, "published_at": THEN.isoformat()}, "key")
        for name, database in self.databases.items():
            copy = history_read()
            self.log.append([Envelope.decode(copy.body)])
            with database.write() as transaction:
                Unreceipted().add(transaction, encode_batch([copy]), THEN)
            if f"{name}.directory" in REPLICA_QUEUES:
                self._replica(name)

    def _told(self, referral_id: str, fact: Any, moment: dt.datetime = THEN) -> Envelope:
        """Log a fact with its whole content; store its step and its messages."""
        said = event(fact.type, data=plain(fact), partition_key=referral_id, time=moment)
        self.log.append([said])
        step = entry_of(fact, referral_id, moment)
        self.write(
            "routing",
            TIMELINE,
            referral_id=referral_id,
            time=moment,
            fact=step.fact,
            organization=step.organization,
            detail=orjson.loads(dump(step.detail)),
        )
        self.deliver(referral_id, said)
        return said

    def _referral(self, status: str, **columns: Any) -> str:
        number = self.routed(status, **columns)
        self.write("intake", SUBMISSIONS, referral_id=number, sender=OSH, submitted_at=THEN)
        submitted = event(
            "kopuro.referral.submitted.v1",
            data={"sender": OSH},
            partition_key=number,
            time=THEN,
            source="/kg/gateway",
        )
        self.log.append([submitted])
        self.step(number, submitted)
        return number

    def _acknowledged(self, referral_id: str) -> None:
        """The acceptor has acknowledged its offer, which is not closed yet."""
        with self.databases["delivery"].read() as transaction:
            offer = MESSAGES.c.referral_id == referral_id, MESSAGES.c.type == OfferOpened.type
            message_id = transaction.execute(select(MESSAGES.c.message_id).where(*offer)).scalar_one()
        self.move(message_id, content="open", state="acknowledged", acknowledged_at=THEN)
        fact = DeliveryAcknowledged(
            referral_id=referral_id,
            organization=MOSCOW,
            message_id=message_id,
            message_type=OfferOpened.type,
        )
        self.log.append([event(fact.type, data=plain(fact), partition_key=referral_id, time=THEN)])

    def move(self, message_id: str, **columns: Any) -> None:
        """Change a message of the mailboxes as delivery does."""
        with self.databases["delivery"].write() as transaction:
            transaction.execute(update(MESSAGES).where(MESSAGES.c.message_id == message_id).values(columns))

    def _decided(self, referral_id: str) -> str:
        salt = bytes(range(32))
        decision = RecordedDecision(
            id=new_id(),
            referral_id=referral_id,
            decided_at=THEN,
            record=orjson.dumps(RECORD),
            salt=salt,
            asked=(ALMATY,),
            candidates=candidates_root(referral_id, [ALMATY], [ALMATY], salt),
            logged_in=new_id(),
        )
        with self.databases["routing"].write() as transaction:
            SqlReferralStore().save(transaction, Changes(before={}, after=(), decisions=[decision]))
        data = plain(DecisionsRecorded(decisions=(decision.committed,)))
        self.log.append([event(DecisionsRecorded.type, data=data, partition_key="decisions", time=THEN)])
        return decision.id

    def _declined(self) -> None:
        """A referral whose only offer was declined."""
        number, offer_id = self._referral("unplaced"), new_id()
        of_offer = {"referral_id": number, "offer_id": offer_id, "organization": ALMATY, "sender": OSH}
        deadline = THEN + dt.timedelta(days=1)
        situation = {field.name: getattr(facts(), field.name) for field in fields(Situation)}
        self._decided(number)
        opened = self._told(
            number,
            OfferOpened(**of_offer, rank=1, opened_at=THEN, deadline=deadline, facts=Situation(**situation)),
        )
        self._told(number, OfferDeclined(**of_offer, reason=DeclineReason.no_capacity))
        self.move(opened.id, offer_id=offer_id, content="declined", closed_at=THEN, body=b"")
        self.write(
            "routing",
            OFFERS,
            id=offer_id,
            referral_id=number,
            organization=ALMATY,
            service="legal",
            rank=1,
            state="declined",
            opened_at=THEN,
            deadline=deadline,
            acts_at=deadline,
        )

    def _ended(self, status: str) -> None:
        """An ended referral, whose decision is erased."""
        if status == "completed":
            number = self._referral(status, outcome="resolved")
            outcome = Outcome.resolved
            self._told(
                number, ReferralCompleted(referral_id=number, sender=OSH, organization=None, outcome=outcome)
            )
            self.erase(self._decided(number))
        else:
            number = self._referral(status, consent_revoked=True)
            revoked = "consent_revoked"
            self._told(
                number, ReferralWithdrawn(referral_id=number, sender=OSH, organization=None, reason=revoked)
            )

    def _records(self) -> None:
        for subject, table, more in (
            ("organization", ORGANIZATIONS, {"kind": "union", "country": "KG"}),
            ("agreement", AGREEMENTS, {}),
            ("token_key", TOKEN_KEYS, {}),
        ):
            self.revise(subject=subject)
            self.log_revision(subject=subject)
            record = {"key": {"kid": "record"}} if subject == "token_key" else {"id": "record"}
            self.write("directory", table, id="record", revision=1, record=record, **more)
        self.write(
            "directory",
            REVISIONS,
            subject="client",
            id=CLIENT.id,
            number=1,
            changed_by="kg.operator",
            changed_at=THEN,
            record=CLIENT,
        )
        self.write("directory", CLIENTS, id=CLIENT.id, revision=1, principal=OSH, registered=1, record=CLIENT)
        self.log.append([event(CLIENT_CHANGED.type, data=SAID, partition_key=CLIENT.id, time=THEN)])
        self._second_client()
        self.write("directory", PROOF_KEYS, client_id=CLIENT.id, secret_sha256="a" * 64, key="k")
        suspended: Any = SUSPENDED["organization"]
        self.write(
            "directory",
            REVISIONS,
            subject="organization",
            id=OSH,
            number=1,
            changed_by="kg.coordinator",
            changed_at=THEN,
            record=suspended,
            reason="person_at_risk",
        )
        self.write("directory", ORGANIZATIONS, id=OSH, revision=1, record=suspended, kind="ngo", country="KG")
        told = event("kopuro.organization.changed.v1", data=SUSPENDED, partition_key=OSH, time=THEN)
        self.log.append([told])

    def _second_client(self) -> None:
        """A client of the same organisation, which was registered after the first."""
        later = THEN + dt.timedelta(seconds=1)
        self.write(
            "directory",
            REVISIONS,
            subject="client",
            id=SECOND.id,
            number=1,
            changed_by="kg.operator",
            changed_at=later,
            record=SECOND,
        )
        self.write("directory", CLIENTS, id=SECOND.id, revision=1, principal=OSH, registered=2, record=SECOND)
        told = event(CLIENT_CHANGED.type, data=SECOND_SAID, partition_key=SECOND.id, time=later)
        self.log.append([told])

    def _replica(self, service: str) -> None:
        for subject in subjects_for(f"{service}.directory"):
            if subject == "client":
                replicate(self, service, subject, data=SAID)
                replicate(self, service, subject, key=SECOND.id, change=2, data=SECOND_SAID)
            elif subject in SAYS:
                replicate(self, service, subject)
            if subject == "organization":
                replicate(self, service, subject, key=OSH, change=3, data=SUSPENDED)
        complete(self, service)

    def _approval(self) -> None:
        number, partner = new_id(), "kg.aigul-centre"
        root = RootClient(organization=partner, client_id="kg.aigul-2")
        request = {"kind": root.kind.value, "subject": partner, "requested_by": "kg.operator"}
        digest = digest_of_change(root.kind, stored(root), "revision 1")
        self.write(
            "directory",
            APPROVALS,
            **request,
            id=number,
            concerned=partner,
            organization=partner,
            change=stored(root),
            digest=digest,
            basis="revision 1",
            requested_at=THEN,
            expires_at=THEN,
            state="granted",
            decided_by="kg.second",
            decided_at=THEN,
            endorsed_by="kg.third",
            endorsed_at=THEN,
        )
        steps: dict[str, dict[str, Any]] = {
            "requested": {"digest": digest, "expires_at": THEN.isoformat()},
            "endorsed": {"digest": digest, "by": "kg.third"},
            "granted": {"digest": digest, "by": "kg.second"},
        }
        for step, data in steps.items():
            said = {**request, "id": number, "organization": partner, **data}
            told = event(f"kopuro.approval.{step}.v1", data=said, partition_key=number, time=THEN)
            self.log.append([told])
            self.deliver("", told)

    def _sealing_key(self) -> None:
        key: dict[str, Any] = {"organization": OSH, "manner": "approved", "by": OSH}
        key["approved_by"] = "kg.second"
        self.write("directory", SEALING_KEYS, **key, number=2, key={"kid": "second"}, since=THEN)
        replaced = {**key, "kid": "second", "previous": "first"}
        notice = event("kopuro.sealing_key.replaced.v1", data=replaced, partition_key=OSH, time=THEN)
        self.log.append([notice])
        self.deliver("", notice)

    def _watch_report(self) -> None:
        """A retracted report, a reply about another one, and an organisation that receives reports."""
        for name, retracted in (("Zavod Invented", THEN), ("Stroy Invented", None)):
            made = report(
                OSH,
                employer(name),
                id=new_id(),
                recipients=("x.union",),
                reported_at=THEN,
                retracted_at=retracted,
            )
            about, recipients = made.allegation.employer, ["x.union"]
            self.write(
                "directory",
                WATCH_REPORTS,
                **{field.name: getattr(made, field.name) for field in fields(made)},
                country=about.country,
                body_sha256="a" * 64,
            )
            said = {
                "report_id": made.id,
                "allegation": plain(made.allegation),
                "reporter": made.commitment,
                "recipients": recipients,
                "expires_at": (THEN + dt.timedelta(days=730)).isoformat(),
            }
            self._published("employer.reported", said, made.id)
            if retracted is not None:
                retraction = {"report_id": made.id, "recipients": recipients}
                self._published("employer.report_retracted", retraction, made.id)
        (entry,) = entry_keys(about)
        reply = {"watched_id": entry.id, "employer": about, "text": "We paid.", "by": "kg.coordinator"}
        self.write("directory", EMPLOYER_REPLIES, **reply, country=about.country, at=THEN)
        said = {**reply, "employer": plain(about), "recipients": recipients}
        self._published("employer.replied", said, entry.id)
        self.write("directory", WATCH_RECIPIENTS, organization=OSH, since=THEN)
        chosen = {"organization": OSH, "receives": True, "by": OSH}
        self._published("watch_reports.chosen", chosen, OSH)

    def _application(self, state: str, **decision: str) -> None:
        """An application after a request to vet it, and after its decision, if there is one."""
        number, ends, salt, sent = new_id(), THEN + dt.timedelta(days=90), "A" * 43, content()
        approval = {"approval_id": new_id(), "organization": "kg.applied"}
        self.write(
            "directory",
            APPLICATIONS,
            **approval,
            **decision,
            id=number,
            state=state,
            content=sent,
            salt=salt,
            reference_sha256=number.replace("-", "") * 2,
            submitted_at=THEN,
            expires_at=ends,
            decided_by="kg.operator",
            decided_at=THEN,
        )
        submitted = {"content": commitment(number, sent, salt), "expires_at": ends.isoformat()}
        self._published("application.submitted", {"application_id": number, **submitted}, number)
        step = {"application_id": number, "by": "kg.operator", "approval_id": approval["approval_id"]}
        asked = {**step, "step": "vetting_requested", "organization": "kg.applied"}
        self._published("application.decided", asked, number)
        if decision:
            self._published("application.decided", {**step, **decision, "step": state}, number)

    def _webhook(self) -> None:
        """An endpoint whose secret was rotated."""
        number, url, salt = new_id(), "https://cases.example.org/hook?token=t1", bytes(range(32))
        types = ["offer.opened"]
        self.write(
            "delivery",
            WEBHOOK_ENDPOINTS,
            id=number,
            organization=OSH,
            url=url,
            types=types,
            created_at=THEN,
            state="unverified",
            position=0,
            challenge="challenge",
            noticed=0,
            salt=salt,
        )
        said = {"organization": OSH, "endpoint_id": number, "host": "cases.example.org", "client_id": OSH}
        said |= {"state": "unverified", "commitment": endpoint_commitment(number, url, types, salt)}
        for change, sealed, until in (
            ("registered", b"first", THEN + OVERLAP),
            ("secret_rotated", b"second", None),
        ):
            secret = {"endpoint_id": number, "sealed": sealed, "created_at": THEN, "expires_at": until}
            self.write("delivery", WEBHOOK_SECRETS, **secret)
            told = {**said, "change": change, "secret": secret_digest(sealed)}
            self._published("webhook.changed", told, OSH)

    def _published(self, fact: str, data: Mapping[str, Any], key: str) -> None:
        """Log a fact of the directory or of delivery, and deliver it."""
        said = event(f"kopuro.{fact}.v1", data=dict(data), partition_key=key, time=THEN)
        self.log.append([said])
        if said.type in DELIVERED_TYPES:
            self.deliver("", said)

    def _statement(self) -> None:
        content = b'{"offers":3}'
        issued = StatementIssued(organization=OSH, month="2026-10", digest=digest_of(content))
        said = event(issued.type, data=plain(issued), partition_key=OSH, time=THEN)
        self.log.append([said])
        self.deliver("", said)
        self.write(
            "routing",
            STATEMENTS,
            month="2026-10",
            organization=OSH,
            issued_at=THEN,
            content=content,
            logged_in=said.id,
        )


CLIENT: Final = Client(id="record", principal=OSH, roles=(Role.partner,), secret_sha256="a" * 64)
CLIENT_CHANGED: Final = full_state(Standing(revision=1, entry=CLIENT))
SAID: Final = plain(CLIENT_CHANGED)
SECOND: Final = replace(CLIENT, id="second")
SECOND_SAID: Final = plain(full_state(Standing(revision=1, entry=SECOND)))
SUSPENDED: Final[Mapping[str, Any]] = {
    "revision": 1,
    "organization": {"id": OSH, "vetting": "suspended"},
    "by": "kg.coordinator",
    "reason": "person_at_risk",
}


def history_read() -> Outgoing:
    number = new_id()
    return outgoing(
        Event(
            id=number,
            source="/kg/audit",
            time=THEN,
            partition_key="kg.auditor",
            correlation_id=number,
            causation_id=None,
            data=HistoryRead(reader="kg.auditor", filter={}, entries=1),
        )
    )


# The row that is rewritten, if not all columns of the first row are compared: a column and its value.
ROWS: Final[Mapping[tuple[str, str], tuple[str, Any]]] = {
    ("routing", "offers"): ("state", "declined"),
    ("routing", "timeline"): ("fact", "offer.declined"),
    ("audit", "closures"): ("revoked", True),
    ("directory", "watch_reports"): ("retracted_at", THEN),
    ("directory", "applications"): ("state", "in_approval"),
    ("audit", "entries"): ("type", "kopuro.offer.accepted.v1"),
}
COLUMN_ROWS: Final[Mapping[tuple[str, str, str], tuple[str, Any]]] = {
    ("routing", "referrals", "outcome"): ("status", "completed"),
    ("routing", "referrals", "consent_revoked"): ("status", "accepted"),
    ("routing", "decisions", "asked"): ("record", RECORD),
    ("routing", "decisions", "decided_at"): ("record", RECORD),
    ("routing", "referrals", "submitted_at"): ("status", "completed"),
    ("directory", "revisions", "changed_by"): ("id", OSH),
    ("directory", "revisions", "changed_at"): ("id", OSH),
    ("routing", "decisions", "referral_id"): ("record", RECORD),
    ("directory", "applications", "reason"): ("state", "refused"),
    ("vault", "custodies", "part_of"): ("state", "released"),
    ("vault", "custodies", "parts"): ("state", "released"),
    ("delivery", "mailbox_messages", "state"): ("state", "acknowledged"),
    ("delivery", "mailbox_messages", "content"): ("content", "declined"),
}
# Values for the columns for which not every value of their type is suitable.
VALUES: Final[Mapping[tuple[str, str], Any]] = {
    ("referrals", "status"): "failed",
    ("referrals", "outcome"): "not_resolved",
    ("referrals", "consent_revoked"): True,
    ("offers", "state"): "expired",
    ("decisions", "erased_at"): THEN,
    ("custodies", "state"): "erased",
    ("custodies", "parts"): 2,
    ("approvals", "state"): "refused",
    ("token_keys", "record"): {"key": {"kid": "record"}, "withdrawn": True},
    ("sealing_keys", "key"): {"kid": "third"},
    ("mailbox_messages", "type"): "kopuro.offer.declined.v1",
    ("mailbox_messages", "content"): "expired",
    ("unreceipted", "body"): encode_batch([history_read()])[0].body,
}


def other(column: Column[Any], value: Any) -> Any:
    """Return another value of the column's type."""
    known = VALUES.get((column.table.name, column.name))
    if known is not None:
        return known
    match column.type:
        case Instant():
            return value - dt.timedelta(hours=2)
        case Json():
            return {**value, "other": True} if isinstance(value, dict) else ["other"]
        case LargeBinary():
            return bytes([value[0] ^ 1]) + value[1:]
        case Boolean():
            return not value
        case Integer():
            return value + 7000
    return new_id() if column.name.endswith("_id") or column.name == "id" else "other"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The databases of a filled hub, closed."""
    folder = tmp_path_factory.mktemp("filled")
    hub = _FilledHub(f"sqlite:///{folder}/{{service}}.sqlite")
    hub.fill()
    hub.close()
    return folder


@pytest.fixture
def databases(filled: Path, tmp_path: Path) -> dict[str, str]:
    """The URLs of copies of the filled databases."""
    return copy_of(filled, tmp_path / "hub")


def copy_of(filled: Path, folder: Path) -> dict[str, str]:
    shutil.copytree(filled, folder)
    return {service: f"sqlite:///{folder}/{service}.sqlite" for service in SERVICES}


def found_in(urls: Mapping[str, str]) -> list[Difference]:
    opened = engines(urls)
    try:
        settled = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
        return list(reconcile(ServiceStates(opened), settled, Counts()))
    finally:
        for engine in opened.values():
            engine.dispose()


def test_filled_hub_agrees_with_its_log(databases: dict[str, str]) -> None:
    assert found_in(databases) == []


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """Another value in one column of one row. value: in SQL; None: one of the column's type."""

    service: str
    table: str
    column: str
    value: str | None = None

    @property
    def differs(self) -> tuple[str, str]:
        """Where the difference is, and of which kind its record is."""
        if self.service == "audit" and self.table in LOGGED:
            return "log", "log"
        where = (self.table, self.column)
        return self.service, RECORDS.get(where) or RECORDS.get((self.table, "")) or "referral"

    def is_in(self, found: Collection[tuple[str, str]]) -> bool:
        """Return whether a difference belongs to this change. Other changes make other kinds of them."""
        return self.differs in found if self.has_one_kind else bool(found)

    @property
    def has_one_kind(self) -> bool:
        """An entry that is not found, or found elsewhere, differs from each service that acted on it."""
        return self.service != "audit" or self.table in LOGGED or (self.table, "") in RECORDS


# The tables of audit that only the log itself is compared with.
LOGGED: Final = frozenset({"organizations", "facets", "closures", "tag_secret"})
# The kind of the record that a difference names, where it is not the referral.
RECORDS: Final[Mapping[tuple[str, str], str]] = {
    ("unreceipted", ""): "event",
    ("replica", ""): "organization",
    ("decisions", ""): "decision",
    ("statements", ""): "statement",
    ("organizations", ""): "organization",
    ("agreements", ""): "agreement",
    ("token_keys", ""): "token_key",
    ("clients", ""): "client",
    ("proof_keys", ""): "client",
    ("revisions", ""): "agreement",
    ("revisions", "changed_by"): "organization",
    ("revisions", "changed_at"): "organization",
    ("revisions", "reason"): "organization",
    ("sealing_keys", ""): "organization",
    ("approvals", ""): "approval",
    ("watch_reports", ""): "watch report",
    ("watch_recipients", ""): "recipient of watch reports",
    ("employer_replies", ""): "reply of an employer",
    ("applications", ""): "application",
    ("webhook_endpoints", ""): "webhook",
    ("webhook_secrets", ""): "webhook",
    ("transit_keys", ""): "transit key",
}
KINDS: Final = ("referral", "log", *dict.fromkeys(RECORDS.values()))


def kind(difference: Difference) -> tuple[str, str]:
    """Return where the difference is, and of which kind its record is."""
    record = difference.record
    if record is None or record == "log":
        return difference.where, record or "referral"
    known = next((one for one in (*KINDS, "copy") if record.startswith(f"{one} ")), record)
    return difference.where, "event" if known == "copy" else known


def rounds(changes: Sequence[Change]) -> list[list[Change]]:
    """Return which changes are made together: a reconciliation takes 100 ms of CPU time.

    In a long run each change is made alone. Otherwise those of one round differ in different services, or in
    records of different kinds, and each is found by a difference of its own.
    """
    if LONG:
        return [[change] for change in changes]
    alone = [[change] for change in changes if not change.has_one_kind]
    together: list[dict[tuple[str, str], Change]] = []
    for change in changes:
        if change.has_one_kind:
            free = next((one for one in together if change.differs not in one), None)
            if free is None:
                together.append(free := {})
            free[change.differs] = change
    return [list(one.values()) for one in together] + alone


def unnamed(databases: Mapping[str, str], changes: Sequence[Change]) -> list[Change]:
    """Make the changes that the databases take; return those that no difference names."""
    made = [
        change
        for change in changes
        if damage(
            databases[change.service],
            metadata_of(change.service).tables[change.table],
            change.column,
            change.service,
            change.value,
        )
    ]
    assert made or all(change.value for change in changes)
    found = {kind(one) for one in found_in(databases)} if made else set()
    if LONG:
        # `rounds` relies on this: each difference is attributed to its own change.
        (change,) = changes
        others = {(service, one) for service in (*SERVICES, "log") for one in KINDS} - {change.differs}
        assert not change.has_one_kind or not found & others, (change, found)
    return [change for change in made if not change.is_in(found)]


@pytest.mark.parametrize("changes", rounds([Change(service=s, table=t, column=c) for s, t, c in COMPARED]))
def test_rewritten_column_is_named(databases: dict[str, str], changes: list[Change]) -> None:
    assert unnamed(databases, changes) == []


# The columns whose times say whether a row is settled, or has just changed and is not compared.
SETTLED: Final = (
    ("audit", "entries", "time"),
    ("intake", "submissions", "submitted_at"),
    ("intake", "transit_keys", "published_at"),
    ("routing", "referrals", "submitted_at"),
    ("routing", "referrals", "updated_at"),
    ("routing", "timeline", "time"),
    ("routing", "decisions", "decided_at"),
    ("routing", "statements", "issued_at"),
    ("vault", "custodies", "changed_at"),
    ("delivery", "mailbox_messages", "queued_at"),
    ("delivery", "mailbox_messages", "acknowledged_at"),
    ("delivery", "mailbox_messages", "closed_at"),
    ("delivery", "webhook_endpoints", "created_at"),
    ("directory", "revisions", "changed_at"),
    ("directory", "approvals", "requested_at"),
    ("directory", "sealing_keys", "since"),
    ("directory", "watch_reports", "reported_at"),
    ("directory", "watch_recipients", "since"),
    ("directory", "employer_replies", "at"),
    ("directory", "applications", "submitted_at"),
    *[(service, "unreceipted", "published_at") for service in SERVICES],
)


@pytest.mark.parametrize("ahead", [dt.timedelta(minutes=10), dt.timedelta(days=36500)], ids=str)
def test_time_in_the_future_is_named(databases: dict[str, str], ahead: dt.timedelta) -> None:
    changed = {}
    for service, table, column in SETTLED:
        declared = metadata_of(service).tables[table]
        database = Database.open(databases[service])
        try:
            with database.write() as transaction:
                # In every row, also in those that are then not compared.
                later = update(declared).values({column: dt.datetime.now(dt.UTC) + ahead})
                where = "log" if table == "entries" else service
                changed[where, f"{column} of {table}"] = transaction.execute(later).rowcount
        finally:
            database.close()
    named = Counter(
        (one.where, one.what.partition(" is in the future")[0])
        for one in found_in(databases)
        if " is in the future" in one.what
    )
    assert named == changed
    assert all(changed.values())


@pytest.mark.parametrize("value", [2**62, 2**63 - 1])
def test_time_beyond_the_calendar_is_named(databases: dict[str, str], value: int) -> None:
    custodies = metadata_of("vault").tables["custodies"]
    rewrite(databases["vault"], custodies, "changed_at", "vault", literal_column(str(value)))
    assert "changed_at of custodies is in the future: beyond the calendar" in {
        one.what for one in found_in(databases)
    }


def execute(url: str, statement: str) -> None:
    """Execute SQL on a database in a file."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
        assert connection.execute(statement).rowcount > 0


def test_damaged_id_of_a_split_referral_is_named(databases: dict[str, str]) -> None:
    execute(
        databases["routing"],
        "UPDATE referrals SET id = 'none', parts = 2, status = 'split'"
        " WHERE id = (SELECT max(id) FROM referrals)",
    )
    what = "the referral was split, but its id is damaged and gives its parts no ids"
    assert ("none", "routing", what) in {
        (one.referral_id, one.where, one.what) for one in found_in(databases)
    }


@pytest.mark.parametrize("index", [2**63 - 1, -1, -5, -(2**63)])
def test_index_that_no_log_reaches_is_named(databases: dict[str, str], index: int) -> None:
    last = "(SELECT max(leaf_index) FROM entries)"
    execute(databases["audit"], f"UPDATE entries SET leaf_index = {index} WHERE leaf_index = {last}")  # noqa: S608 - a test's own values
    assert f"An entry has the index {index}, which no log reaches: it was changed." in {
        one.what for one in found_in(databases)
    }


def test_no_id_is_skipped_beside_damaged_ids(databases: dict[str, str]) -> None:
    # SQLite sorts these bytes after all texts, so that each page begins with the first of them.
    for at, id_ in enumerate((b"0", b"5", b"7")):
        insert = f"INSERT INTO submissions SELECT x'{id_.hex()}', sender, submitted_at FROM submissions"  # noqa: S608 - a test's own values
        execute(databases["intake"], f"{insert} LIMIT 1 OFFSET {at % 2}")
    opened = engines(databases)
    try:
        states = ServiceStates(opened)
        after, seen = "3", []
        while page := states.referrals(after, 2):
            seen += [state.referral_id for state in page]
            after = page[-1].referral_id
    finally:
        for engine in opened.values():
            engine.dispose()
    assert [id_ for id_ in seen if len(id_) == 1] == ["5", "7"]


# SQL of values that a database may hold if it does not check their types. SQLite does not check them.
GARBAGE: Final[Mapping[type, Sequence[str]]] = {
    Json: ("'{'", "char(0)", "'null'", "NULL", "4611686018427387904", "x'FF'", "CAST(x'7BFF' AS TEXT)"),
    String: ("NULL", "x'FF'"),
    object: ("'9999-99-99'", "4611686018427387904"),
}

# Where NULL says something: the vault has not learned it.
OPTIONAL: Final = {
    ("vault", "custodies", "sender"),
    ("vault", "custodies", "acceptance_id"),
    ("vault", "custodies", "part_of"),
    ("vault", "custodies", "parts"),
    ("delivery", "mailbox_messages", "offer_id"),
}


def damages() -> Iterator[Change]:
    """Yield each kind of damage. The columns of a table share the kinds: each column gets some of them."""
    places: Counter[tuple[str, str]] = Counter()
    for service, table, column in COMPARED:
        declared = metadata_of(service).tables[table].c[column]
        values = next(these for type_, these in GARBAGE.items() if isinstance(declared.type, type_))
        number = places[service, table]
        places[service, table] += 1
        for garbage in values[number % 3 :: 3] or values[:1]:
            if (service, table, column) not in OPTIONAL or garbage != "NULL":
                yield Change(service=service, table=table, column=column, value=garbage)


@pytest.mark.parametrize("changes", rounds(list(damages())))
def test_damaged_value_is_named(databases: dict[str, str], changes: list[Change]) -> None:
    assert unnamed(databases, changes) == []


def damage(url: str, table: Table, column: str, service: str, value: str | None) -> bool:
    """Write an SQL value into the column of one row; return whether the database takes it."""
    try:
        rewrite(url, table, column, service, None if value is None else literal_column(value))
    except IntegrityError:
        return False
    return True


def rewrite(url: str, table: Table, column: str, service: str, value: Any = None) -> None:
    """Give one row another value in the column. value: None for one of the column's type."""
    where = COLUMN_ROWS.get((service, table.name, column)) or ROWS.get((service, table.name))
    rows = select(table)
    if where is not None:
        rows = rows.where(table.c[where[0]].is_not_distinct_from(where[1]))
    elif table.name == "replica":
        rows = rows.where(table.c.type == "kopuro.organization.changed.v1")
    elif (service, table.name, column) != ("routing", "decisions", "erased_at"):
        rows = rows.where(table.c[column].is_not(None))
    database = Database.open(url)
    try:
        with database.write() as transaction:
            row = transaction.execute(rows.order_by(*table.primary_key.columns)).mappings().first()
            assert row is not None
            this = [key == row[key.name] for key in table.primary_key.columns]
            value = other(table.c[column], row[column]) if value is None else value
            changed = update(table).where(*this).values({column: value})
            assert transaction.execute(changed).rowcount == 1
    finally:
        database.close()
