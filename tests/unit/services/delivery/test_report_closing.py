"""Watch reports in mailboxes are erased at their retraction, their expiry, and their recipient's opt-out."""

from __future__ import annotations

import datetime as dt
from typing import Any

import orjson
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import func, select

from contracts.codes import EmployerKind, EmployerPractice
from contracts.employer import Allegation, Employer
from contracts.envelope import Event
from contracts.facts import (
    EmployerReportRetracted,
    Fact,
    SealedReportSubmitted,
    WatchReportsChosen,
)
from runtime.identifiers import new_id
from runtime.storage.migrate import differences
from services.delivery.adapters.tables import DELIVERED_REPORTS, MESSAGES, REPORT_ENDS
from services.delivery.handlers import KEPT
from services.delivery.migrations import watch_reports
from tests.support.events import message_of
from tests.unit.services.delivery.workbench import (
    CORRELATION,
    NOW,
    SEALED,
    SENDER,
    STRANGER,
    Workbench,
    released_note,
)

UNION, INSPECTORATE = "kg.builders-union", "kg.labour-inspectorate"
EXPIRY = NOW + dt.timedelta(days=730)
REPORT, OTHER_REPORT = new_id(), new_id()
# The values that must be erased: the reporter, the salt and the sealed evidence.
CANARIES = (SENDER, "S" * 43, SEALED)


def at(fact: Fact, minutes: int) -> Event[Fact]:
    return message_of(fact, REPORT, time=NOW + dt.timedelta(minutes=minutes), correlation_id=CORRELATION)


def submitted(to: str = UNION, report_id: str = REPORT, minutes: int = 0) -> Event[Fact]:
    allegation = Allegation(
        employer=Employer(name="Stroy (invented)", kind=EmployerKind.employer, country="RU"),
        practices=(EmployerPractice.wages_withheld,),
        first_month="2026-01",
        last_month="2026-02",
    )
    fact = SealedReportSubmitted(
        report_id=report_id,
        organization=to,
        reporter=SENDER,
        allegation=allegation,
        salt="S" * 43,
        evidence=SEALED,
        expires_at=EXPIRY,
    )
    return at(fact, minutes)


def retracted(minutes: int = 5) -> Event[Fact]:
    return at(EmployerReportRetracted(report_id=REPORT, recipients=(UNION, INSPECTORATE)), minutes)


def chosen(receives: bool, minutes: int, organization: str = UNION) -> Event[Fact]:
    fact = WatchReportsChosen(organization=organization, receives=receives, by=organization)
    return at(fact, minutes)


def kinds(bench: Workbench, organization: str = UNION, **options: Any) -> list[str]:
    found = bench.mailbox(organization, **options)
    return [message["data"].get("reason") or message["type"].split(".")[2] for message in found]


def canaries(bench: Workbench) -> list[str]:
    stored = bench.everything_stored()
    return [canary for canary in CANARIES if canary in stored]


@pytest.mark.parametrize("in_order", [True, False])
def test_retracted_report_leaves_no_content_in_any_mailbox(bench: Workbench, in_order: bool) -> None:
    reports = [submitted(), submitted(INSPECTORATE)]
    # The two arrive by different queues.
    for batch in (reports, [retracted()]) if in_order else ([retracted()], reports):
        bench.receive(*batch)
    assert canaries(bench) == []
    for organization in (UNION, INSPECTORATE):
        assert sorted(kinds(bench, organization)) == ["report_retracted", "retracted"]
    (closed,) = [m for m in bench.mailbox(UNION) if m["type"] == "kopuro.message.closed.v1"]
    assert closed["id"] == reports[0].id
    assert closed["data"] == {
        "referral_id": None,
        "message_type": "kopuro.employer_report.delivered.v1",
        "reason": "retracted",
        "closed_at": "2026-03-01T12:05:00Z",
    }


def test_retraction_leaves_other_reports(bench: Workbench) -> None:
    bench.receive(submitted(), submitted(report_id=OTHER_REPORT), retracted())
    assert sorted(kinds(bench)) == ["delivered", "report_retracted", "retracted"]


