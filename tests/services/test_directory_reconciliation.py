"""Reconciliation of the directory: its own handlers write the rows, and its outbox the log.

Every change leaves rows that agree with its facts, and reconciliation names each row that is rewritten.
"""

from __future__ import annotations

import datetime as dt
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from admin.reconciliation import watch_states
from admin.reconciliation.differences import Difference
from admin.reconciliation.reconcile import DELIVERED_TYPES, Compared, engines, reconcile
from admin.reconciliation.service_states import SERVICES, ServiceStates
from contracts.application import ApplicationRejection, ApplicationVetting
from contracts.codes import (
    ApplicationRefusal,
    EmployerPractice,
    SuspensionReason,
    WithdrawalOfApproval,
)
from contracts.employer import EmployerReport, Evidence
from contracts.envelope import Envelope
from contracts.errors import Refused
from contracts.organization import Organization, SealingKey
from contracts.records import read
from contracts.topology import EVENTS
from kopuro_client.sealing import generate_key, public_key, seal
from runtime.access.tokens import Principal
from runtime.messaging.outbox.event_batch import decode_batch
from services.directory.adapters.tables import MESSAGING
from services.directory.domain.approval import Approval, Policy, State
from services.directory.domain.client import Role, digest
from services.directory.domain.precondition import ANY_REVISION, at_revision
from services.directory.handlers.approvals import ApprovalReader
from services.directory.handlers.watched_employers import WatchedSearch
from services.directory.load import LOADER
from tests.support.hub_on_disk import HubOnDisk
from tests.unit.services.directory.application_samples import request
from tests.unit.services.directory.handlers.test_sealing_keys import FIRST, SECOND, THIRD, Pair, challenged
from tests.unit.services.directory.samples import (
    OPERATOR,
    Directory,
    agreement,
    issue,
    organization,
    service_record,
)
from tests.unit.services.directory.watch_samples import employer as an_employer

STAFF = ApprovalReader(organization=None)
BEGIN = dt.datetime.now(dt.UTC) - dt.timedelta(days=20)


