"""Unplaced referrals that help for a further need places in parts, through the handlers and the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, product
from typing import Any

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import select

from contracts.codes import (
    Answer,
    CapacityStatus,
    DeclineReason,
    DisclosureClass,
    Urgency,
    Vetting,
    WithdrawalReason,
)
from contracts.facts import (
    AgreementChanged,
    Fact,
    OfferOpened,
    PlacementSubmitted,
    ReferralSplit,
    WithdrawalSubmitted,
)
from contracts.organization import Agreement, ApprovedService, Capacity, Organization
from contracts.part_id import part_id
from contracts.records import plain
from runtime.identifiers import new_id
from runtime.messaging.replica import ReplicaRecord
from services.routing.adapters.tables import FURTHER_NEEDS, REFERRALS, WAITING
from services.routing.domain.directory import Reach
from services.routing.handlers import transactions
from services.routing.migrations import further_needs as further_needs_migration
from tests.unit.services.routing.concerned import is_concerned
from tests.unit.services.routing.families import LEGAL, SHELTER, WORK
from tests.unit.services.routing.samples import (
    HOUR,
    NOW,
    SENDER,
    agreement,
    consent,
    organization,
    service,
)
from tests.unit.services.routing.test_splitting import answer, helping, outcome, several
from tests.unit.services.routing.test_unplaced import again, changed_record, rows
from tests.unit.services.routing.workbench import Workbench, asked_for, event, opened, submitted, workbench

HIV = "health.hiv"
FULL = Capacity(status=CapacityStatus.no_capacity, updated_at=NOW)
APPROVAL = ApprovedService(service="legal", needs=(HIV,), by="kg.coordinator", at=NOW)


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    """Nobody meets any need, and the first review has ended."""
    bench = workbench(database_url, helping("ru.consul", "consular.passport"))
    again(bench)
    yield bench
    bench.close()


def shelter(**changes: Any) -> Organization:
    return organization("ru.home", service(needs=(SHELTER,)), **changes)


def split_in(found: list[Fact]) -> list[str]:
    """Return the referrals that were split."""
    return [fact.referral_id for fact in found if isinstance(fact, ReferralSplit)]


def unplaced_with(bench: Workbench, *needs: str, **changes: Any) -> str:
    """Submit a referral that may be split and that nobody takes."""
    referral_id = new_id()
    assert opened(bench.take(several(referral_id, *needs, **changes))) == []
    assert again(bench) == []
    return referral_id


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, shelter()),
        (shelter(vetting=Vetting.applied), shelter()),
        (shelter(vetting=Vetting.suspended), shelter()),
        (shelter(active=False), shelter()),
        (organization("ru.home", service(needs=(SHELTER,), capacity=FULL)), shelter()),
        (
            helping("ru.home", "consular.passport"),
            organization("ru.home", service(needs=("basic_needs.food",))),
        ),
        (None, organization("ru.home", service(needs=(SHELTER,), areas=("RU",)))),
    ],
    ids=["joined", "vetted", "readmitted", "active again", "has room", "offers the need", "whole country"],
)
def test_referral_is_split_when_a_change_lets_somebody_take_a_further_need(
    bench: Workbench, before: Organization | None, after: Organization
) -> None:
    if before is not None:
        bench.absorb([before])
    need = after.services[0].needs[0]
    waiting = unplaced_with(bench, LEGAL, need)
    bench.network.absorb(changed_record(after))
    found = again(bench)
    assert split_in(found) == [waiting]
    (offer,) = opened(found)
    assert (offer.referral_id, offer.organization) == (part_id(waiting, 2), "ru.home")
    assert rows(bench, FURTHER_NEEDS) == 0


def test_referral_is_split_when_the_further_sensitive_need_is_approved(database_url: str) -> None:
    clinic = helping("ru.clinic", HIV)
    bench = workbench(database_url, clinic)
    everything = agreement(needs=(), disclosure=DisclosureClass.sensitive)
    bench.network.absorb([agreed(everything)])
    waiting = unplaced_with(bench, LEGAL, HIV)
    bench.network.absorb(changed_record(replace(clinic, approved_services=(APPROVAL,))))
    assert split_in(again(bench)) == [waiting]
    bench.close()


def agreed(one: Agreement) -> ReplicaRecord:
    return ReplicaRecord(type=AgreementChanged.type, key=one.id, change=999, data={"agreement": plain(one)})


def test_referral_is_split_when_an_agreement_of_the_receiver_allows_its_further_need(
    database_url: str,
) -> None:
    bench = workbench(database_url, shelter())
    only_work = replace(agreement(), needs=("work",))
    bench.network.absorb([agreed(only_work)])
    waiting = unplaced_with(bench, LEGAL, SHELTER)
    bench.network.absorb([agreed(agreement(id="bilateral", parties=(SENDER, "ru.home")))])
    assert split_in(again(bench)) == [waiting]
    bench.close()


def test_only_concerned_referrals_are_read(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = unplaced_with(bench, LEGAL, SHELTER)
    unplaced_with(bench, LEGAL, WORK)
    unplaced_with(bench, LEGAL, SHELTER, region="RU-SPE")
    unplaced_with(bench, LEGAL, SHELTER, to="ru.consul")
    alone = new_id()
    bench.take(submitted(alone, needs=(LEGAL, SHELTER)))  # the person wants one organisation only
    again(bench)
    viewed = asked_for(monkeypatch, bench.store, "view")
    bench.network.absorb(changed_record(shelter()))
    assert split_in(again(bench)) == [waiting]
    assert set(chain(*viewed)) == {waiting}


def test_referral_waits_for_a_place_at_a_candidate_of_a_further_need(database_url: str) -> None:
    limited = Capacity(status=CapacityStatus.capacity, updated_at=NOW, maximum=1)
    bench = workbench(database_url, organization("ru.home", service(needs=(SHELTER,), capacity=limited)))
    (held,) = opened(bench.take(submitted(new_id(), needs=(SHELTER,))))
    bench.take(answer(held))
    waiting = unplaced_with(bench, LEGAL, SHELTER)
    with bench.database.read() as transaction:
        waits = list(transaction.execute(select(WAITING.c.referral_id, WAITING.c.organization)).all())
    assert waits == [(waiting, "ru.home")]
    bench.take(outcome(held))
    found = again(bench)
    assert split_in(found) == [waiting]
    assert [(one.referral_id, one.organization) for one in opened(found)] == [
        (part_id(waiting, 2), "ru.home")
    ]
    bench.close()


def test_referral_is_split_when_a_decline_of_a_further_need_no_longer_counts(database_url: str) -> None:
    bench = workbench(database_url, shelter())
    (offer,) = opened(bench.take(submitted(new_id(), needs=(SHELTER,))))
    bench.take(answer(offer, Answer.decline, DeclineReason.no_capacity))
    waiting = unplaced_with(bench, LEGAL, SHELTER)
    assert split_in(bench.fire(NOW + 23 * HOUR)) == []
    assert split_in(bench.fire(NOW + 24 * HOUR)) == [waiting]
    bench.close()


def withdrawn(bench: Workbench, referral_id: str) -> None:
    fact = WithdrawalSubmitted(
        referral_id=referral_id, organization=SENDER, reason=WithdrawalReason.person_declined
    )
    bench.take(event(fact, referral_id))


def placed(bench: Workbench, referral_id: str) -> OfferOpened:
    fact = PlacementSubmitted(referral_id=referral_id, organization="ru.consul", coordinator="kg.desk")
    (offer,) = opened(bench.take(replace(event(fact, referral_id), source="/kg/routing")))
    return offer


@pytest.mark.parametrize("step", [withdrawn, placed])
def test_referral_that_waits_no_more_has_no_further_needs(
    bench: Workbench, step: Callable[[Workbench, str], object]
) -> None:
    waiting, other = unplaced_with(bench, LEGAL, SHELTER, WORK), unplaced_with(bench, LEGAL, SHELTER)
    assert rows(bench, FURTHER_NEEDS) == 3
    step(bench, waiting)
    with bench.database.read() as transaction:
        left = transaction.execute(select(FURTHER_NEEDS.c.referral_id, FURTHER_NEEDS.c.need)).all()
    assert left == [(other, SHELTER)]


def test_referral_whose_placement_was_declined_has_its_further_needs_again(bench: Workbench) -> None:
    waiting = unplaced_with(bench, LEGAL, SHELTER)
    offer = placed(bench, waiting)
    assert rows(bench, FURTHER_NEEDS) == 0
    bench.take(answer(offer, Answer.decline))
    assert rows(bench, FURTHER_NEEDS) == 1
    bench.network.absorb(changed_record(shelter()))
    assert split_in(again(bench)) == [waiting]


def test_migration_finds_the_further_needs_of_unplaced_referrals(bench: Workbench) -> None:
    """No others have any: with a named receiver, for one organisation alone, in another state."""
    unplaced_with(bench, LEGAL, SHELTER, WORK)
    unplaced_with(bench, LEGAL, SHELTER, region="RU-SPE", urgency=Urgency.emergency)
    unplaced_with(bench, SHELTER, LEGAL, to="ru.consul")
    bench.take(submitted(new_id(), needs=(LEGAL, SHELTER)))
    bench.take(several(new_id(), "consular.passport", LEGAL))
    withdrawn(bench, unplaced_with(bench, LEGAL, WORK))

    def stored() -> list[Any]:
        with bench.database.read() as transaction:
            return sorted(tuple(row) for row in transaction.execute(select(FURTHER_NEEDS)))

    before = stored()
    assert len(before) == 3
    with bench.database.write() as connection, Operations.context(MigrationContext.configure(connection)):
        further_needs_migration.downgrade()
        further_needs_migration.upgrade()
    assert stored() == before


REACHES = [
    Reach(needs=frozenset(needs), areas=frozenset(areas))
    for needs, areas in product(
        [(LEGAL,), (WORK,), (SHELTER, WORK), (LEGAL, SHELTER, WORK), ()],
        [("RU-MOW",), ("RU",), ("RU-SPE", "RU-MOW", "RU"), ("KZ",), ()],
    )
]


def test_store_finds_exactly_the_concerned_referrals_page_by_page(bench: Workbench) -> None:
    for needs, region, to, several_allowed in product(
        [(LEGAL,), (LEGAL, SHELTER, WORK), (LEGAL, WORK, SHELTER), (SHELTER, LEGAL)],
        ["RU-MOW", "RU"],
        [None, "ru.consul"],
        [False, True],
    ):
        stated = consent(several_organizations=several_allowed)
        bench.take(submitted(new_id(), needs=needs, region=region, to=to, consent=stated))
    withdrawn(bench, unplaced_with(bench, LEGAL, SHELTER))
    with bench.database.read() as transaction:
        every = list(transaction.execute(select(REFERRALS.c.id)).scalars())
        known = bench.store.view(transaction, every)
        for name, reach in product(["ru.home", "ru.consul", SENDER], REACHES):
            expected = sorted(id_ for id_, one in known.items() if is_concerned(one, name, reach))
            found: list[str] = []
            while page := bench.store.concerned(transaction, name, reach, found[-1] if found else None, 2):
                assert len(page) == 2 or len(found) + len(page) == len(expected)
                found += page
            assert found == expected


def test_no_transaction_decides_more_referrals_than_its_bound(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "CHANGED_AT_ONCE", 2)
    waiting = [unplaced_with(bench, LEGAL, SHELTER) for _ in range(5)]
    loaded = asked_for(monkeypatch, bench.store, "load")
    bench.network.absorb(changed_record(shelter()))
    assert split_in(again(bench)) == waiting
    assert [len(ids) for ids in loaded] == [2, 2, 1]


def test_failed_transaction_leaves_the_others_and_is_made_up_for(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "CHANGED_AT_ONCE", 1)
    waiting = [unplaced_with(bench, LEGAL, SHELTER) for _ in range(3)]
    bench.network.absorb(changed_record(shelter()))
    save, saved = bench.store.save, 0

    def failing(transaction: Any, changes: Any) -> None:
        nonlocal saved
        saved += 1
        if saved == 2:
            raise ZeroDivisionError
        save(transaction, changes)

    with monkeypatch.context() as broken:
        broken.setattr(bench.store, "save", failing)
        with pytest.raises(ZeroDivisionError):
            bench.commands.decide_unplaced_again(NOW)
    assert split_in([one.data for one in bench.published()]) == waiting[:1]
    assert split_in(again(bench)) == waiting[1:]