def test_acknowledged_report_can_be_read_again_until_it_is_retracted(bench: Workbench) -> None:
    bench.receive(message := submitted())
    bench.partner.acknowledge(UNION, message.id)
    bench.clock.time += dt.timedelta(days=1)
    assert bench.partner.forget_old()
    assert SEALED in bench.everything_stored()
    bench.receive(retracted())
    assert canaries(bench) == []


def test_report_is_erased_when_it_expires(bench: Workbench) -> None:
    bench.receive(submitted(), released_note(STRANGER))
    bench.clock.time = EXPIRY - dt.timedelta(seconds=1)
    assert bench.partner.forget_old()
    assert kinds(bench) == ["delivered"]
    bench.clock.time = EXPIRY + dt.timedelta(seconds=1)
    assert bench.partner.forget_old()
    assert kinds(bench) == ["expired"]
    assert CANARIES[1] not in bench.everything_stored()
    assert kinds(bench, STRANGER) == ["delivered"]
    with bench.database.read() as transaction:
        assert transaction.execute(select(func.count()).select_from(DELIVERED_REPORTS)).scalar_one() == 0


@pytest.mark.parametrize("in_order", [True, False])
def test_opt_out_erases_the_reports_of_its_organization_only(bench: Workbench, in_order: bool) -> None:
    own, others = submitted(), submitted(INSPECTORATE)
    for message in (own, chosen(False, 5)) if in_order else (chosen(False, 5), own):
        bench.receive(message)
    bench.receive(others)
    assert bench.partner.forget_old()
    assert kinds(bench) == ["opted_out"]
    assert kinds(bench, INSPECTORATE) == ["delivered"]
    assert bench.partner.forget_old()


def test_report_after_another_opt_in_stays(bench: Workbench) -> None:
    bench.clock.time += dt.timedelta(minutes=10)
    before, after = submitted(), submitted(report_id=OTHER_REPORT, minutes=9)
    bench.receive(after, before)
    bench.receive(chosen(False, 2), chosen(True, 3), chosen(False, 5), chosen(True, 6))
    assert bench.partner.forget_old()
    assert sorted(kinds(bench)) == ["delivered", "opted_out"]
    bench.receive(late := submitted(report_id=new_id(), minutes=10))
    assert bench.mailbox(UNION)[-1]["id"] == late.id
    assert kinds(bench)[-1] == "delivered"


def test_ends_are_forgotten_after_a_while(bench: Workbench) -> None:
    bench.receive(retracted(), chosen(False, 5))
    bench.clock.time += KEPT + dt.timedelta(minutes=6)
    assert bench.partner.forget_old()
    with bench.database.read() as transaction:
        assert transaction.execute(select(func.count()).select_from(REPORT_ENDS)).scalar_one() == 0


def test_report_of_a_sandbox_is_erased_at_its_expiry(bench: Workbench) -> None:
    data = orjson.loads(submitted().encode())["data"]
    bench.triggers.make(UNION, "employer_report.delivered", data)
    bench.clock.time = EXPIRY
    assert bench.partner.forget_old()
    assert kinds(bench) == ["expired"]


def test_migration_closes_retracted_reports_and_finds_the_others(bench: Workbench) -> None:
    bench.receive(submitted(), submitted(report_id=OTHER_REPORT))
    # An earlier build left the retraction in the mailbox, and the report with its body.
    with bench.database.write() as connection:
        connection.execute(DELIVERED_REPORTS.delete())
    bench.receive(retracted())
    with bench.database.write() as connection, Operations.context(MigrationContext.configure(connection)):
        watch_reports.downgrade()
        rows = connection.execute(select(MESSAGES.c.content, MESSAGES.c.closes_at)).all()
        assert [tuple(row) for row in rows] == [(None, None)] * 4
        watch_reports.upgrade()
    assert sorted(kinds(bench)) == ["delivered", "report_retracted", "retracted"]
    assert differences("services.delivery", bench.database) == []
    bench.clock.time = EXPIRY
    assert bench.partner.forget_old()
    assert sorted(kinds(bench)) == ["expired", "report_retracted", "retracted"]