class DirectoryWithLog:
    """A directory whose events are logged and delivered. Each change is an hour after the one before."""

    def __init__(self, hub: HubOnDisk) -> None:
        self.hub = hub
        self.directory = Directory(hub.databases["directory"])
        self.two_persons = Directory(self.directory.database, policy=Policy.two_person)
        self.set(BEGIN)

    def set(self, moment: dt.datetime) -> None:
        self.directory.clock.time = self.two_persons.clock.time = moment

    def later(self, hours: float = 1) -> None:
        self.set(self.directory.clock.time + dt.timedelta(hours=hours))

    def log(self) -> None:
        """Log and deliver every event of the outbox, which is not emptied."""
        table = MESSAGING.outbox
        # Sealed messages go to the other exchange, and have no entry.
        wanted = select(table.c.body).where(table.c.exchange == EVENTS).order_by(table.c.number)
        with self.hub.databases["directory"].read() as transaction:
            bodies = transaction.execute(wanted).scalars().all()
        events = [Envelope.decode(event) for body in bodies for event in decode_batch(body)]
        self.hub.log.append(events)
        for event in (one for one in events if one.type in DELIVERED_TYPES):
            self.hub.deliver("", event, event.time)

    def prove(self, organization_id: str, old: Pair, new: Pair) -> None:
        """Replace the key by one whose request the holder of the old one has proved."""
        self.later()
        asked = challenged(self.directory.keys.publish(organization_id, new.public, by=organization_id))
        self.directory.keys.prove(organization_id, asked.challenge.id, old.content(asked)["answer"])

    def key_proved_after_an_approved_one(self) -> None:
        name, keys = "kg.approved-keys", [Pair.new() for _ in range(4)]
        self.directory.entries.put_organization(OPERATOR, organization(name))
        self.directory.keys.publish(name, keys[0].public, by=name)
        self.later()
        self.directory.keys.publish(name, keys[1].public, by=OPERATOR.id, operator=True)
        self.prove(name, keys[1], keys[2])
        self.prove(name, keys[2], keys[3])

    def key_of_a_loaded_record_and_back_to_it(self) -> None:
        name, keys = "kg.loaded-keys", [Pair.new() for _ in range(2)]
        loaded = replace(organization(name), sealing_key=keys[0].public)
        self.directory.entries.enter(Organization, [loaded], by=LOADER)
        self.prove(name, keys[0], keys[1])
        self.prove(name, keys[1], keys[0])

    def key_of_a_loaded_record(self) -> None:
        loaded = replace(organization("kg.loaded-once"), sealing_key=Pair.new().public)
        self.directory.entries.enter(Organization, [loaded], by=LOADER)

    def key_of_an_approved_record(self) -> None:
        record = replace(organization("kg.approved-record"), sealing_key=Pair.new().public)
        asked = self.two_persons.entries.put_organization(OPERATOR, record)
        assert isinstance(asked, Approval)
        self.later()
        self.two_persons.approvals.approve(asked.id, SECOND)

    def key_of_a_record_loaded_again(self) -> None:
        """Records are loaded again: with another key, with the first one, and after a proof."""
        name, keys = "kg.loaded-again", [Pair.new() for _ in range(3)]
        record = organization(name)
        for key in (None, keys[0], keys[1], keys[1], keys[0]):
            loaded = record if key is None else replace(record, sealing_key=key.public)
            self.directory.entries.enter(Organization, [loaded], by=LOADER)
            self.later()
        # A proof by a key that was loaded lately, and a key that is loaded over one that was proved.
        self.prove(name, keys[0], keys[2])
        self.later()
        self.directory.entries.enter(Organization, [replace(record, sealing_key=keys[1].public)], by=LOADER)

    def request_endorsed_again(self) -> None:
        """A partner's requests for a key. The first endorser is revoked before the second approval.

        In an earlier build the request stayed open, and another operator endorsed it again.
        """
        name = "kg.endorsed-keys"
        self.directory.entries.put_organization(OPERATOR, organization(name))
        self.directory.keys.publish(name, Pair.new().public, by=name)
        followers = self.two_persons.ledger.followers
        for client_id, ends in (("first", False), ("first-2", True)):
            issue(self.directory, FIRST.id, client_id, "f" * 43, Role.operator)
            asked = self.two_persons.keys.publish(name, Pair.new().public, by=name, without_proof=True)
            assert isinstance(asked, Approval)
            self.later()
            self.two_persons.approvals.approve(asked.id, FIRST)
            self.later()
            self.two_persons.ledger.followers = followers if ends else []
            self.two_persons.credentials.revoke(client_id, by=SECOND.id, operator=True)
            state = self.two_persons.approvals.one(asked.id, ApprovalReader(organization=None)).state
            assert state is (State.stale if ends else State.requested)
            for approver in () if ends else (SECOND, THIRD):
                self.later()
                self.two_persons.approvals.approve(asked.id, approver)

    def clients_while_the_clock_is_set_back(self) -> None:
        name = "kg.two-clients"
        self.directory.entries.put_organization(OPERATOR, organization(name))
        for client in ("one", "two"):
            issue(self.directory, name, f"{name}.{client}", client[0] * 43)
            self.later(-0.5)
        self.later()

    def requests_that_end(self) -> None:
        """Requests that stay open, are refused, or end with their application, which erases them."""
        for state in ("open", "refused"):
            name = f"kg.{state}-request"
            self.two_persons.entries.put_organization(OPERATOR, organization(name))
        (refused,) = [one for one in self.open_requests() if one.subject == "kg.refused-request"]
        self.later()
        self.two_persons.approvals.refuse(refused.id, SECOND)
        applied = self.two_persons.applications.apply(request())
        self.later()
        self.two_persons.applications.vet(applied.application.id, ApplicationVetting(), by=OPERATOR.id)
        self.later()
        assert applied.reference is not None
        self.two_persons.applications.withdraw(applied.application.id, applied.reference)

    def requests_that_lapse(self) -> None:
        """Requests that nobody decides in time: one that is approved too late, one that is made again."""
        two = self.two_persons
        for name in ("kg.lapsed-late", "kg.lapsed-again", "kg.lapsed-open"):
            two.entries.put_organization(OPERATOR, organization(name))
        late = next(one for one in self.open_requests() if one.subject == "kg.lapsed-late")
        self.later(24 * 8)
        with pytest.raises(Refused):
            two.approvals.approve(late.id, SECOND)
        two.entries.put_organization(OPERATOR, organization("kg.lapsed-again"))

    def applications(self) -> None:
        """Applications in every state: vetted, refused, withdrawn, expired, waiting (again) and deleted."""
        one, two = self.directory.applications, self.two_persons.applications
        approvals = self.two_persons.approvals
        ids: dict[str, str] = {}
        references: dict[str, str] = {}

        def apply(name: str) -> None:
            self.later()
            applied = one.apply(request(proposed_id=f"kg.applied-{name}", name=f"Applied {name} (invented)"))
            assert applied.reference is not None
            ids[name], references[name] = applied.application.id, applied.reference

        def refuse(name: str) -> None:
            self.later()
            rejection = ApplicationRejection(reason=ApplicationRefusal.not_genuine)
            one.refuse(ids[name], rejection, by=OPERATOR.id)

        def ask_to_vet(name: str, id: str | None = None) -> str:
            self.later()
            asked = two.vet(ids[name], ApplicationVetting(id=id), by=OPERATOR.id).approval_id
            self.later()
            assert asked is not None
            return asked

        for name in ("expired", "deleted"):
            apply(name)
        refuse("deleted")
        self.later(24 * 30)
        apply("lapsed")
        ask_to_vet("lapsed")
        self.later(24 * 8)
        two.tidy()
        # An application is decided within ninety days, and kept for thirty after its end.
        self.later(24 * 53)
        one.tidy()
        for name in ("alone", "approved", "renamed", "refused", "withdrawn", "gone", "waiting"):
            apply(name)
        one.vet(ids["alone"], ApplicationVetting(), by=OPERATOR.id)
        approvals.approve(ask_to_vet("approved"), SECOND)
        ask_to_vet("renamed")
        # Another request of the same person ends the first.
        approvals.refuse(ask_to_vet("renamed", id="kg.applied-again"), SECOND)
        refuse("refused")
        for name in ("withdrawn", "gone"):
            self.later()
            one.withdraw(ids[name], references[name])
        # So that it no longer counts towards the limit.
        refuse("gone")
        states = {application.id: application.state.value for application in one.page(None, "", 50)}
        assert {name: states.get(id_) for name, id_ in ids.items()} == {
            "expired": "expired",
            "deleted": None,
            "lapsed": "waiting",
            "alone": "vetted",
            "approved": "vetted",
            "renamed": "waiting",
            "refused": "refused",
            "withdrawn": "withdrawn",
            "gone": "refused",
            "waiting": "waiting",
        }

    def amqp_passwords(self) -> None:
        """Passwords that the gateway applies, that are replaced, and that end with their client."""
        name = "kg.over-amqp"
        self.directory.entries.put_organization(OPERATOR, organization(name))
        for client in ("desk", "amqp", "later"):
            issue(self.directory, name, f"{name}.{client}", client[0] * 43)
            self.later()
        desk, gateway = (
            Principal(id=name, roles=frozenset({"partner"}), client_id=f"{name}.{client}")
            for client in ("desk", "amqp")
        )
        passwords = self.directory.amqp_passwords
        for number, applied in enumerate((True, False, True)):
            password = "ABC"[number] * 48
            passwords.replace(password, by=desk)
            self.later()
            if applied:
                passwords.applied(password, by=gateway)
                self.later()
        self.directory.credentials.revoke(desk.client_id, by=OPERATOR.id, operator=True)

    def watch_reports(self) -> None:
        """Reports that count and that are retracted, an employer's replies, and choices to receive."""
        recipients = {"kg.union-one": "union", "ru.inspectorate-one": "state_body"}
        keys = {name: generate_key() for name in recipients}
        for name, kind in {**recipients, "kg.reporter-one": "ngo", "kg.reporter-two": "ngo"}.items():
            self.directory.entries.put_organization(OPERATOR, organization(name, kind=kind))
        reports = self.directory.watch_reports
        for name, key in keys.items():
            self.directory.keys.publish(name, read(SealingKey, public_key(key)), by=name)
            reports.choose(name, receives=True)
            self.later()

        def report(reporter: str, employer: str) -> str:
            self.later()
            evidence = tuple(
                Evidence(organization=name, sealed=seal({"text": "Invented."}, public_key(key)))
                for name, key in keys.items()
            )
            submitted = EmployerReport(
                employer=an_employer(employer),
                practices=(EmployerPractice.wages_withheld,),
                first_month="2026-01",
                last_month="2026-02",
                evidence=evidence,
            )
            return reports.report(reporter, submitted, key=employer).id

        for reporter in ("kg.reporter-one", "kg.reporter-two"):
            report(reporter, "Stroy Invented")
        retracted = report("kg.reporter-one", "Zavod Invented")
        self.later()
        reports.retract("kg.reporter-one", retracted)
        (watched,) = self.directory.watched_employers.page(WatchedSearch(), "", 10)
        for text in ("We paid.", "We paid everybody."):
            self.later()
            self.directory.watched_employers.reply(watched.id, text, by="kg.coordinator")
        self.later()
        for receives in (False, True, False):
            reports.choose("kg.union-one", receives=receives)
            self.later()

    def suspension_agreement_and_revocation(self) -> None:
        name = "kg.suspended"
        self.directory.entries.put_organization(OPERATOR, organization(name))
        issue(self.directory, name, f"{name}.desk", "d" * 43)
        self.later()
        self.directory.suspensions.suspend(name, SuspensionReason.no_answer, by="kg.coordinator")
        self.later()
        self.directory.entries.put_organization(OPERATOR, organization(name), precondition=ANY_REVISION)
        self.directory.entries.put_agreement(OPERATOR, agreement())
        self.later()
        self.directory.credentials.revoke(f"{name}.desk", by=OPERATOR.id, operator=True)

    def service_credentials_and_watch_reports(self) -> None:
        name, client = "kg.services", "kg.services.desk"
        needs = ["legal.wage_claim", "protection.trafficking"]
        record = organization(name, kind="union", services=[service_record(needs=needs)])
        self.directory.entries.put_organization(OPERATOR, record)
        self.directory.keys.publish(name, Pair.new().public, by=name)
        issue(self.directory, name, client, "d" * 43)
        own = Principal(id=name, roles=frozenset({"partner"}), client_id=client)
        self.later()
        self.directory.own_credentials.rotate(client, digest("e" * 43), by=own)
        self.later()
        self.directory.own_credentials.revoke_tokens(client, by=own, operator=False)
        self.directory.service_approvals.approve(
            "kg.coordinator",
            name,
            "legal",
            [needs[1]],
            precondition=at_revision(self.directory.listings.organization(name).revision),
        )
        self.later()
        self.directory.service_approvals.withdraw(
            "kg.coordinator", name, "legal", WithdrawalOfApproval.data_misused
        )
        self.directory.watch_reports.choose(name, receives=True)

    def open_requests(self) -> list[Approval]:
        return self.two_persons.approvals.page(STAFF, State.requested, "", 100)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The closed databases of a hub whose directory has made every kind of change."""
    folder = tmp_path_factory.mktemp("changed")
    hub = HubOnDisk(f"sqlite:///{folder}/{{service}}.sqlite")
    made = DirectoryWithLog(hub)
    made.set(BEGIN - dt.timedelta(days=150))
    made.applications()
    made.set(BEGIN)
    for change in (
        made.key_proved_after_an_approved_one,
        made.key_of_a_loaded_record_and_back_to_it,
        made.key_of_a_loaded_record,
        made.key_of_an_approved_record,
        made.key_of_a_record_loaded_again,
        made.request_endorsed_again,
        made.clients_while_the_clock_is_set_back,
        made.requests_that_end,
        made.suspension_agreement_and_revocation,
        made.service_credentials_and_watch_reports,
        made.amqp_passwords,
        made.watch_reports,
        made.requests_that_lapse,
    ):
        change()
        made.later()
    made.log()
    hub.close()
    return folder


def found(folder: Path, settled: dt.datetime | None = None) -> list[Difference]:
    """Return the differences. settled: a minute ago if it is None."""
    opened = engines({service: f"sqlite:///{folder}/{service}.sqlite" for service in SERVICES})
    try:
        settled = settled or dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
        return list(reconcile(ServiceStates(opened), settled, Compared()))
    finally:
        for engine in opened.values():
            engine.dispose()


def test_directory_agrees_with_the_log_of_its_own_events(folder: Path) -> None:
    assert found(folder) == []


def test_changes_that_the_log_does_not_have_yet_are_no_differences_until_they_are_settled(
    tmp_path: Path,
) -> None:
    """An application that ends, a report that is retracted, another reply, and one recipient less."""
    hub = HubOnDisk(f"sqlite:///{tmp_path}/{{service}}.sqlite")
    made = DirectoryWithLog(hub)
    made.watch_reports()
    directory, reports = made.directory, made.directory.watch_reports
    applied = directory.applications.apply(request())
    assert applied.reference is not None
    made.log()
    made.set(dt.datetime.now(dt.UTC))
    directory.applications.withdraw(applied.application.id, applied.reference)
    reports.choose("ru.inspectorate-one", receives=False)
    (watched,) = directory.watched_employers.page(WatchedSearch(), "", 10)
    directory.watched_employers.reply(watched.id, "We paid them all.", by="kg.coordinator")
    report, *_ = reports.reports_of("kg.reporter-two", "", 10)
    reports.retract("kg.reporter-two", report.id)
    try:
        assert found(tmp_path) == []
        later = found(tmp_path, dt.datetime.now(dt.UTC))
    finally:
        hub.close()
    assert sorted((one.record or "").rpartition(" ")[0] for one in later) == [
        "application",
        "recipient of watch reports",
        "reply of an employer",
        "watch report",
    ]


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "hub"))


def forge_key(folder: Path, name: str, forged: dict[str, object]) -> None:
    """Add a copy of the organisation's first row of sealing keys, with these columns in place of its own."""
    execute(
        folder,
        'INSERT INTO sealing_keys (organization, number, "key", since, until, manner, "by", approved_by)'
        ' SELECT organization, coalesce(?, number), "key", coalesce(?, since), until, coalesce(?, manner),'
        ' coalesce(?, "by"), approved_by FROM sealing_keys WHERE organization = ? ORDER BY number LIMIT 1',
        *[forged.get(column) for column in ("number", "since", "manner", "by")],
        name,
    )


