from __future__ import annotations

from collections.abc import Iterator

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import select

from contracts.codes import CapacityStatus, Outcome, Urgency, Vetting
from contracts.envelope import Event
from contracts.facts import Fact, OfferOpened, OutcomeSubmitted
from contracts.organization import Capacity
from runtime.identifiers import new_id
from runtime.storage.migrate import differences
from services.routing.adapters.tables import REFERRALS
from services.routing.domain.coordination_queue import QueueFilter, QueueKind
from services.routing.domain.network_figures import OpenReferrals
from services.routing.migrations import acceptor_suspended, asked, coordination, figures, service_loads, turns
from tests.unit.services.routing.samples import HOUR, NOW, SENDER, organization, service
from tests.unit.services.routing.workbench import Workbench, accepted_by, event, opened, submitted, workbench


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
        service_loads.downgrade()
        asked.downgrade()
        # An earlier build wrote no row for an organisation that has pending offers only.
        connection.exec_driver_sql("DELETE FROM observations WHERE answered + expired + held = 0")
        asked.upgrade()
        service_loads.upgrade()
    assert busy.observations() == before
    assert differences("services.routing", busy.database) == []


def test_migration_with_existing_column_changes_nothing(busy: Workbench) -> None:
    with busy.database.write() as connection, Operations.context(MigrationContext.configure(connection)):
        service_loads.downgrade()
        connection.exec_driver_sql("UPDATE observations SET asked = 7")
        asked.upgrade()
        found = connection.exec_driver_sql("SELECT DISTINCT asked FROM observations").scalars().all()
    assert found == [7]


def completed(offer: OfferOpened) -> Event[Fact]:
    outcome = OutcomeSubmitted(
        referral_id=offer.referral_id, organization=offer.organization, outcome=Outcome.resolved
    )
    return event(outcome, offer.referral_id)


TWO_SERVICES = (service(id="near"), service(id="shelter", needs=("shelter",)))


@pytest.fixture
def divided(database_url: str) -> Iterator[Workbench]:
    """A database with accepted referrals and open offers at both services of one organisation."""
    bench = workbench(database_url, organization("ru.house", *TWO_SERVICES))
    for needs, accepted, closed in (("legal.wage_claim", 3, 1), ("shelter", 2, 0)):
        offers = opened(bench.take(*(submitted(new_id(), needs=(needs,)) for _ in range(5))))
        bench.take(*(accepted_by(offer) for offer in offers[:accepted]))
        bench.take(*(completed(offer) for offer in offers[:closed]))
    yield bench
    bench.close()


def test_migration_divides_rows_of_the_old_shape_by_service(divided: Workbench) -> None:
    before = divided.observations()
    loads = before["ru.house"].services
    assert {name: (load.accepted, load.pending) for name, load in loads.items()} == {
        "near": (2, 2),
        "shelter": (2, 3),
    }
    with divided.database.write() as connection, Operations.context(MigrationContext.configure(connection)):
        service_loads.downgrade()
        old = connection.exec_driver_sql("SELECT held, asked FROM observations").all()
        demand = connection.exec_driver_sql("SELECT sender, urgency, offers, waiting FROM demand").all()
        service_loads.upgrade()
    assert [tuple(row) for row in old] == [(4, 5)]
    assert [tuple(row) for row in demand] == [(SENDER, "routine", 5, 0)]
    assert divided.observations() == before
    assert before["ru.house"].last_asked == NOW
    assert differences("services.routing", divided.database) == []


def test_migration_ranks_open_referrals_by_urgency(busy: Workbench) -> None:
    busy.take(submitted(new_id(), urgency=Urgency.emergency), submitted(new_id(), urgency=Urgency.urgent))
    withdrawn = new_id()
    busy.take(submitted(withdrawn))
    with busy.database.write() as connection:
        closed = REFERRALS.update().where(REFERRALS.c.id == withdrawn)
        connection.execute(closed.values(status="withdrawn", priority=None))
        before = connection.execute(select(REFERRALS.c.id, REFERRALS.c.priority)).all()
        with Operations.context(MigrationContext.configure(connection)):
            acceptor_suspended.downgrade()
            turns.downgrade()
            figures.downgrade()
            coordination.downgrade()
            coordination.upgrade()
            figures.upgrade()
            turns.upgrade()
            acceptor_suspended.upgrade()
        after = connection.execute(select(REFERRALS.c.id, REFERRALS.c.priority)).all()
    assert {one.priority for one in before} == {0, 1, 2, None}
    assert sorted(after) == sorted(before)
    assert differences("services.routing", busy.database) == []


def test_migration_gives_a_turn_to_a_referral_that_is_split_and_may_rejoin(busy: Workbench) -> None:
    ids = [new_id() for _ in range(4)]
    busy.take(*(submitted(one, sender=f"kg.sender-{one}", needs=("consular.passport",)) for one in ids))
    whole = REFERRALS.update().where(REFERRALS.c.id == ids[1])
    with busy.database.write() as connection:
        connection.execute(whole.values(status="split", priority=None))
        with Operations.context(MigrationContext.configure(connection)):
            acceptor_suspended.downgrade()
            turns.downgrade()
            turns.upgrade()
            acceptor_suspended.upgrade()
        # The rows that routing writes when an acceptance is read late and the referral is whole again.
        connection.execute(whole.values(status="unplaced", priority=2))

    found: list[str] = []
    position = None
    for _ in range(2):
        items, position = busy.coordination.queue(
            QueueKind.unplaced, NOW, QueueFilter(), after=position, limit=2
        )
        found += [one.id for one in items]
    assert (found, position) == (sorted(ids), None)
    assert differences("services.routing", busy.database) == []


def test_migration_finds_kind_of_open_referrals_in_their_facts(busy: Workbench) -> None:
    busy.take(submitted(new_id(), needs=("health", "legal.wage_claim"), region="KZ-75"))

    def kinds() -> set[OpenReferrals]:
        return set(busy.queries.figures().open)

    before = kinds()
    assert {(one.need_group, one.country) for one in before} == {("legal", "RU"), ("health", "KZ")}
    with busy.database.write() as connection, Operations.context(MigrationContext.configure(connection)):
        figures.downgrade()
        figures.upgrade()
    assert kinds() == before
    assert differences("services.routing", busy.database) == []


def test_migration_keeps_which_acceptors_were_reported_as_suspended_and_since_when(busy: Workbench) -> None:
    held, other = opened([one.data for one in busy.published()])[-2:]
    busy.take(accepted_by(held), accepted_by(other))
    busy.absorb([organization(held.organization, vetting=Vetting.suspended)])
    reported = busy.clock.time = NOW + HOUR
    busy.commands.act_on_suspensions(reported)
    since = select(REFERRALS.c.id, REFERRALS.c.acceptor_suspended_since)
    with busy.database.write() as connection:
        before = sorted(connection.execute(since.where(REFERRALS.c.acceptor_suspended_since.is_not(None))))
        with Operations.context(MigrationContext.configure(connection)):
            acceptor_suspended.downgrade()
            acceptor_suspended.upgrade()
        after = sorted(connection.execute(since.where(REFERRALS.c.acceptor_suspended_since.is_not(None))))
    assert (held.referral_id, reported) in before
    assert after == before
    assert differences("services.routing", busy.database) == []
