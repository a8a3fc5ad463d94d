"""Cases of barred organisations, and the coordinators' shared mailbox."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import select

from contracts.codes import HandBackReason, OrganizationKind, Vetting
from contracts.errors import Refused
from contracts.facts import (
    AcceptanceRevoked,
    Fact,
    OfferRevoked,
    OrganizationChanged,
    ReferralAcceptorSuspended,
    ReferralHandedBack,
    TokenKeyChanged,
)
from contracts.organization import Organization
from contracts.records import plain
from runtime.messaging.replica import ReplicaRecord
from services.delivery.adapters.standings import StandingsInMemory
from services.delivery.adapters.tables import ENDED_ACCEPTANCES, REPLICA
from services.delivery.domain.recipients import COORDINATORS
from services.delivery.handlers import KEPT
from services.delivery.migrations import standings
from tests.unit.services.delivery.workbench import (
    ACCEPTOR,
    OFFER,
    REFERRAL,
    SEALED,
    SECOND_OFFER,
    SENDER,
    Workbench,
    event,
    released_case,
    released_note,
)

NEXT = "ru.kazan-centre"
ANN, BEK = "coordinator.ann", "coordinator.bek"


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    bench = Workbench(database_url)
    yield bench
    bench.database.close()


def record(vetting: Vetting = Vetting.vetted, *, active: bool = True) -> ReplicaRecord:
    known = Organization(
        id=ACCEPTOR,
        name="Support",
        kind=OrganizationKind.ngo,
        country="RU",
        vetting=vetting,
        active=active,
    )
    return ReplicaRecord(
        type=OrganizationChanged.type, key=ACCEPTOR, change=1, data={"organization": plain(known)}
    )


@pytest.mark.parametrize(
    "barred",
    [
        record(Vetting.suspended),
        record(Vetting.left),
        record(Vetting.applied),
        record(active=False),
    ],
    ids=["suspended", "left", "applied", "inactive"],
)
def test_organization_out_of_standing_is_barred_until_readmitted(barred: ReplicaRecord) -> None:
    known = StandingsInMemory()
    assert not known.is_barred(ACCEPTOR)
    known.absorb([ReplicaRecord(type=TokenKeyChanged.type, key="kid", change=1, data={"key": {}}), barred])
    assert known.is_barred(ACCEPTOR)
    assert not known.is_barred(SENDER)
    known.absorb([record()])
    assert not known.is_barred(ACCEPTOR)


def test_case_of_barred_organization_is_refused_until_readmitted(bench: Workbench) -> None:
    bench.receive(released_case())
    bench.barred.add(ACCEPTOR)
    with pytest.raises(Refused) as refused:
        bench.partner.case(ACCEPTOR, REFERRAL)
    assert refused.value.slug == "forbidden"
    bench.barred.clear()
    assert bench.partner.case(ACCEPTOR, REFERRAL) == SEALED


def ended_acceptances(bench: Workbench) -> list[str]:
    with bench.database.read() as transaction:
        return list(transaction.execute(select(ENDED_ACCEPTANCES.c.offer_id)).scalars())


ENDS = [
    AcceptanceRevoked(
        referral_id=REFERRAL,
        offer_id=OFFER,
        organization=ACCEPTOR,
        sender=SENDER,
        coordinator="kg.coordinator",
    ),
    ReferralHandedBack(
        referral_id=REFERRAL,
        offer_id=OFFER,
        organization=ACCEPTOR,
        sender=SENDER,
        reason=HandBackReason.no_capacity,
    ),
]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.type)
def test_case_that_arrives_after_the_end_of_its_acceptance_is_not_kept(bench: Workbench, end: Fact) -> None:
    bench.receive(event(end))
    bench.receive(released_case())
    with pytest.raises(Refused) as refused:
        bench.partner.case(ACCEPTOR, REFERRAL)
    assert refused.value.slug == "not-found"
    assert SEALED not in bench.everything_stored()
    assert [m["type"] for m in bench.mailbox(ACCEPTOR)] == [end.type]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.type)
def test_case_of_later_acceptance_of_same_organization_is_kept(bench: Workbench, end: Fact) -> None:
    # In this order: the ids of the vault's messages rise.
    former, again = released_case(), released_case(offer_id=SECOND_OFFER)
    bench.receive(former, again)
    # The end of the first acceptance is read after the case of the second.
    bench.receive(event(end))
    assert bench.partner.case(ACCEPTOR, REFERRAL) == SEALED


def test_case_released_by_earlier_build_is_deleted_with_its_acceptance(bench: Workbench) -> None:
    bench.receive(released_case(offer_id=None))
    bench.receive(event(ENDS[1]))
    assert SEALED not in bench.everything_stored()


def test_ended_acceptances_are_forgotten_after_a_month(bench: Workbench) -> None:
    bench.receive(event(ENDS[1]))
    assert ended_acceptances(bench) == [OFFER]
    bench.clock.time += KEPT
    bench.partner.forget_old()
    assert ended_acceptances(bench) == [OFFER]
    bench.clock.time += dt.timedelta(seconds=1)
    assert bench.partner.forget_old()
    assert ended_acceptances(bench) == []


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.type)
def test_case_of_ended_acceptance_is_deleted_and_next_one_kept(bench: Workbench, end: Fact) -> None:
    taken_back = end
    bench.receive(released_case())
    bench.receive(event(taken_back))
    with pytest.raises(Refused) as refused:
        bench.partner.case(ACCEPTOR, REFERRAL)
    assert refused.value.slug == "not-found"
    assert SEALED not in bench.everything_stored()
    bench.receive(released_case(to=NEXT, offer_id=SECOND_OFFER))
    # The revocation may be read after the second release.
    bench.receive(event(taken_back))
    assert bench.partner.case(NEXT, REFERRAL) == SEALED


def test_migration_requests_replica_with_organizations(bench: Workbench) -> None:
    with bench.database.write() as connection:
        row = {"type": "kopuro.replica.state", "key": "delivery.directory", "revision": 1, "change": 1}
        connection.execute(REPLICA.insert(), {**row, "data": {}})
        with Operations.context(MigrationContext.configure(connection)):
            standings.upgrade()
        assert connection.execute(REPLICA.select()).all() == []


# --- the coordinators' mailbox ---------------------------------------------------------------------


def revoked() -> OfferRevoked:
    return OfferRevoked(
        referral_id=REFERRAL,
        offer_id=OFFER,
        organization=ACCEPTOR,
        sender=SENDER,
        reason="organization_suspended",
    )


def suspended() -> ReferralAcceptorSuspended:
    return ReferralAcceptorSuspended(referral_id=REFERRAL, sender=SENDER, organization=ACCEPTOR)


def test_coordinators_read_their_shared_mailbox_with_their_own(bench: Workbench) -> None:
    shared = [event(revoked()), event(suspended())]
    own = released_note(to=ANN)
    bench.receive(shared[0])
    bench.receive(own)
    bench.receive(shared[1])
    ids = [shared[0].id, own.id, shared[1].id]
    found: list[str] = []
    after = 0
    while (page := bench.partner.page(ANN, after=after, limit=1, wait=0, shared=(COORDINATORS,))).bodies:
        found += [m["id"] for m in bench.mailbox(ANN, after=after, limit=1, shared=(COORDINATORS,))]
        after = page.last
    assert found == ids
    assert [m["id"] for m in bench.mailbox(BEK, shared=(COORDINATORS,))] == [shared[0].id, shared[1].id]
    assert [m["id"] for m in bench.mailbox(ANN)] == [own.id]


def test_message_acknowledged_by_one_coordinator_is_done_for_all(bench: Workbench) -> None:
    shared, own = event(suspended()), released_note(to=ANN)
    bench.receive(shared)
    bench.receive(own)
    with pytest.raises(Refused):
        bench.partner.acknowledge(BEK, shared.id)
    results = bench.partner.acknowledge_all(ANN, [shared.id, own.id, "no-such"], shared=(COORDINATORS,))
    assert [result is True for result in results] == [True, True, False]
    assert bench.mailbox(ANN, shared=(COORDINATORS,)) == bench.mailbox(BEK, shared=(COORDINATORS,)) == []


def test_waiting_coordinator_is_woken_by_the_shared_mailbox(bench: Workbench) -> None:
    shared = event(suspended())
    with bench.notifier.listening(ANN, COORDINATORS) as subscription:
        bench.notifier.poll()
        subscription.clear()
        bench.receive(shared)
        assert subscription.wait(10)