@pytest.mark.parametrize(
    ("name", "forged"),
    [
        # Forged rows before all others, between two revisions, and after the newest.
        *[
            ("kg.loaded-keys", {"number": number, "manner": manner, "by": "kg.thief"})
            for number in (-5, 0, 99)
            for manner in ("first", "proved")
        ],
        ("kg.approved-keys", {"number": -5, "since": 0}),
        ("kg.loaded-once", {"number": 99, "manner": "proved", "by": "kg.thief"}),
        ("kg.loaded-once", {"number": 99}),
    ],
)
def test_forged_row_in_the_history_of_sealing_keys_is_named(
    copied: Path, name: str, forged: dict[str, object]
) -> None:
    forge_key(copied, name, forged)
    named = [one for one in found(copied) if one.record == f"organization {name}"]
    assert [one for one in named if "in the history of sealing keys" in one.what], named


@pytest.mark.parametrize("name", ["kg.loaded-once", "kg.approved-record"])
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE sealing_keys SET number = 99",
        "UPDATE sealing_keys SET since = since - 1",
        "UPDATE sealing_keys SET manner = 'proved'",
        "UPDATE sealing_keys SET \"by\" = 'kg.thief'",
        "UPDATE sealing_keys SET approved_by = 'kg.thief'",
        "UPDATE sealing_keys SET approved_by = CASE WHEN approved_by IS NULL THEN 'kg.second' END",
    ],
)
def test_rewritten_row_of_the_key_of_a_new_record_is_named(copied: Path, name: str, change: str) -> None:
    execute(copied, f"{change} WHERE organization = ?", name)
    assert {one.record for one in found(copied)} == {f"organization {name}"}


