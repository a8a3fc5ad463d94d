"""Reconciliation against the services' own schemas: what it reads is what they write."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, delete, func, select, update
from sqlalchemy.exc import DBAPIError

from admin.environment_files import write_environment
from admin.read_only_engine import open_read_only
from admin.reconciliation import reconcile
from admin.reconciliation.service_states import SERVICES, ServiceStates
from contracts.envelope import Envelope, Event
from contracts.facts import HistoryRead, SubmissionRefused
from contracts.records import plain
from kopuro_client.commands import ExitCode, main
from runtime.identifiers import new_id
from runtime.messaging.outbox.event_batch import encode_batch
from runtime.messaging.outbox.outbox import outgoing
from runtime.messaging.outbox.unreceipted import Unreceipted
from runtime.messaging.ports import Outgoing
from sandbox.hub_files import HubFiles
from services.audit.adapters.tables import ENTRIES, FACETS, OPENINGS, UNFILED
from services.audit.adapters.tables import ORGANIZATIONS as ORGANIZATION_ENTRIES
from services.audit.log.adapters.sql_contents import SqlContents
from services.audit.log.adapters.sql_retention import SqlClosures
from services.audit.log.adapters.sql_unfiled import SqlUnfiled
from services.audit.log.handlers.filing import Filing
from services.audit.log.ports import StoredContent
from services.delivery.adapters.tables import CASE_LETTERS, MESSAGES
from services.delivery.domain.recipients import COORDINATORS, RECIPIENTS
from services.directory.adapters.tables import APPROVALS, CLIENTS, ORGANIZATIONS, REVISIONS, SEALING_KEYS
from services.directory.domain.change import ClientIssue, stored
from services.directory.domain.change import digest as digest_of_change
from services.directory.domain.client import Client, Role
from services.directory.domain.entry import Standing
from services.directory.domain.full_state import full_state, subjects_for
from services.routing.adapters.tables import DECISIONS, OFFERS, REFERRALS, TIMELINE
from services.vault.adapters.tables import CUSTODIES, EVIDENCE, SEALED_CASES
from tests.long_run import combinations
from tests.servers import PostgresServer
from tests.support.hub_on_disk import (
    MOSCOW,
    OSH,
    REPLICAS,
    THEN,
    HubOnDisk,
    complete,
    encoded,
    replicate,
)
from tests.unit.services.audit.logs import event


@pytest.fixture(params=["sqlite", "postgresql"])
def hub(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HubOnDisk]:
    """A hub on each kind of database in turn, which the command finds by its environment."""
    with ExitStack() as cleaning:
        template = f"sqlite:///{tmp_path}/{{service}}.sqlite"
        if request.param == "postgresql":
            server: PostgresServer = request.getfixturevalue("postgres")
            template = cleaning.enter_context(server.lent_databases(SERVICES))
        monkeypatch.setenv("KOPURO_DATABASE_TEMPLATE", template)
        made = HubOnDisk(template)
        cleaning.callback(made.close)
        yield made


def run(hub: HubOnDisk, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[dict[str, Any]]]:
    status = reconcile.main(["--json"])
    *found, summary = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert summary["differences"] == len(found)
    return status, found


def test_consistent_hub_has_no_differences(hub: HubOnDisk, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        hub.refer()
    assert run(hub, capsys) == (0, [])
    assert reconcile.main([]) == 0
    assert (
        "agree: 3 referrals, 9 messages, 0 directory revisions, 3 decisions, "
        "0 statements and 0 replica records compared" in capsys.readouterr().out
    )


def test_databases_of_environment_files_are_compared(
    hub: HubOnDisk, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KOPURO_DATABASE_TEMPLATE")
    hub.refer()
    for service in SERVICES:
        variables = {"KOPURO_DATABASE_URL": hub.template.format(service=service)}
        write_environment(tmp_path / f"{service}.env", variables)
    assert main(["admin", "reconcile", "--env", str(tmp_path)]) == 0
    assert "agree: 1 referral, 3 messages, " in capsys.readouterr().out
    (tmp_path / "vault.env").unlink()
    assert main(["admin", "reconcile", "--env", str(tmp_path)]) == 2


def test_published_event_without_receipt_is_counted_and_reported_if_unlogged(
    hub: HubOnDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    logged, dropped, recent = (HistoryRead(reader="kg.auditor", filter={}, entries=n) for n in range(3))
    published = [_history_read(fact) for fact in (logged, dropped, recent)]
    hub.log.append([Envelope.decode(published[0].body)])
    now = dt.datetime.now(dt.UTC)
    with hub.databases["audit"].write() as transaction:
        Unreceipted().add(transaction, encode_batch(published[:2]), THEN)
        Unreceipted().add(transaction, published[2:], now)
    assert reconcile.main(["--json"]) == 1
    *found, summary = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["where"], one["record"], one["what"]) for one in found] == [
        (
            "audit",
            f"event {published[1].message_id}",
            "history.read was published, but the log does not have it",
        )
    ]
    assert summary["unreceipted"] == {**dict.fromkeys(SERVICES, 0), "audit": 2}
    reconcile.main([])
    assert "events without a receipt: audit 2" in capsys.readouterr().out


def _history_read(fact: HistoryRead) -> Outgoing:
    number = new_id()
    return outgoing(
        Event(
            id=number,
            source="/kg/audit",
            time=THEN,
            partition_key="kg.auditor",
            correlation_id=number,
            causation_id=None,
            data=fact,
        )
    )


def test_missing_record_is_reported_as_difference(hub: HubOnDisk, capsys: pytest.CaptureFixture[str]) -> None:
    hub.refer()
    expected = {
        hub.refer(skip=skip): where
        for skip, where in (
            ("entry kopuro.referral.submitted.v1", {"intake", "routing"}),
            ("entry kopuro.offer.accepted.v1", {"routing", "delivery", "vault"}),
            ("entry kopuro.case.released.v1", {"vault", "delivery"}),
            ("mailbox kopuro.offer.opened.v1", {"delivery"}),
        )
    }
    status, found = run(hub, capsys)
    assert status == 1
    assert places(found) == expected


def places(found: list[dict[str, Any]], member: str = "referral_id") -> dict[str, set[str]]:
    """Return where the differences of each referral are, or of each record."""
    where: dict[str, set[str]] = {}
    for one in found:
        where.setdefault(one[member], set()).add(one["where"])
    return where


def test_rewritten_decision_is_reported(hub: HubOnDisk, capsys: pytest.CaptureFixture[str]) -> None:
    hub.refer()
    odd = []
    for rewritten in ({"record": {"score": 0.9}}, {"salt": b"\0" * 32}, {"salt": None}, {"id": "0" * 36}):
        odd.append(hub.decide(new_id()))
        with hub.databases["routing"].write() as transaction:
            transaction.execute(update(DECISIONS).where(DECISIONS.c.id == odd[-1]).values(rewritten))
    status, found = run(hub, capsys)
    assert status == 1
    assert {one["where"] for one in found} == {"routing"}
    assert {f"decision {one}" for one in odd} <= {one["record"] for one in found}


def test_deleted_or_unlogged_decision_is_reported(hub: HubOnDisk, capsys: pytest.CaptureFixture[str]) -> None:
    hub.refer()
    deleted, added = hub.decide(new_id()), hub.decide(new_id(), logged=False)
    with hub.databases["routing"].write() as transaction:
        transaction.execute(DECISIONS.delete().where(DECISIONS.c.id == deleted))
    status, found = run(hub, capsys)
    assert status == 1
    assert {one["what"] for one in found} == {
        f"the decision {deleted} is missing",
        f"the decision {added} has no commitment in the log",
    }


def test_decision_of_an_earlier_build_is_not_compared(
    hub: HubOnDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = hub.decide(new_id(), THEN - dt.timedelta(days=1), logged=False)
    with hub.databases["routing"].write() as transaction:
        transaction.execute(update(DECISIONS).where(DECISIONS.c.id == odd).values(salt=None))
    hub.refer()
    assert run(hub, capsys) == (0, [])


def test_erased_decision_is_reported_unless_its_referral_ended_and_its_commitment_is_the_logs(
    hub: HubOnDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.refer()
    ended, unended = hub.routed("completed"), hub.routed("accepted")
    erased, rewritten, early = hub.decide(ended), hub.decide(ended), hub.decide(unended)
    hub.erase(erased)
    hub.erase(rewritten, commitment="sha256:" + "0" * 64)
    hub.erase(early)
    _, found = run(hub, capsys)
    assert {one["what"] for one in found if "the decision" in one["what"]} == {
        f"the decision {rewritten} differs from the logged commitment: it was rewritten",
        f"the decision {early} was erased although its referral has not ended",
    }


# The service, its table, which rows of the referral, and their new values; without values they are deleted.
REWRITTEN: tuple[tuple[str, Table, dict[str, str], dict[str, Any] | None], ...] = (
    ("routing", REFERRALS, {}, {"sender": "kz.other"}),
    ("routing", REFERRALS, {}, {"acceptor": "kz.other"}),
    ("routing", OFFERS, {}, None),
    ("routing", TIMELINE, {}, None),
    ("routing", TIMELINE, {}, {"time": THEN - dt.timedelta(hours=1)}),
    ("vault", CUSTODIES, {}, {"acceptor": "kz.other"}),
    ("vault", SEALED_CASES, {}, None),
    ("vault", CUSTODIES, {}, {"state": "erased"}),
    ("vault", CUSTODIES, {}, {"acceptance_id": new_id()}),
    ("vault", EVIDENCE, {}, None),
    ("vault", EVIDENCE, {}, {"body": b"{}"}),
    ("vault", EVIDENCE, {}, {"body": encoded(event())}),
    ("delivery", MESSAGES, {}, None),
    ("delivery", MESSAGES, {"organization": OSH}, None),
    ("delivery", MESSAGES, {"organization": OSH}, {"organization": "kz.other"}),
    ("delivery", MESSAGES, {}, {"body": encoded(event())}),
    ("delivery", MESSAGES, {}, {"body": b"{}"}),
    ("delivery", CASE_LETTERS, {}, {"organization": "kz.other"}),
    ("delivery", CASE_LETTERS, {}, None),
)


def test_rewritten_rows_of_a_service_are_reported(hub: HubOnDisk, capsys: pytest.CaptureFixture[str]) -> None:
    """Each change is made to a referral of its own. Without values, its rows are deleted."""
    hub.refer()
    changed = {}
    for service, table, rows, values in REWRITTEN:
        number = hub.refer()
        of_referral = {"id" if table is REFERRALS else "referral_id": number}
        change = table.delete() if values is None else update(table).values(values)
        with hub.databases[service].write() as transaction:
            assert transaction.execute(change.filter_by(**of_referral, **rows)).rowcount > 0
        changed[number] = service
    status, found = run(hub, capsys)
    assert status == 1
    reported = places(found)
    assert {number for number, service in changed.items() if service in reported[number]} == reported.keys()
    assert reported.keys() == changed.keys()


def test_record_in_force_that_is_not_the_logged_revision_is_reported(
    hub: HubOnDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.revise()
    hub.log_revision()
    row = {"id": "record", "revision": 1, "record": {"id": "record"}, "kind": "union", "country": "KG"}
    hub.write("directory", ORGANIZATIONS, **row)
    assert run(hub, capsys) == (0, [])
    with hub.databases["directory"].write() as transaction:
        transaction.execute(update(ORGANIZATIONS).values(record={"id": "record", "vetting": "vetted"}))
    status, (found,) = run(hub, capsys)
    assert (status, found["where"], found["record"], found["index"]) == (
        1,
        "directory",
        "organization record",
        0,
    )
    with hub.databases["directory"].write() as transaction:
        transaction.execute(update(ORGANIZATIONS).values(record={"id": "record"}, revision=2))
    status, (found,) = run(hub, capsys)
    assert "revision 2, which does not exist" in found["what"]


CLIENT = Client(id="osh-laptop", principal=OSH, roles=(Role.partner,), secret_sha256="a" * 64)


def test_rewritten_client_is_reported(hub: HubOnDisk, capsys: pytest.CaptureFixture[str]) -> None:
    changes: tuple[dict[str, Any], ...] = (
        {"roles": (Role.operator,)},
        {"secret_sha256": "b" * 64},
        {"live": False},
        {"amqp_password_hash": "c" * 48},
    )
    clients = [replace(CLIENT, id=f"osh-{next(iter(changed))}") for changed in changes]
    for place, client in enumerate(clients, 1):
        registered = THEN + dt.timedelta(seconds=place)
        fact = full_state(Standing(revision=1, entry=client))
        hub.write(
            "directory",
            REVISIONS,
            subject="client",
            id=client.id,
            number=1,
            changed_by="kg.operator",
            changed_at=registered,
            record=client,
        )
        row = {"id": client.id, "revision": 1, "principal": OSH, "registered": place, "record": client}
        hub.write("directory", CLIENTS, **row)
        hub.log.append([event(fact.type, data=plain(fact), partition_key=client.id, time=registered)])
    assert run(hub, capsys) == (0, [])
    for table, what in (
        (CLIENTS, "the record in force is not revision 1"),
        (REVISIONS, "revision 1 has another record"),
    ):
        for client, changed in zip(clients, changes, strict=True):
            with hub.databases["directory"].write() as transaction:
                other = update(table).where(table.c.id == client.id)
                transaction.execute(other.values(record=replace(client, **changed)))
        status, found = run(hub, capsys)
        assert status == 1
        assert {(one["record"], one["index"]) for one in found} == {
            (f"client {client.id}", index) for index, client in enumerate(clients)
        }
        assert len(found) == len(clients)
        assert all(what in one["what"] for one in found)
        for client in clients:
            with hub.databases["directory"].write() as transaction:
                transaction.execute(update(table).where(table.c.id == client.id).values(record=client))


def test_revision_with_another_author_reason_or_time_is_reported(
    hub: HubOnDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    changes: tuple[dict[str, Any], ...] = (
        {"changed_by": "kg.other"},
        {"reason": "no_answer"},
        {"reason": None},
        {"changed_at": THEN - dt.timedelta(minutes=1)},
    )
    records = [{"id": f"record-{place}"} for place in range(len(changes))]
    for record in records:
        row = {**record, "revision": 1, "record": record, "kind": "union", "country": "KG"}
        hub.write("directory", ORGANIZATIONS, **row)
        hub.write(
            "directory",
            REVISIONS,
            **record,
            subject="organization",
            number=1,
            changed_by="kg.coordinator",
            changed_at=THEN,
            reason="complaint",
            record=record,
        )
        data: Any = {"revision": 1, "organization": record, "by": "kg.coordinator", "reason": "complaint"}
        told = event("kopuro.organization.changed.v1", data=data, partition_key=record["id"], time=THEN)
        hub.log.append([told])
    assert run(hub, capsys) == (0, [])
    for record, changed in zip(records, changes, strict=True):
        with hub.databases["directory"].write() as transaction:
            transaction.execute(update(REVISIONS).where(REVISIONS.c.id == record["id"]).values(changed))
    status, found = run(hub, capsys)
    assert status == 1
    assert sorted((one["record"], one["index"], one["what"]) for one in found) == [
        (f"organization record-{place}", place, "revision 1 has another author, reason or time than the log")
        for place in range(len(changes))
    ]


ISSUE = ClientIssue(
    client_id="kg.aigul", principal="kg.aigul", roles=(Role.coordinator,), secret_sha256="a" * 64
)
REQUEST = {"kind": ISSUE.kind.value, "subject": ISSUE.subject, "requested_by": "kg.operator"}


def test_rewritten_approval_is_reported(hub: HubOnDisk, capsys: pytest.CaptureFixture[str]) -> None:
    rewritten: tuple[tuple[dict[str, Any] | None, str], ...] = (
        (None, "is missing"),
        ({"requested_by": "kg.other"}, "differs from the one in the log"),
        ({"subject": "kg.other"}, "differs from the one in the log"),
        ({"digest": "0" * 64}, "differs from the one in the log"),
        ({"decided_by": "kg.other"}, "was decided by kg.other, in the log by kg.second"),
        ({"state": "refused"}, "is refused, but the log says granted"),
        ({"state": "requested"}, "is requested, but the log says granted"),
        ({"endorsed_by": "kg.other"}, "was endorsed by kg.other, in the log by nobody"),
        ({"id": "another"}, "is missing"),
    )
    numbers = [_approval(hub) for _ in rewritten]
    assert run(hub, capsys) == (0, [])
    for number, (values, _) in zip(numbers, rewritten, strict=True):
        change = APPROVALS.delete() if values is None else update(APPROVALS).values(values)
        with hub.databases["directory"].write() as transaction:
            transaction.execute(change.where(APPROVALS.c.id == number))
    status, found = run(hub, capsys)
    assert status == 1
    assert {
        (f"approval {number}", f"the request for approval {what}")
        for number, (_, what) in zip(numbers, rewritten, strict=True)
    } <= {(one["record"], one["what"]) for one in found}
    assert {one["where"] for one in found} == {"directory"}


def _approval(hub: HubOnDisk) -> str:
    """Add a request that was granted, as the log says; return its id."""
    number, change_ = new_id(), stored(ISSUE)
    digest = digest_of_change(ISSUE.kind, change_, "1")
    hub.write(
        "directory",
        APPROVALS,
        **REQUEST,
        id=number,
        concerned=ISSUE.concerned,
        change=change_,
        digest=digest,
        basis="1",
        requested_at=THEN,
        expires_at=THEN,
        state="granted",
        decided_by="kg.second",
        decided_at=THEN,
    )
    steps: dict[str, dict[str, Any]] = {
        "requested": {"digest": digest},
        "granted": {"digest": digest, "by": "kg.second"},
    }
    for step, data in steps.items():
        said = {**REQUEST, "id": number, "organization": None, **data}
        hub.log.append([event(f"kopuro.approval.{step}.v1", data=said, partition_key=number, time=THEN)])
    return number


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (SEALING_KEYS.delete(), "the key second is missing from the history of sealing keys"),
        (update(SEALING_KEYS).values(key={"kid": "third"}), "the log has no sealing key third"),
    ],
    ids=["deleted", "rewritten"],
)
def test_rewritten_history_of_sealing_keys_is_reported(
    hub: HubOnDisk, capsys: pytest.CaptureFixture[str], change: Any, expected: str
) -> None:
    hub.write(
        "directory",
        SEALING_KEYS,
        organization=OSH,
        number=2,
        key={"kid": "second"},
        since=THEN,
        manner="proved",
        by=OSH,
    )
    replaced = {"organization": OSH, "kid": "second", "manner": "proved", "by": OSH, "previous": "first"}
    notice = event("kopuro.sealing_key.replaced.v1", data=replaced, partition_key=OSH, time=THEN)
    hub.log.append([notice])
    hub.deliver("", notice)
    assert run(hub, capsys) == (0, [])
    with hub.databases["directory"].write() as transaction:
        transaction.execute(change)
    status, found = run(hub, capsys)
    assert status == 1
    assert (f"organization {OSH}", expected) in {(one["record"], one["what"]) for one in found}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (
            OPENINGS.delete().where(OPENINGS.c.leaf_index == 3),
            "The content of entry 3 is missing, and the log records no reason.",
        ),
        (
            update(FACETS).where(FACETS.c.leaf_index == 3).values(value="other"),
            "The search keys of entry 3 are not those of its content.",
        ),
        (
            ORGANIZATION_ENTRIES.delete().where(
                ORGANIZATION_ENTRIES.c.leaf_index == 3, ORGANIZATION_ENTRIES.c.organization == MOSCOW
            ),
            f"A search by {MOSCOW} does not find entry 3.",
        ),
    ],
    ids=["content", "search key", "party"],
)
def test_damage_beside_the_log_is_reported_with_its_entry_and_kind(
    hub: HubOnDisk, capsys: pytest.CaptureFixture[str], change: Any, what: str
) -> None:
    hub.refer()
    with hub.databases["audit"].write() as transaction:
        transaction.execute(change)
    status, found = run(hub, capsys)
    assert status == 1
    assert [one["what"] for one in found if one["record"] == "log"] == [what]


@pytest.mark.parametrize("during", [False, True], ids=["before", "during"])
def test_log_of_an_earlier_build_without_all_search_keys_yet_is_not_damage(
    hub: HubOnDisk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, during: bool
) -> None:
    hub.refer()
    with hub.databases["audit"].write() as transaction:
        transaction.execute(FACETS.delete().where(FACETS.c.leaf_index == 0))
        transaction.execute(UNFILED.update().values(start=0, stop=1))
    filing = Filing(hub.databases["audit"], SqlUnfiled(SqlClosures()))
    stored = SqlContents.stored

    def filed_meanwhile(self: SqlContents, *piece: Any) -> list[StoredContent]:
        found = stored(self, *piece)
        filing.turn()
        return found

    if during:
        monkeypatch.setattr(SqlContents, "stored", filed_meanwhile)
    assert run(hub, capsys) == (0, [])
    assert filing.is_done is during


def test_erasure_whose_reason_enters_the_log_during_the_run_is_not_damage(hub: HubOnDisk) -> None:
    erased, *others = [hub.refer() for _ in range(3)]
    with hub.databases["audit"].write() as transaction:
        of_erased = select(ENTRIES.c.leaf_index).where(ENTRIES.c.referral_id == erased)
        indices = list(transaction.execute(of_erased).scalars())
        SqlClosures().erase(transaction, [erased], stop=max(indices) + 1)
        # Damage of a later page: the first pass yields it when it has read the erased content.
        other = ENTRIES.c.referral_id == others[-1]
        last = transaction.execute(select(func.max(ENTRIES.c.leaf_index)).where(other)).scalar_one()
        transaction.execute(FACETS.delete().where(FACETS.c.leaf_index == last))
    opened = reconcile.engines({service: hub.template.format(service=service) for service in SERVICES})
    try:
        damage = ServiceStates(opened).content_damage(len(indices) + 1)
        assert next(damage) == f"The search keys of entry {last} are not those of its content."
        reason = {"referral_id": erased, "stop": max(indices) + 1, "entries": len(indices)}
        told = event("kopuro.content.erased.v1", data=reason, partition_key=erased, time=THEN)
        hub.log.append([told])
        assert list(damage) == []
    finally:
        for engine in opened.values():
            engine.dispose()


def test_alert_that_the_coordinators_got_as_a_number_is_not_missing(
    hub: HubOnDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    number = hub.refer()
    unplaced = {"referral_id": number, "sender": OSH, "reason": "no_candidate"}
    alert = event("kopuro.referral.unplaced.v1", data=unplaced, partition_key=number, time=THEN)
    hub.log.append([alert])
    hub.step(number, alert)
    hub.deliver(number, alert)
    assert run(hub, capsys) == (0, [])
    for organization, missing in ((COORDINATORS, False), (OSH, True)):
        with hub.databases["delivery"].write() as transaction:
            is_alert = MESSAGES.c.message_id == alert.id
            transaction.execute(MESSAGES.delete().where(is_alert, MESSAGES.c.organization == organization))
        assert bool(run(hub, capsys)[1]) is missing, organization


def test_result_of_an_amqp_submission_needs_no_entry(
    hub: HubOnDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = SubmissionRefused(referral_id=None, organization=OSH, submission_id=None, problem={})
    hub.deliver("", event(refused.type, data=plain(refused), partition_key=OSH, time=THEN))
    assert run(hub, capsys) == (0, [])


@pytest.mark.parametrize("column", [{"data": {"decisions": []}}, {"salt": b"\0" * 32}], ids=str)
def test_rewritten_commitment_is_reported(
    hub: HubOnDisk, capsys: pytest.CaptureFixture[str], column: dict[str, Any]
) -> None:
    hub.decide(new_id())
    with hub.databases["audit"].write() as transaction:
        transaction.execute(update(OPENINGS).where(OPENINGS.c.leaf_index == 0).values(column))
    status, found = run(hub, capsys)
    assert status == 1
    assert ("log", "The content of entry 0 does not match the log's commitment.") in {
        (one["where"], one["what"]) for one in found
    }


def test_referral_that_changed_in_the_future_is_reported(
    hub: HubOnDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    number = hub.refer()
    future = dt.datetime.now(dt.UTC) + dt.timedelta(days=365)
    with hub.databases["routing"].write() as transaction:
        transaction.execute(update(REFERRALS).values(updated_at=future, acceptor="kz.other"))
    status, found = run(hub, capsys)
    assert status == 1
    assert [(one["referral_id"], one["where"], one["what"]) for one in found] == [
        (number, "routing", f"updated_at of referrals is in the future: {future.isoformat()}")
    ]


def test_texts_of_a_database_do_not_control_the_terminal(
    hub: HubOnDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    number = hub.refer()
    with hub.databases["routing"].write() as transaction:
        forged = "done\nagree\x1b[2J\u202e"
        transaction.execute(update(REFERRALS).values(status=forged))
    assert reconcile.main([]) == 1
    first, *_ = capsys.readouterr().out.split("\n")
    escaped = r"done\nagree\x1b[2J\u202e"
    assert first == f"{number}  routing: the status {escaped} is unknown"


def test_referral_in_transit_is_ignored(hub: HubOnDisk, capsys: pytest.CaptureFixture[str]) -> None:
    hub.refer(skip="entry kopuro.offer.accepted.v1", moved=dt.datetime.now(dt.UTC))
    assert run(hub, capsys)[0] == 0
    assert reconcile.main(["--settled", "0"]) == 1


def test_directory_revision_that_never_entered_the_log_is_named(
    hub: HubOnDisk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "PAGE", 1)
    subjects = ("agreement", "client", "organization", "token_key")
    for subject in subjects:
        for number in (1, 2, 3):
            hub.revise(number, subject=subject)
        hub.log_revision(1, subject=subject)
        hub.log_revision(3, subject=subject)
    status, found = run(hub, capsys)
    assert status == 1
    assert sorted(found, key=lambda one: str(one["record"])) == [
        {
            "referral_id": None,
            "record": f"{subject} record",
            "where": "directory",
            "what": f"revision 2 exists, but the log has no {subject}.changed entry for it",
            "index": None,
        }
        for subject in subjects
    ]
    assert reconcile.main([]) == 1
    shown = capsys.readouterr().out
    assert all(f"{subject} record  directory: revision 2 exists" in shown for subject in subjects)


def test_directory_entry_without_a_revision_is_named(
    hub: HubOnDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.revise(1)
    hub.log_revision(1)
    hub.log_revision(2)
    status, found = run(hub, capsys)
    assert (status, [(one["where"], one["index"]) for one in found]) == (1, [("directory", 1)])


@pytest.mark.parametrize("services", [["vault"], list(REPLICAS)], ids=["one", "all"])
def test_replica_that_says_what_the_log_says_is_not_a_difference(
    hub: HubOnDisk, capsys: pytest.CaptureFixture[str], services: list[str]
) -> None:
    replicated = [(service, one) for service in services for one in subjects_for(f"{service}.directory")]
    for subject in dict.fromkeys(one for _, one in replicated):
        hub.revise(1, subject=subject)
        hub.log_revision(1, subject=subject)
    for service, subject in replicated:
        replicate(hub, service, subject)
    for service in services:
        complete(hub, service)
    # On its way to the service.
    hub.revise(2, moved=dt.datetime.now(dt.UTC))
    hub.log_revision(2, moved=dt.datetime.now(dt.UTC))
    assert run(hub, capsys) == (0, [])
    reconcile.main(["--json"])
    assert json.loads(capsys.readouterr().out)["replicated"] == len(replicated)
    reconcile.main([])
    counted = "1 replica record" if len(replicated) == 1 else f"{len(replicated)} replica records"
    assert f" and {counted} compared, " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("service", "rewritten"),
    combinations(
        list(REPLICAS),
        [
            (
                {"data": {"revision": 1, "organization": {"id": "record", "vetting": "vetted"}}},
                "rewritten",
                0,
            ),
            ({"data": {"revision": 1, "organization": {"id": "other"}}}, "rewritten", 0),
            ({"data": {}}, "rewritten", 0),
            ({"revision": 7}, "revision 7, which the log does not have", None),
            ({"key": "invented"}, "which the log does not have", None),
        ],
    ),
)
def test_rewritten_row_of_a_replica_is_reported(
    hub: HubOnDisk,
    capsys: pytest.CaptureFixture[str],
    service: str,
    rewritten: tuple[dict[str, Any], str, int | None],
) -> None:
    row, what, index = rewritten
    hub.revise()
    hub.log_revision()
    replicate(hub, service, **row)
    complete(hub, service)
    status, (found, *others) = run(hub, capsys)
    assert [one["what"] for one in others] == (
        ["its replica of the directory lacks the record"] if "key" in row else []
    )
    assert (status, found["where"]) == (1, service)
    assert found["record"] == f"organization {row.get('key', 'record')}"
    assert what in found["what"]
    assert found["index"] == index


def test_replica_with_an_earlier_revision_or_without_a_record_is_reported(
    hub: HubOnDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        hub.revise(number)
        hub.log_revision(number)
    replicate(hub, "intake")
    complete(hub, "intake")
    complete(hub, "vault")
    _, found = run(hub, capsys)
    assert [(one["where"], one["what"], one["index"]) for one in found] == [
        ("intake", "its replica of the directory has revision 1, but the log has 2", 1),
        ("vault", "its replica of the directory lacks the record", 1),
    ]


def test_replica_without_the_mark_of_a_snapshot_is_reported(
    hub: HubOnDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.revise()
    hub.log_revision()
    replicate(hub, "delivery")
    with hub.databases["delivery"].write() as transaction:
        transaction.execute(update(REPLICAS["delivery"]).values(type="kopuro.replica.state"))
    replicate(hub, "delivery")
    assert run(hub, capsys) == (0, [])
    with hub.databases["delivery"].write() as transaction:
        transaction.execute(delete(REPLICAS["delivery"]).where(REPLICAS["delivery"].c.type.like("%state")))
    _, (found,) = run(hub, capsys)
    assert "not complete" in found["what"]


def test_equal_and_pending_directory_revisions_are_not_differences(
    hub: HubOnDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    now = dt.datetime.now(dt.UTC)
    hub.revise(1)
    hub.log_revision(1)
    hub.revise(2, moved=now)
    hub.log_revision(3, moved=now)
    hub.revise(1, subject="client")
    hub.log_revision(1, subject="client")
    assert run(hub, capsys) == (0, [])
    assert reconcile.main([]) == 0
    assert "2 directory revisions, " in capsys.readouterr().out


def test_reconciliation_over_many_pages_skips_no_record(
    hub: HubOnDisk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "PAGE", 3)
    odd = set()
    for n in range(20):
        number = hub.refer(skip="" if n % 4 else "entry kopuro.case.released.v1")
        if n % 4 == 0:
            odd.add(number)
    status, found = run(hub, capsys)
    assert (status, {one["referral_id"] for one in found}) == (1, odd)
    assert {one["where"] for one in found} == {"vault", "delivery"}
    assert len(found) == 2 * len(odd)


def test_delivered_facts_are_those_of_which_a_mailbox_gets_the_message() -> None:
    taken = {".".join(type.split(".")[1:-1]) for type in RECIPIENTS} - {"receipt.issued", "receipts.issued"}
    # These only close messages that are in a mailbox.
    assert taken - {"alert.closed", "watch_reports.chosen", "application.decided"} == reconcile.DELIVERED


def test_reconciliation_cannot_write(hub: HubOnDisk) -> None:
    hub.refer()
    engine = open_read_only(hub.template.format(service="routing"))
    with pytest.raises(DBAPIError, match=r"read-?only"), engine.begin() as connection:
        connection.execute(REFERRALS.delete())
    engine.dispose()


def test_data_directory_gives_the_urls_of_its_databases(tmp_path: Path) -> None:
    files = HubFiles(tmp_path)
    (tmp_path / "data").mkdir()
    for name in SERVICES:
        files.database(name).touch()
    expected = {name: f"sqlite:///{files.database(name)}" for name in SERVICES}
    assert reconcile.database_urls(tmp_path, {}) == expected


def test_template_counts_for_a_data_directory_without_databases(tmp_path: Path) -> None:
    template = {"KOPURO_DATABASE_TEMPLATE": "x://{service}"}
    assert reconcile.database_urls(tmp_path, template) == {name: f"x://{name}" for name in SERVICES}


def test_directory_and_template_that_both_could_be_meant_are_refused(tmp_path: Path) -> None:
    files = HubFiles(tmp_path)
    (tmp_path / "data").mkdir()
    files.database("audit").touch()
    with pytest.raises(ValueError, match="names others"):
        reconcile.database_urls(tmp_path, {"KOPURO_DATABASE_TEMPLATE": "x://{service}"})
    with pytest.raises(ValueError, match="has no database of intake"):
        reconcile.database_urls(tmp_path, {})


def test_command_on_hub_without_databases_exits_with_usage_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KOPURO_DATABASE_TEMPLATE", raising=False)
    for options in ([], ["--json"]):
        assert main(["admin", "reconcile", "--data-dir", str(tmp_path), *options]) == ExitCode.USAGE
        assert "KOPURO_DATABASE_TEMPLATE" in " ".join(capsys.readouterr().err.replace("│", " ").split())
    monkeypatch.setenv("KOPURO_DATABASE_TEMPLATE", "postgresql+psycopg2://u:secret@127.0.0.1:1/{service}")
    for options in ([], ["--json"]):
        assert main(["admin", "reconcile", "--data-dir", str(tmp_path), *options]) == ExitCode.CANNOT_CONNECT
        err = capsys.readouterr().err
        assert "refused" in err
        assert "secret" not in err
        assert "OperationalError" not in err


def test_misused_command_or_unreadable_database_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KOPURO_DATABASE_TEMPLATE", raising=False)
    with pytest.raises(SystemExit) as left:
        reconcile.main([])
    assert left.value.code == 2
    with pytest.raises(SystemExit) as left:
        reconcile.main(["--data-dir", str(tmp_path / "nowhere")])
    assert left.value.code == 2
    assert "has no database" in capsys.readouterr().err
    monkeypatch.setenv("KOPURO_DATABASE_TEMPLATE", f"sqlite:///{tmp_path}/nowhere/{{service}}.sqlite")
    assert reconcile.main([]) == ExitCode.CANNOT_CONNECT
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["admin", "reconcile"], ["admin", "count-custody"], ["admin", "migrate", "--all"]]
)
def test_url_for_another_driver_is_a_wrong_argument(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KOPURO_DATABASE_TEMPLATE", "postgresql://reader:hunter4@db/kopuro_{service}")
    assert main(command) == ExitCode.USAGE
    refusal = capsys.readouterr().err
    assert "must begin with postgresql+psycopg2:// or sqlite:///" in refusal
    assert "hunter4" not in refusal
