from __future__ import annotations

from collections.abc import Iterator

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import select

from contracts.codes import CapacityStatus, Urgency
from contracts.organization import Capacity
from runtime.identifiers import new_id
from runtime.storage.migrate import differences
from services.routing.adapters.tables import OBSERVATIONS, REFERRALS
from services.routing.migrations import asked, coordination
from tests.unit.services.routing.samples import HOUR, NOW, organization, service
from tests.unit.services.routing.workbench import Workbench, opened, submitted, workbench


@pytest.fixture
def busy(database_url: str) -> Iterator[Workbench]:
    """A database with pending offers: to an organisation with an expired offer, and to one without."""
    small = Capacity(status=CapacityStatus.capacity, updated_at=NOW, maximum=3)
    bench = workbench(database_url, *(organization(f"ru.{n}", service(capacity=small)) for n in range(2)))
    (first,) = opened(bench.take(submitted(new_id())))
    bench.fire(first.deadline + HOUR)
    bench.clock.time = NOW
    bench.take(*(submitted(new_id()) for _ in range(4)))
    yield bench
    bench.close()


def test_migration_counts_pending_offers(busy: Workbench) -> None:
    before = busy.observations()
    assert sorted((seen.expired, seen.pending) for seen in before.values()) == [(0, 3), (1, 2)]
    with busy.database.write() as connection, Operations.context(MigrationContext.configure(connection)):
        asked.downgrade()
        # As an earlier build left it: no row for an organisation that has pending offers only.
        connection.exec_driver_sql("DELETE FROM observations WHERE answered + expired + held = 0")
        asked.upgrade()
    assert busy.observations() == before
    assert differences("services.routing", busy.database) == []


def test_migration_with_existing_column_changes_nothing(busy: Workbench) -> None:
    with busy.database.write() as connection:
        connection.execute(OBSERVATIONS.update().values(asked=7))
        with Operations.context(MigrationContext.configure(connection)):
            asked.upgrade()
    assert {seen.pending for seen in busy.observations().values()} == {7}


def test_migration_ranks_open_referrals_by_urgency(busy: Workbench) -> None:
    busy.take(submitted(new_id(), urgency=Urgency.emergency), submitted(new_id(), urgency=Urgency.urgent))
    withdrawn = new_id()
    busy.take(submitted(withdrawn))
    with busy.database.write() as connection:
        closed = REFERRALS.update().where(REFERRALS.c.id == withdrawn)
        connection.execute(closed.values(status="withdrawn", priority=None))
        before = connection.execute(select(REFERRALS.c.id, REFERRALS.c.priority)).all()
        with Operations.context(MigrationContext.configure(connection)):
            coordination.downgrade()
            coordination.upgrade()
        after = connection.execute(select(REFERRALS.c.id, REFERRALS.c.priority)).all()
    assert {one.priority for one in before} == {0, 1, 2, None}
    assert sorted(after) == sorted(before)
    assert differences("services.routing", busy.database) == []