@pytest.mark.parametrize(("name", "number"), [("kg.loaded-keys", 1), ("kg.loaded-again", 2)])
def test_deleted_row_of_a_key_to_which_an_organization_returned_is_named(
    copied: Path, name: str, number: int
) -> None:
    execute(copied, "DELETE FROM sealing_keys WHERE organization = ? AND number = ?", name, number)
    assert f"organization {name}" in {one.record for one in found(copied)}


def execute(folder: Path, statement: str, *values: object) -> None:
    """Rewrite rows of the directory as somebody with access to its file would."""
    with closing(sqlite3.connect(folder / "directory.sqlite")) as connection, connection:
        assert connection.execute(statement, values).rowcount > 0


@pytest.mark.parametrize(
    ("subject", "blank"),
    [
        *[("kg.open-request", blank) for blank in ("null", "{}", "[]", '""')],
        ("kg.endorsed-keys", "{}"),
        ("kg.refused-request", "null"),
        # The directory erases the requests of applications only.
        ("kg.refused-request", "{}"),
        ("kg.lapsed-late", "{}"),
    ],
)
def test_blank_change_of_a_request_that_the_directory_does_not_erase_is_named(
    copied: Path, subject: str, blank: str
) -> None:
    execute(copied, "UPDATE approvals SET change = ? WHERE subject = ?", blank, subject)
    assert "the request for approval does not match its digest: the change was rewritten" in {
        one.what for one in found(copied) if one.where == "directory"
    }


