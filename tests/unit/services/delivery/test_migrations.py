from __future__ import annotations

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import insert, select, update

from runtime.identifiers import new_id
from runtime.storage.database import Database
from runtime.storage.migrate import differences, upgrade
from services.delivery.adapters.tables import CASE_LETTERS, MESSAGES
from services.delivery.migrations import by_referral, closing
from tests.unit.services.delivery.workbench import (
    NOW,
    REFERRAL,
    Workbench,
    declined,
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
        # The offer is of another referral, which is open.
        connection.execute(update(MESSAGES).where(MESSAGES.c.sequence == 1).values(referral_id=new_id()))
        # As an earlier build left it: the referral has ended, and its messages have their bodies.
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
