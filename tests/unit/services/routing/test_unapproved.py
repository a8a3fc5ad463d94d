"""The end of approvals on both databases: found after a start, retried, looked at in pages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from contracts.codes import DisclosureClass
from contracts.facts import (
    AgreementChanged,
    Fact,
    OfferAccepted,
    OfferOpened,
    OfferRevoked,
    OrganizationChanged,
)
from contracts.organization import ApprovedService, Organization
from contracts.records import plain
from runtime.identifiers import new_id
from runtime.messaging.replica import ReplicaRecord
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.referral import Referral
from services.routing.handlers import uncovered_offers
from tests.unit.services.routing.samples import NOW, agreement, organization, service
from tests.unit.services.routing.workbench import Workbench, accepted_by, opened, submitted, workbench

TRAFFICKING = "protection.trafficking"
APPROVAL = ApprovedService(service="legal", needs=(TRAFFICKING,), by="kg.operator", at=NOW)


def shelter(name: str, *, approved: bool = True) -> Organization:
    known = organization(name, service(needs=(TRAFFICKING,)))
    return replace(known, approved_services=(APPROVAL,) if approved else ())


def absorb(bench: Workbench, *organizations: Organization) -> None:
    """Load records and an agreement about sensitive referrals."""
    bench.absorb(organizations)
    allowed = {"agreement": plain(agreement(disclosure=DisclosureClass.sensitive))}
    version = bench.network.directory.version + 1
    bench.network.absorb(
        [ReplicaRecord(type=AgreementChanged.type, key="network", change=version, data=allowed)]
    )


def absorb_record(bench: Workbench, known: Organization) -> None:
    """Load one record. `absorb` changes the agreement too."""
    version = bench.network.directory.version + 1
    data = {"revision": version, "organization": plain(known)}
    bench.network.absorb(
        [ReplicaRecord(type=OrganizationChanged.type, key=known.id, change=version, data=data)]
    )


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    bench = workbench(database_url)
    absorb(bench, shelter("ru.one"), shelter("ru.two"))
    yield bench
    bench.close()


def submit(bench: Workbench, number: int) -> list[OfferOpened]:
    return opened(bench.take(*(submitted(new_id(), needs=(TRAFFICKING,)) for _ in range(number))))


def sweep(bench: Workbench, at: dt.datetime = NOW) -> list[Fact]:
    """Act on the approvals; return the published facts."""
    known = {event.id for event in bench.published()}
    bench.commands.end_uncovered_offers(at)
    return [event.data for event in bench.published() if event.id not in known]


def test_offers_of_a_service_that_lost_its_approval_are_offered_to_others(bench: Workbench) -> None:
    offers = submit(bench, 8)
    lost = {offer.offer_id for offer in offers if offer.organization == "ru.one"}
    assert lost
    assert sweep(bench) == []
    absorb(bench, shelter("ru.one", approved=False))
    published = sweep(bench)
    assert {fact.offer_id for fact in published if isinstance(fact, OfferRevoked)} == lost
    assert {offer.organization for offer in opened(published)} == {"ru.two"}
    assert bench.network.observed("ru.one").pending == 0
    assert sweep(bench) == []


def test_changes_that_end_no_approval_are_not_looked_up(bench: Workbench) -> None:
    sweep(bench)
    bench.network.take_affected()
    known = shelter("ru.one")
    (only,) = known.services
    absorb_record(bench, replace(known, services=(replace(only, languages=("zh",)),)))
    assert bench.network.take_affected() == set()
    absorb_record(bench, replace(known, services=(replace(only, id="other"),)))
    assert bench.network.take_affected() == {"ru.one"}


def test_offers_are_found_after_a_start(database_url: str, bench: Workbench) -> None:
    submit(bench, 3)
    started = Workbench(database_url, [])
    # A process that has started has read every change before which others decided.
    started.network.directory.version = bench.network.directory.version
    absorb(started, shelter("ru.one", approved=False), shelter("ru.two", approved=False))
    published = sweep(started)
    started.close()
    assert sum(isinstance(fact, OfferRevoked) for fact in published) == 3


def test_every_page_of_offers_is_looked_at(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uncovered_offers, "PAGE", 3)
    monkeypatch.setattr(uncovered_offers, "ORGANIZATIONS_AT_ONCE", 1)
    sweep(bench)
    submit(bench, 7)
    absorb(bench, shelter("ru.one", approved=False), shelter("ru.two", approved=False))
    ended = [bench.commands.end_uncovered_offers(NOW) for _ in range(6)]
    assert sum(ended) >= 7
    assert max(ended) <= 3
    assert offers_of(bench) == []


def test_offer_that_a_decision_of_the_earlier_directory_opens_later_is_found(bench: Workbench) -> None:
    """Its transaction began before the change and commits after the first look."""
    sweep(bench)
    approvals = bench.network.take_affected()
    assert approvals == set()
    absorb(bench, shelter("ru.one", approved=False))
    sweep(bench)
    # The directory as that transaction read it; the change has been looked up.
    absorb(bench, shelter("ru.one"))
    bench.network.take_affected()
    submit(bench, 4)
    absorb(bench, shelter("ru.one", approved=False))
    bench.network.take_affected()
    assert sweep(bench) == []
    published = sweep(bench, NOW + uncovered_offers.SETTLED_AFTER)
    assert any(isinstance(fact, OfferRevoked) for fact in published)


def test_page_is_looked_at_again_after_a_failure(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(bench, 2)
    sweep(bench)
    absorb(bench, shelter("ru.one", approved=False), shelter("ru.two", approved=False))
    with monkeypatch.context() as patched:
        patched.setattr(bench.outbox, "add", fail)
        with pytest.raises(RuntimeError):
            bench.commands.end_uncovered_offers(NOW)
    assert sum(isinstance(fact, OfferRevoked) for fact in sweep(bench)) == 2


def test_acceptance_without_a_sensitive_need_reads_no_circumstances(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    absorb(bench, organization("ru.three"))
    (plain_offer,) = opened(bench.take(submitted(new_id())))
    (sensitive_offer,) = submit(bench, 1)
    read: list[str] = []
    circumstances = bench.commands._transactions._circumstances

    def noted(referral: Referral, *more: Any) -> Circumstances:
        read.append(referral.id)
        return circumstances(referral, *more)

    monkeypatch.setattr(bench.commands._transactions, "_circumstances", noted)
    accepted = bench.take(accepted_by(plain_offer), accepted_by(sensitive_offer))
    assert sum(isinstance(fact, OfferAccepted) for fact in accepted) == 2
    assert read == [sensitive_offer.referral_id]


def fail(*_arguments: object) -> None:
    raise RuntimeError("crash")


def offers_of(bench: Workbench) -> list[object]:
    with bench.database.read() as transaction:
        ids = bench.store.offered_after(transaction, ["ru.one", "ru.two"], None, 100)
        return [offer for one in bench.store.view(transaction, ids).values() for offer in one.open_offers]