@pytest.mark.parametrize(
    ("statement", "record"),
    [
        ("UPDATE sealing_keys SET since = since + 1 WHERE number = 4", "organization kg.approved-keys"),
        (
            "DELETE FROM sealing_keys WHERE organization = 'kg.loaded-keys' AND number = 2",
            "organization kg.loaded-keys",
        ),
        ("UPDATE approvals SET endorsed_by = 'kg.operator' WHERE endorsed_by = 'kg.second'", "approval "),
        ("UPDATE clients SET registered = 99 WHERE id = 'kg.two-clients.one'", "client kg.two-clients.two"),
        ("UPDATE approvals SET state = 'granted' WHERE change = '{}'", "approval "),
        ("UPDATE approvals SET state = 'granted' WHERE subject = 'kg.lapsed-late'", "approval "),
        ("UPDATE approvals SET state = 'requested' WHERE subject = 'kg.lapsed-late'", "approval "),
        (
            "UPDATE clients SET record = replace(record, 'amqp', 'other') WHERE id = 'kg.over-amqp.amqp'",
            "client kg.over-amqp.amqp",
        ),
        ("UPDATE revisions SET reason = 'other' WHERE reason IS NOT NULL", "organization kg.suspended"),
        (
            "UPDATE organizations SET record = replace(record, 'legal', 'other') WHERE id = 'kg.services'",
            "organization kg.services",
        ),
        (
            "UPDATE revisions SET record = '{}' WHERE id = 'kg.services.desk' AND number = 2",
            "client kg.services.desk",
        ),
        ("UPDATE agreements SET record = '{}'", "agreement network-memorandum"),
        (
            "UPDATE clients SET record = replace(record, 'false', 'true') WHERE id = 'kg.suspended.desk'",
            "client kg.suspended.desk",
        ),
    ],
)
def test_rewritten_row_of_each_change_is_named(copied: Path, statement: str, record: str) -> None:
    execute(copied, statement)
    named = [one.record or "" for one in found(copied) if one.where == "directory"]
    assert any(one.startswith(record) for one in named)


