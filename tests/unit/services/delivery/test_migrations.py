from __future__ import annotations

from typing import Any

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import insert, select, update

from contracts.codes import ApplicationStep, ApprovalEnd, DeclineReason, Outcome
from contracts.facts import (
    ApplicationDecided,
    ApplicationSubmitted,
    ReferralAcceptorDeclinedPart,
    ReferralCompleted,
    ServiceApprovalEnded,
)
from runtime.identifiers import new_id
from runtime.storage.database import Database
from runtime.storage.migrate import differences, upgrade
from services.delivery.adapters.tables import CASE_LETTERS, MESSAGES
from services.delivery.domain.recipients import COORDINATORS
from services.delivery.migrations import alert_subjects, by_referral, closing
from tests.unit.services.delivery.workbench import (
    ACCEPTOR,
    NOW,
    REFERRAL,
    SENDER,
    Workbench,
    declined,
    event,
    opened,
    released_note,
    unplaced,
)


def test_migrations_produce_declared_schema(database_url: str) -> None:
    database = Database.open(database_url)
    upgrade("services.delivery", database)
    upgrade("services.delivery", database)
    assert differences("services.delivery", database) == []
    database.close()


def test_migration_closes_messages_of_ended_referrals_and_finds_open_offers(bench: Workbench) -> None:
    bench.receive(opened(), unplaced(), declined(), released_note())
    with bench.database.write() as connection:
        # The offer belongs to another referral, which is open.
        connection.execute(update(MESSAGES).where(MESSAGES.c.sequence == 1).values(referral_id=new_id()))
        # An earlier build kept the bodies of messages after the end of the referral.
        connection.execute(insert(CASE_LETTERS).values(referral_id=REFERRAL, closed_at=NOW))
        connection.execute(update(MESSAGES).values(body=b'{"data":{"offer_id":"an-offer"}}'))
        with Operations.context(MigrationContext.configure(connection)):
            by_referral.downgrade()
            closing.downgrade()
            closing.upgrade()
            by_referral.upgrade()
        rows = connection.execute(select(MESSAGES).order_by(MESSAGES.c.sequence)).all()
    found = [(row.type.split(".")[2], row.content, bool(row.body), row.offer_id) for row in rows]
    assert found == [
        ("opened", "open", True, "an-offer"),
        ("unplaced", "withdrawn", False, None),
        ("unplaced", "withdrawn", False, None),
        ("declined", None, True, None),
        ("delivered", "withdrawn", False, None),
    ]
    assert differences("services.delivery", bench.database) == []


def test_migration_lets_decisions_close_the_alerts_that_wait(bench: Workbench) -> None:
    ids = [new_id() for _ in range(2)]
    ended: dict[str, Any] = {"organization": ACCEPTOR, "approved_needs": ("health.hiv",), "by": "load"}
    bench.receive(
        *(
            event(ApplicationSubmitted(application_id=one, content="sha256:" + "0" * 64, expires_at=NOW))
            for one in ids
        ),
        event(ServiceApprovalEnded(**ended, service="clinic", reason=ApprovalEnd.widened)),
        event(ServiceApprovalEnded(**ended, service="home", reason=ApprovalEnd.removed)),
        event(
            ReferralAcceptorDeclinedPart(
                referral_id=REFERRAL,
                sender=SENDER,
                organization=ACCEPTOR,
                reason=DeclineReason.conflict_of_interest,
            )
        ),
    )
    with bench.database.write() as connection:
        # An earlier build wrote neither column. One of the messages has been read.
        connection.execute(update(MESSAGES).values(content=None, closed_at=None))
        read = MESSAGES.c.sequence == 1
        connection.execute(update(MESSAGES).where(read).values(acknowledged_at=NOW))
        with Operations.context(MigrationContext.configure(connection)):
            alert_subjects.downgrade()
            alert_subjects.upgrade()
        rows = connection.execute(
            select(MESSAGES.c.subject, MESSAGES.c.content)
            .where(MESSAGES.c.organization == COORDINATORS)
            .order_by(MESSAGES.c.sequence)
        ).all()
    assert [tuple(row) for row in rows] == [
        (None, None),
        (f"application:{ids[1]}", "open"),
        (f"service:{ACCEPTOR}/clinic", "open"),
        (None, None),
        (None, "open"),
    ]
    assert differences("services.delivery", bench.database) == []
    bench.receive(
        event(ApplicationDecided(application_id=ids[1], step=ApplicationStep.vetted, by="kg.aigul")),
        event(
            ReferralCompleted(
                referral_id=REFERRAL, sender=SENDER, organization=ACCEPTOR, outcome=Outcome.resolved
            )
        ),
    )
    closed = [m for m in bench.mailbox(COORDINATORS) if m["type"] == "kopuro.message.closed.v1"]
    assert [m["data"]["message_type"].split(".")[1] for m in closed] == ["application", "referral"]
