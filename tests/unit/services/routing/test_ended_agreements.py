"""The end of agreements on both databases: by a change, with a day, after a start, in a race."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

import pytest

from contracts.codes import OrganizationKind
from contracts.errors import Unavailable
from contracts.facts import (
    AgreementChanged,
    AnswerRefused,
    Fact,
    OfferAccepted,
    OfferRevoked,
    OrganizationChanged,
)
from contracts.organization import Agreement, Organization
from contracts.records import plain
from runtime.identifiers import new_id
from runtime.messaging.replica import ReplicaRecord
from services.routing.adapters.tables import DECISIONS
from services.routing.handlers import uncovered_offers
from tests.unit.services.routing.samples import NOW, SENDER, agreement, organization
from tests.unit.services.routing.workbench import Workbench, accepted_by, opened, submitted, workbench

TODAY = NOW.date()
ONE = agreement(id="one", parties=(SENDER, "ru.one"))
TWO = agreement(id="two", parties=(SENDER, "ru.two"))
# The workbench absorbs it with each organisation.
MEMORANDUM = replace(agreement(), effective_until=TODAY - dt.timedelta(days=1))


def absorb(bench: Workbench, *agreements: Agreement) -> None:
    version = bench.network.directory.version
    bench.network.absorb(
        [
            ReplicaRecord(
                type=AgreementChanged.type, key=one.id, change=version + n, data={"agreement": plain(one)}
            )
            for n, one in enumerate(agreements, 1)
        ]
    )


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    bench = workbench(database_url, "ru.one", "ru.two")
    absorb(bench, MEMORANDUM, ONE, TWO)
    sweep(bench)
    yield bench
    bench.close()


def sweep(bench: Workbench, at: dt.datetime = NOW) -> list[Fact]:
    """Act on approvals and agreements; return the published facts."""
    known = {event.id for event in bench.published()}
    bench.commands.end_uncovered_offers(at)
    return [event.data for event in bench.published() if event.id not in known]


def revoked(facts: list[Fact]) -> set[str]:
    found = [fact for fact in facts if isinstance(fact, OfferRevoked)]
    assert {fact.reason for fact in found} <= {"agreement_ended"}
    return {fact.offer_id for fact in found}


def ended(one: Agreement, on: dt.date = TODAY - dt.timedelta(days=1)) -> Agreement:
    return replace(one, effective_until=on)


def test_offers_are_made_to_others_when_an_agreement_is_ended(bench: Workbench) -> None:
    offers = opened(bench.take(*(submitted(new_id()) for _ in range(8))))
    lost = {offer.offer_id for offer in offers if offer.organization == "ru.one"}
    assert lost
    assert sweep(bench) == []
    absorb(bench, ended(ONE))
    published = sweep(bench)
    assert revoked(published) == lost
    assert {offer.organization for offer in opened(published)} == {"ru.two"}
    assert bench.network.observed("ru.one").pending == 0
    assert sweep(bench) == []


def test_offers_end_on_the_day_after_the_last_one(bench: Workbench) -> None:
    absorb(bench, ended(ONE, TODAY), ended(TWO, TODAY))
    offers = opened(bench.take(*(submitted(new_id()) for _ in range(2))))
    midnight = dt.datetime.combine(TODAY + dt.timedelta(days=1), dt.time(), dt.UTC)
    assert sweep(bench, midnight - dt.timedelta(seconds=1)) == []
    assert revoked(sweep(bench, midnight)) == {offer.offer_id for offer in offers}


def test_end_of_an_agreement_of_all_members_concerns_all(bench: Workbench) -> None:
    absorb(bench, ended(ONE), ended(TWO), agreement())
    sweep(bench)
    offers = opened(bench.take(*(submitted(new_id()) for _ in range(2))))
    absorb(bench, MEMORANDUM)
    assert revoked(sweep(bench)) == {offer.offer_id for offer in offers}


def test_offers_are_found_after_a_start(database_url: str, bench: Workbench) -> None:
    (offer,) = opened(bench.take(submitted(new_id())))
    started = Workbench(database_url, ["ru.one", "ru.two"])
    absorb(started, MEMORANDUM, ended(ONE), ended(TWO))
    found = sweep(started)
    started.close()
    assert revoked(found) == {offer.offer_id}


def test_offer_that_a_decision_of_the_earlier_directory_opens_later_is_found(bench: Workbench) -> None:
    """Its transaction began before the change and commits after the first look."""
    absorb(bench, ended(ONE), ended(TWO))
    assert sweep(bench) == []
    # The directory as that transaction read it; the change has been looked up.
    absorb(bench, ONE, TWO)
    (offer,) = opened(bench.take(submitted(new_id())))
    absorb(bench, ended(ONE), ended(TWO))
    bench.network.take_affected()
    assert sweep(bench) == []
    assert revoked(sweep(bench, NOW + uncovered_offers.SETTLED_AFTER)) == {offer.offer_id}


def test_change_that_leaves_what_may_be_disclosed_ends_no_offer(bench: Workbench) -> None:
    bench.take(submitted(new_id()))
    absorb(bench, replace(ONE, title="Renamed"), replace(TWO, title="Renamed"))
    assert sweep(bench) == []


def test_acceptance_that_is_read_after_the_end_releases_nothing(bench: Workbench) -> None:
    (offer,) = opened(bench.take(submitted(new_id())))
    absorb(bench, ended(ONE), ended(TWO))
    published = bench.take(accepted_by(offer))
    assert revoked(published) == {offer.offer_id}
    assert sum(isinstance(fact, AnswerRefused) for fact in published) == 1
    assert not any(fact.routing_key == "offer.accepted" for fact in published)


@pytest.fixture
def behind(database_url: str, bench: Workbench) -> Iterator[Workbench]:
    """Another process, which has not read the new agreement for which `bench` asks ru.one."""
    absorb(bench, ended(ONE), ended(TWO))
    sweep(bench)
    behind = Workbench(database_url, ["ru.one", "ru.two"])
    absorb(behind, MEMORANDUM, ended(ONE), ended(TWO))
    # The same version as all processes have of a change.
    behind.network.directory.version = bench.network.directory.version
    absorb(bench, ONE)
    yield behind
    behind.close()


def test_acceptance_waits_until_the_process_knows_the_agreement(bench: Workbench, behind: Workbench) -> None:
    (offer,) = opened(bench.take(submitted(new_id())))
    assert behind.take(accepted_by(offer)) == []
    absorb(behind, ONE)
    behind.clock.time += dt.timedelta(minutes=1)
    assert behind.processor.retry_due() == 1
    (accepted,) = (event.data for event in behind.published() if event.data.routing_key == "offer.accepted")
    assert isinstance(accepted, OfferAccepted)
    assert accepted.offer_id == offer.offer_id


@pytest.mark.parametrize("record", [[], "text", {}, {"directory_version": "9"}], ids=str)
def test_acceptance_is_refused_although_the_record_of_the_decision_is_damaged(
    bench: Workbench, behind: Workbench, record: object
) -> None:
    (offer,) = opened(bench.take(submitted(new_id())))
    with bench.database.write() as transaction:
        transaction.execute(DECISIONS.update().values(record=record))
    assert sum(isinstance(fact, AnswerRefused) for fact in behind.take(accepted_by(offer))) == 1


def test_process_that_does_not_know_the_agreement_ends_no_offer(bench: Workbench, behind: Workbench) -> None:
    bench.take(submitted(new_id()))
    with pytest.raises(Unavailable):
        behind.commands.end_uncovered_offers(NOW)
    absorb(behind, ONE)
    assert sweep(behind) == []


def test_offers_of_branches_end_when_their_parent_becomes_a_consulate(bench: Workbench) -> None:
    """The consent gave no opt-in."""
    absorb_records(bench, organization("ru.top"), organization("ru.one", parent="ru.top"))
    sweep(bench)
    offers = opened(bench.take(*(submitted(new_id()) for _ in range(6))))
    lost = {offer.offer_id for offer in offers if offer.organization == "ru.one"}
    assert lost
    absorb_records(bench, organization("ru.top", kind=OrganizationKind.consular_representative))
    published = sweep(bench)
    found = [fact for fact in published if isinstance(fact, OfferRevoked)]
    assert {fact.offer_id for fact in found} == lost
    assert {fact.reason for fact in found} == {"organization_changed"}


def test_offers_of_a_branch_end_when_its_unknown_parent_turns_out_to_be_a_consulate(bench: Workbench) -> None:
    """An older record may name a parent that the directory gets later."""
    absorb_records(bench, organization("ru.one", parent="ru.top"))
    sweep(bench)
    sweep(bench, NOW + uncovered_offers.SETTLED_AFTER)
    offers = opened(bench.take(*(submitted(new_id()) for _ in range(6))))
    lost = {offer.offer_id for offer in offers if offer.organization == "ru.one"}
    assert lost
    absorb_records(bench, organization("ru.top", kind=OrganizationKind.consular_representative))
    found = [fact for fact in sweep(bench) if isinstance(fact, OfferRevoked)]
    assert {fact.offer_id for fact in found} == lost


def absorb_records(bench: Workbench, *organizations: Organization) -> None:
    """Load these records, and no agreement."""
    version = bench.network.directory.version
    bench.network.absorb(
        [
            ReplicaRecord(
                type=OrganizationChanged.type,
                key=one.id,
                change=version + n,
                data={"revision": version + n, "organization": plain(one)},
            )
            for n, one in enumerate(organizations, 1)
        ]
    )