# Keyed by table: a column, its forged value and the row, as SQL.
FORGED = {
    "applications": [
        ("state", "'vetted'", "organization IS NULL AND state = 'waiting'"),
        ("state", "'vetted'", "state = 'refused' AND reason IS NOT NULL"),
        ("state", "'waiting'", "state = 'vetted'"),
        ("state", "'withdrawn'", "state = 'expired'"),
        ("organization", "'kg.thief'", "state = 'vetted'"),
        ("organization", "NULL", "state = 'vetted'"),
        ("approval_id", "NULL", "approval_id IS NOT NULL"),
        ("decided_by", "'kg.thief'", "state = 'vetted'"),
        ("decided_by", "NULL", "state = 'refused'"),
        ("decided_at", "decided_at - 1", "state = 'vetted'"),
        ("reason", "'other'", "state = 'refused'"),
        ("reason", "NULL", "state = 'refused'"),
        ("content", "replace(content, 'Applied', 'Forged')", "state = 'waiting'"),
        ("salt", "NULL, content = NULL", "state = 'waiting'"),
        ("salt", "'B' || substr(salt, 2)", "state = 'refused' AND salt IS NOT NULL"),
        ("expires_at", "expires_at + 1", "state = 'waiting'"),
        ("submitted_at", "submitted_at - 1", "state = 'expired'"),
        ("id", "'other'", "id = (SELECT max(id) FROM applications)"),
    ],
    "watch_reports": [
        ("retracted_at", "reported_at + 1", "retracted_at IS NULL"),
        ("retracted_at", "NULL", "retracted_at IS NOT NULL"),
        ("retracted_at", "retracted_at - 1", "retracted_at IS NOT NULL"),
        ("reporter", "'kg.reporter-three'", "retracted_at IS NOT NULL"),
        ("salt", "CASE WHEN salt LIKE 'B%' THEN 'C' ELSE 'B' END || substr(salt, 2)", "true"),
        ("recipients", "'[\"kg.union-one\"]'", "true"),
        ("allegation", "replace(allegation, 'wages_withheld', 'passports_withheld')", "true"),
        ("country", "'KG'", "true"),
        ("reported_at", "reported_at - 1", "true"),
    ],
    "watch_recipients": [
        ("since", "since - 1", "organization = 'ru.inspectorate-one'"),
        ("organization", "'kg.thief'", "organization = 'ru.inspectorate-one'"),
        ("organization", "'kg.union-one'", "organization = 'ru.inspectorate-one'"),
    ],
    "employer_replies": [
        ("text", "'\"Another reply.\"'", "true"),
        ('"by"', "'kg.thief'", "true"),
        ("employer", "replace(employer, 'Stroy', 'Other')", "true"),
        ("country", "'KG'", "true"),
        ("at", "at - 1", "true"),
        ("watched_id", "'other'", "true"),
    ],
}
NAMED = {
    "applications": "application ",
    "watch_reports": "watch report ",
    "watch_recipients": "recipient of watch reports ",
    "employer_replies": "reply of an employer ",
}


@pytest.mark.parametrize(
    ("table", "column", "value", "row"),
    [(table, *forged) for table, of_table in FORGED.items() for forged in of_table],
)
def test_forged_row_of_an_application_or_a_watch_report_is_named(
    copied: Path, table: str, column: str, value: str, row: str
) -> None:
    execute(copied, f"UPDATE {table} SET {column} = {value} WHERE {row}")  # noqa: S608 - a test's own values
    differences = found(copied)
    assert differences
    assert all((one.record or "").startswith(NAMED[table]) for one in differences), differences


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("applications", "state = 'waiting'"),
        ("watch_reports", "retracted_at IS NULL"),
        ("watch_reports", "retracted_at IS NOT NULL"),
        ("watch_recipients", "true"),
        ("employer_replies", "true"),
    ],
)
def test_deleted_row_of_an_open_application_or_a_watch_report_is_named(
    copied: Path, table: str, row: str
) -> None:
    execute(copied, f"DELETE FROM {table} WHERE {row}")  # noqa: S608 - a test's own values
    assert {one.what for one in found(copied)} == {f"the {NAMED[table].strip()} is missing"}


def test_rows_that_the_directory_deletes_in_time_are_not_differences(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended applications after the time that the network chose, expired reports, replies without a report."""
    execute(copied, "DELETE FROM applications WHERE state NOT IN ('waiting', 'in_approval')")
    assert found(copied) == []
    execute(copied, "DELETE FROM employer_replies")
    execute(copied, "DELETE FROM watch_reports")
    # No report has expired.
    assert {one.what for one in found(copied)} == {
        "the watch report is missing",
        "the reply of an employer is missing",
    }
    in_two_years = dt.datetime.now(dt.UTC) + dt.timedelta(days=2 * 366)
    monkeypatch.setattr(watch_states, "_now", lambda: in_two_years)
    assert found(copied) == []
