"""Scarce places: what a flood leaves to others, and the new decisions for unplaced referrals."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, count
from typing import Any

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import func, select

from contracts.codes import (
    Answer,
    CapacityStatus,
    DeclineReason,
    OrganizationKind,
    Outcome,
    Urgency,
    Vetting,
    WithdrawalReason,
)
from contracts.facts import (
    AgreementChanged,
    AnswerSubmitted,
    Fact,
    OfferOpened,
    OrganizationChanged,
    OutcomeSubmitted,
    ReferralUnplaced,
    WithdrawalSubmitted,
)
from contracts.organization import Agreement, Capacity, Organization
from contracts.records import plain
from runtime.identifiers import new_id
from runtime.messaging.replica import ReplicaRecord
from runtime.storage.migrate import differences
from services.routing import live_directory
from services.routing.adapters.tables import DECISIONS, DEMAND, SEEKING, WAITING
from services.routing.domain.fairness import Fairness
from services.routing.domain.open_offers import TOP_UP_EVERY
from services.routing.domain.places import OffersPerSender
from services.routing.domain.policy import RoutingPolicy
from services.routing.handlers import unplaced
from services.routing.migrations import full_services as full_services_migration
from services.routing.migrations import seeking as seeking_migration
from services.routing.migrations import service_loads
from services.routing.migrations import waiting as waiting_migration
from tests.unit.services.routing.samples import (
    DAY,
    HOUR,
    NOW,
    SENDER,
    agreement,
    network,
    organization,
    service,
)
from tests.unit.services.routing.workbench import (
    Workbench,
    asked_for,
    event,
    opened,
    sender,
    submitted,
    workbench,
)

VICTIM = "uz.victim"
# The numbers of changes of the directory that the tests themselves deliver.
_CHANGES = count(999)
MIDNIGHT = dt.datetime.combine(NOW.date() + DAY, dt.time(), dt.UTC)


def small(name: str, maximum: int = 2, **changes: Any) -> Organization:
    stated = Capacity(status=CapacityStatus.capacity, updated_at=NOW, maximum=maximum)
    return organization(name, service(capacity=stated), **changes)


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    """Two candidates with two places each, and two senders."""
    bench = workbench(database_url, small("ru.one"), small("ru.two"), sender(VICTIM))
    yield bench
    bench.close()


def changed_record(changed: Organization) -> list[ReplicaRecord]:
    """The change of one organisation, as the replica delivers it."""
    return [
        ReplicaRecord(
            type=OrganizationChanged.type,
            key=changed.id,
            change=next(_CHANGES),
            data={"revision": 999, "organization": plain(changed)},
        )
    ]


def changed_agreement(changed: Agreement) -> ReplicaRecord:
    """The change of one agreement, as the replica delivers it."""
    return ReplicaRecord(
        type=AgreementChanged.type,
        key=changed.id,
        change=next(_CHANGES),
        data={"agreement": plain(changed)},
    )


def again(bench: Workbench, at: dt.datetime = NOW) -> list[Fact]:
    """Let the timer decide again until nothing changes; return the published facts."""
    known = {event.id for event in bench.published()}
    bench.clock.time = at
    while bench.commands.decide_unplaced_again(at):
        pass
    return [event.data for event in bench.published() if event.id not in known]


def flood(bench: Workbench, count: int = 30, **changes: Any) -> list[OfferOpened]:
    return opened(bench.take(*(submitted(new_id(), **changes) for _ in range(count))))


def answer(offer: OfferOpened, what: Answer) -> Any:
    fact = AnswerSubmitted(
        referral_id=offer.referral_id,
        offer_id=offer.offer_id,
        organization=offer.organization,
        answer=what,
        reason=DeclineReason.conflict_of_interest if what is Answer.decline else None,
    )
    return event(fact, offer.referral_id)


def outcome(offer: OfferOpened) -> Any:
    done = OutcomeSubmitted(
        referral_id=offer.referral_id, organization=offer.organization, outcome=Outcome.resolved
    )
    return event(done, offer.referral_id)


def decisions(bench: Workbench, referral_id: str | None = None) -> list[Any]:
    wanted = select(DECISIONS.c.record).order_by(DECISIONS.c.id)
    if referral_id is not None:
        wanted = wanted.where(DECISIONS.c.referral_id == referral_id)
    with bench.database.read() as transaction:
        return list(transaction.execute(wanted).scalars())


def rows(bench: Workbench, table: Any) -> int:
    with bench.database.read() as transaction:
        return int(transaction.execute(select(func.count()).select_from(table)).scalar_one())


@pytest.mark.parametrize("urgency", list(Urgency))
def test_flood_of_one_sender_leaves_places_to_another(bench: Workbench, urgency: Urgency) -> None:
    flooded = flood(bench, urgency=Urgency.emergency)
    assert Counter(offer.organization for offer in flooded) == {"ru.one": 2, "ru.two": 2}
    found = bench.take(submitted(new_id(), VICTIM, urgency=urgency))
    assert opened(found)
    assert not any(isinstance(fact, ReferralUnplaced) for fact in found)


def test_routine_offers_of_the_same_sender_do_not_keep_out_its_urgent_referral(bench: Workbench) -> None:
    assert len(flood(bench, urgency=Urgency.routine)) == 4
    assert len(flood(bench, 1, urgency=Urgency.urgent)) == 1


def test_decision_names_the_senders_share(bench: Workbench) -> None:
    flood(bench)
    last = decisions(bench)[-1]["candidates"][0]["failures"]
    assert last == [
        {
            "rule": "place_left",
            "reason": "share_used",
            "detail": {"offers": 2, "places": 2, "share": 2, "senders": 1},
        }
    ]


def test_candidate_full_of_accepted_referrals_gets_no_offer(bench: Workbench) -> None:
    bench.take(*(answer(offer, Answer.accept) for offer in flood(bench, 4)))
    found = bench.take(submitted(new_id(), VICTIM, urgency=Urgency.urgent))
    assert [type(fact) for fact in found] == [ReferralUnplaced]
    (failure,) = decisions(bench)[-1]["candidates"][0]["failures"]
    assert failure["detail"] == {"accepted": 2, "maximum": 2}


def full_and_waiting(bench: Workbench) -> tuple[list[OfferOpened], dict[str, str]]:
    """Fill every place with accepted referrals; return their offers and the waiting referrals by name."""
    held = flood(bench, 4)
    bench.take(*(answer(offer, Answer.accept) for offer in held))
    names = {name: new_id() for name in ("routine", "later", "urgent")}
    bench.take(submitted(names["routine"]), submitted(names["later"]))
    bench.take(submitted(names["urgent"], urgency=Urgency.urgent))
    assert opened(again(bench)) == []
    return held, names


def test_completed_referral_gives_its_place_to_the_urgent_one_first(bench: Workbench) -> None:
    held, names = full_and_waiting(bench)
    bench.take(outcome(held[0]))
    first = opened(again(bench))
    # The urgent offer takes no place from the routine one of the same sender, and one place is one share.
    assert first[0].referral_id == names["urgent"]
    assert names["later"] not in {offer.referral_id for offer in first}
    assert {offer.organization for offer in first} == {held[0].organization}


def test_new_decision_is_recorded_with_its_trigger_and_committed_to(bench: Workbench) -> None:
    held, names = full_and_waiting(bench)
    before = set(bench.committed())
    bench.take(outcome(held[0]))
    again(bench)
    recorded = decisions(bench, names["urgent"])
    assert [one["trigger"] for one in recorded] == ["submitted", "place_may_be_free"]
    assert recorded[-1]["id"] in set(bench.committed()) - before


def declined(bench: Workbench, offers: list[OfferOpened]) -> None:
    bench.take(answer(offers[0], Answer.decline))


def withdrawn(bench: Workbench, offers: list[OfferOpened]) -> None:
    fact = WithdrawalSubmitted(
        referral_id=offers[0].referral_id, organization=SENDER, reason=WithdrawalReason.person_declined
    )
    bench.take(event(fact, offers[0].referral_id))


def capacity_raised(bench: Workbench, offers: list[OfferOpened]) -> None:
    bench.absorb([small("ru.one", maximum=3)])


def organization_admitted(bench: Workbench, offers: list[OfferOpened]) -> None:
    bench.absorb([small("ru.three")])


@pytest.mark.parametrize("room", [declined, withdrawn, capacity_raised, organization_admitted])
def test_unplaced_referral_is_offered_when_room_appears(
    bench: Workbench, room: Callable[[Workbench, list[OfferOpened]], None]
) -> None:
    offers = flood(bench, 4)
    waiting = new_id()
    assert opened(bench.take(submitted(waiting))) == []
    assert again(bench) == []
    room(bench, offers)
    found = opened(again(bench, bench.clock.time))
    assert waiting in {offer.referral_id for offer in found}


def test_places_of_expired_offers_are_filled_again(bench: Workbench) -> None:
    offers = flood(bench, 5)
    at = offers[0].deadline + HOUR
    found = opened(bench.fire(at)) + opened(again(bench, at))
    assert len(offers) == 4
    assert Counter(offer.organization for offer in found) == {"ru.one": 2, "ru.two": 2}


def test_unplaced_referral_without_any_candidate_is_offered_to_an_admitted_organization(
    database_url: str,
) -> None:
    applicant = small("ru.one", vetting=Vetting.applied)
    bench = workbench(database_url, applicant)
    waiting = new_id()
    assert opened(bench.take(submitted(waiting))) == []
    assert again(bench) == []
    bench.absorb([replace(applicant, vetting=Vetting.vetted)])
    assert [offer.referral_id for offer in opened(again(bench))] == [waiting]
    bench.close()


def test_agreement_that_begins_today_opens_offers(bench: Workbench) -> None:
    """A new day may bring an agreement into force, without any message."""
    flood(bench, 5)
    again(bench)
    reviews: list[str | None] = []
    seeking = bench.store.seeking

    def noted(transaction: Any, after: str | None, limit: int) -> Any:
        reviews.append(after)
        return seeking(transaction, after, limit)

    bench.store.seeking = noted  # type: ignore[method-assign]
    again(bench, NOW + HOUR)
    assert reviews == []
    again(bench, NOW + DAY)
    assert reviews == [None]


OMSK = organization("ru.omsk", service(areas=("RU-OMS",)))


def waits_for_agreement(bench: Workbench, begins: dt.date) -> str:
    """Submit a referral whose one candidate has an agreement from a later day, behind others' referrals."""
    bench.network.absorb(
        [
            changed_agreement(agreement(parties=(SENDER, VICTIM, "ru.one", "ru.two"))),
            changed_agreement(agreement(id="later", parties=(SENDER, OMSK.id), effective_from=begins)),
            *changed_record(OMSK),
        ]
    )
    bench.take(*(submitted(new_id(), VICTIM, region="RU-SPE") for _ in range(7)))
    waiting = new_id()
    assert opened(bench.take(submitted(waiting, region="RU-OMS"))) == []
    for _ in range(5):
        assert again(bench) == []
    return waiting


@pytest.mark.parametrize("slept", [dt.timedelta(0), 3 * DAY], ids=["at midnight", "after days"])
def test_agreement_that_begins_places_referrals_before_the_review_comes_to_them(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, slept: dt.timedelta
) -> None:
    monkeypatch.setattr(unplaced, "PAGE", 3)
    waiting = waits_for_agreement(bench, MIDNIGHT.date())
    before = bench.clock.time = MIDNIGHT - dt.timedelta(microseconds=1)
    assert bench.commands.decide_unplaced_again(before) == 0
    known = len(bench.published())
    bench.clock.time = MIDNIGHT + slept
    bench.commands.decide_unplaced_again(MIDNIGHT + slept)
    facts = [event.data for event in bench.published()][known:]
    assert [(one.referral_id, one.organization) for one in opened(facts)] == [(waiting, OMSK.id)]
    assert [one["trigger"] for one in decisions(bench, waiting)] == ["submitted", "directory_changed"]


def test_begin_of_agreements_with_too_many_parties_is_left_to_the_review(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = waits_for_agreement(bench, MIDNIGHT.date())
    monkeypatch.setattr(unplaced, "AMENDED_AT_MOST", 1)
    assert [offer.referral_id for offer in opened(again(bench, MIDNIGHT))] == [waiting]
    assert [one["trigger"] for one in decisions(bench, waiting)] == ["submitted", "review"]


TOMORROW = MIDNIGHT.date()


@pytest.mark.parametrize(
    ("dates", "is_concerned"),
    [
        ({"effective_from": TOMORROW}, True),
        ({"effective_from": TOMORROW + DAY}, True),
        ({"effective_from": TOMORROW + 2 * DAY}, False),
        ({"effective_from": NOW.date()}, False),
        ({"effective_until": NOW.date()}, True),
        ({"effective_until": TOMORROW}, True),
        ({"effective_until": TOMORROW + DAY}, False),
        ({"effective_from": TOMORROW, "effective_until": TOMORROW}, False),
    ],
)
def test_agreement_concerns_its_parties_when_it_begins_or_ends(
    dates: dict[str, dt.date], is_concerned: bool
) -> None:
    directory = network(agreements=(agreement(parties=("ru.one", "ru.two"), **dates),))
    found = directory.parties_concerned_between(NOW.date(), TOMORROW + DAY)
    assert found == ({"ru.one", "ru.two"} if is_concerned else set())


def admission(bench: Workbench) -> dt.datetime:
    bench.network.absorb(changed_record(OMSK))
    return NOW


def begin_of_day(bench: Workbench) -> dt.datetime:
    return MIDNIGHT


def other_policy(bench: Workbench) -> dt.datetime:
    bench.policy = lambda: RoutingPolicy(fairness=Fairness(explore=0.0, few=4))
    return NOW


@pytest.mark.parametrize(
    ("change", "places"), [(admission, True), (begin_of_day, True), (other_policy, False)]
)
def test_referral_whose_decision_a_change_overtakes_is_decided_again(
    bench: Workbench,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Workbench], dt.datetime],
    places: bool,
) -> None:
    """Its transaction has decided before the change, and commits after the look-up or review."""
    known = [replace(OMSK, active=False)] if change is admission else [OMSK]
    for one in known:
        bench.network.absorb(changed_record(one))
    if change is begin_of_day:
        bench.network.absorb(
            [
                changed_agreement(agreement(parties=(SENDER, "ru.one"))),
                changed_agreement(agreement(id="later", parties=(SENDER, OMSK.id), effective_from=TOMORROW)),
            ]
        )
    for _ in range(3):
        again(bench)
    save, at = bench.store.save, NOW

    def overtaken(transaction: Any, changes: Any) -> None:
        nonlocal at
        monkeypatch.setattr(bench.store, "save", save)
        at = change(bench)
        for _ in range(3):
            bench.commands.decide_unplaced_again(at)
        save(transaction, changes)

    bench.take(*(submitted(new_id(), VICTIM, region="RU-SPE") for _ in range(2)))
    again(bench)
    monkeypatch.setattr(bench.store, "save", overtaken)
    region = "RU-OMS" if places else "RU-SPE"
    waiting = new_id()
    bench.take(submitted(waiting, region=region))
    viewed = asked_for(monkeypatch, bench.store, "view")
    found = opened(again(bench, at))
    assert [offer.referral_id for offer in found] == ([waiting] if places else [])
    assert waiting in set(chain(*viewed))
    viewed.clear()
    again(bench, at)
    assert set(chain(*viewed)) == set(), "once"


@pytest.mark.parametrize(
    ("is_other_version", "trigger"), [(False, "review"), (True, "directory_changed")], ids=["policy", "both"]
)
def test_decision_that_another_policy_overtakes_is_not_put_down_to_the_directory(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, is_other_version: bool, trigger: str
) -> None:
    before = RoutingPolicy(fairness=Fairness(explore=0.0), emergency_offers=1)
    bench.policy = lambda: before
    for _ in range(3):
        again(bench)
    save = bench.store.save

    def overtaken(transaction: Any, changes: Any) -> None:
        monkeypatch.setattr(bench.store, "save", save)
        bench.policy = lambda: replace(before, version="2026-2", emergency_offers=2)
        if is_other_version:
            bench.network.absorb(changed_record(OMSK))
        for _ in range(3):
            bench.commands.decide_unplaced_again(NOW)
        save(transaction, changes)

    monkeypatch.setattr(bench.store, "save", overtaken)
    waiting = new_id()
    assert len(opened(bench.take(submitted(waiting, urgency=Urgency.emergency)))) == 1
    assert len(opened(again(bench))) == 1
    assert [one["trigger"] for one in decisions(bench, waiting)] == ["submitted", trigger]


def test_emergency_that_loses_an_offer_while_a_candidate_is_admitted_gets_another(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decline has decided before the change; the look-up still finds as many offers as are wanted."""
    bench.network.absorb(changed_record(small("ru.three")))
    first = opened(bench.take(submitted(new_id(), urgency=Urgency.emergency)))
    assert len(first) == RoutingPolicy().offers_at_once(Urgency.emergency)
    for _ in range(3):
        again(bench)
    save = bench.store.save

    def overtaken(transaction: Any, changes: Any) -> None:
        monkeypatch.setattr(bench.store, "save", save)
        bench.network.absorb(changed_record(small("ru.four")))
        for _ in range(3):
            bench.commands.decide_unplaced_again(NOW)
        save(transaction, changes)

    monkeypatch.setattr(bench.store, "save", overtaken)
    assert opened(bench.take(answer(first[0], Answer.decline))) == []
    assert [offer.organization for offer in opened(again(bench))] == ["ru.four"]


def test_more_overtaken_referrals_than_are_noted_are_found_by_a_review(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_directory, "MOST_BEGUN_TO_SEEK", 2)
    for _ in range(3):
        again(bench)
    bench.take(*(submitted(new_id(), VICTIM, region="RU-SPE") for _ in range(3)))
    viewed = asked_for(monkeypatch, bench.store, "view")
    again(bench)
    assert len(set(chain(*viewed))) == 3


def test_unplaced_referrals_are_all_read_after_a_start(database_url: str, bench: Workbench) -> None:
    offers = flood(bench, 4)
    waiting = new_id()
    bench.take(submitted(waiting))
    bench.take(answer(offers[0], Answer.decline))
    restarted = Workbench(database_url, [small("ru.one"), small("ru.two"), sender(VICTIM)])
    restarted.commands.recall()
    assert waiting in {offer.referral_id for offer in opened(again(restarted))}
    restarted.close()


def test_place_freed_by_another_process_is_seen_after_the_next_recall(
    database_url: str, bench: Workbench
) -> None:
    offers = flood(bench, 4)
    waiting = new_id()
    bench.take(submitted(waiting))
    again(bench)
    other = Workbench(database_url, [small("ru.one"), small("ru.two"), sender(VICTIM)])
    other.commands.recall()
    other.take(answer(offers[0], Answer.decline))
    bench.commands.recall()
    assert waiting in {offer.referral_id for offer in opened(again(bench))}
    other.close()


def test_pages_reach_every_unplaced_referral(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unplaced, "PAGE", 3)
    nowhere = [new_id() for _ in range(7)]
    bench.take(*(submitted(one, region="RU-SPE") for one in nowhere))
    bench.clock.time = NOW
    spe = organization("ru.spe", service(areas=("RU-SPE",)))
    bench.absorb([spe])
    found: list[Fact] = []
    for _ in range(4):
        found += again(bench)
    assert {offer.referral_id for offer in opened(found)} == set(nowhere)


def test_change_of_one_organization_is_looked_up_by_its_needs_and_regions(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Referrals that the change cannot concern are not read, however many there are."""
    elsewhere = [new_id() for _ in range(5)]
    bench.take(*(submitted(one, region="RU-SPE") for one in elsewhere))
    other_need = [new_id() for _ in range(5)]
    bench.take(*(submitted(one, needs=("work.job_search",), region="RU-OMS") for one in other_need))
    waiting = new_id()
    bench.take(submitted(waiting, region="RU-OMS"))
    again(bench)
    viewed = asked_for(monkeypatch, bench.store, "view")
    bench.absorb([organization("ru.omsk", service(areas=("RU-OMS",)))])
    bench.network.take_amended()  # the workbench also sends the agreement of all, which begins a review
    bench.network.absorb(changed_record(organization("ru.omsk", service(areas=("RU-OMS",)))))
    assert [offer.referral_id for offer in opened(again(bench))] == [waiting]
    assert set(chain(*viewed)) == {waiting}
    assert [one["trigger"] for one in decisions(bench, waiting)] == ["submitted", "directory_changed"]


@pytest.mark.parametrize(
    ("stated", "areas", "need"),
    [
        ("legal.wage_claim", ("RU",), "legal.wage_claim"),
        ("legal", ("RU-OMS",), "legal.wage_claim"),
        ("legal.wage_claim", ("RU-OMS",), "legal"),
    ],
    ids=["whole country", "whole group stated", "whole group needed"],
)
def test_referral_is_found_by_group_and_country(
    bench: Workbench, stated: str, areas: tuple[str, ...], need: str
) -> None:
    waiting = new_id()
    bench.take(submitted(waiting, needs=(need,), region="RU-OMS"))
    again(bench)
    bench.network.absorb(changed_record(organization("ru.omsk", service(needs=(stated,), areas=areas))))
    assert [offer.referral_id for offer in opened(again(bench))] == [waiting]


def test_referrals_are_found_by_named_receiver_and_by_sender(bench: Workbench) -> None:
    bench.absorb(
        [small("ru.one", vetting=Vetting.suspended), replace(sender("kz.new"), vetting=Vetting.applied)]
    )
    named, sent = new_id(), new_id()
    bench.take(submitted(named, to="ru.one"))
    bench.take(submitted(sent, "kz.new"))
    again(bench)
    bench.network.absorb(changed_record(small("ru.one")))
    assert named in {offer.referral_id for offer in opened(again(bench))}
    bench.network.absorb(changed_record(sender("kz.new")))
    assert sent in {offer.referral_id for offer in opened(again(bench))}


def test_change_of_a_parent_concerns_the_referrals_of_its_branches(bench: Workbench) -> None:
    """A branch of a consulate is asked only with consent; the parent's record says that it is one."""
    parent = sender("ru.parent")
    branch = organization("ru.branch", service(areas=("RU-OMS",)), parent="ru.middle")
    consular = replace(parent, kind=OrganizationKind.consular_representative)
    bench.absorb([consular, replace(sender("ru.middle"), parent="ru.parent"), branch])
    waiting = new_id()
    assert opened(bench.take(submitted(waiting, region="RU-OMS"))) == []
    again(bench)
    bench.network.absorb(changed_record(parent))
    assert [offer.referral_id for offer in opened(again(bench))] == [waiting]


def test_every_page_of_concerned_referrals_is_read(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unplaced, "PAGE", 3)
    waiting = [new_id() for _ in range(7)]
    bench.take(*(submitted(one, region="RU-OMS") for one in waiting))
    for _ in range(4):
        again(bench)
    bench.network.absorb(changed_record(organization("ru.omsk", service(areas=("RU-OMS",)))))
    bench.network.absorb(changed_record(organization("ru.tomsk", service(areas=("RU-TOM",)))))
    found: list[Fact] = []
    for _ in range(4):
        found += again(bench)
    assert {offer.referral_id for offer in opened(found)} == set(waiting)


def test_many_changed_organizations_begin_a_review(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unplaced, "AMENDED_AT_MOST", 2)
    waiting = new_id()
    bench.take(submitted(waiting, region="RU-OMS"))
    again(bench)
    for name in ("ru.a", "ru.b", "ru.omsk"):
        bench.network.absorb(changed_record(organization(name, service(areas=("RU-OMS",)))))
    assert [offer.referral_id for offer in opened(again(bench))] == [waiting]
    assert [one["trigger"] for one in decisions(bench, waiting)] == ["submitted", "review"]


def test_organization_that_changes_again_and_again_does_not_delay_the_look_up_of_another(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unplaced, "PAGE", 3)
    full = Capacity(status=CapacityStatus.no_capacity, updated_at=NOW)
    restless = organization("ru.restless", service(areas=("RU-SPE",), capacity=full))
    bench.take(*(submitted(new_id(), region="RU-SPE") for _ in range(7)))
    bench.take(submitted(waiting := new_id(), region="RU-OMS"))
    for _ in range(5):
        again(bench)
    bench.network.absorb(changed_record(restless))
    again(bench)
    bench.network.absorb(changed_record(organization("ru.omsk", service(areas=("RU-OMS",)))))
    found: list[Fact] = []
    for _ in range(3):
        bench.network.absorb(changed_record(restless))
        found += again(bench)
    assert [offer.referral_id for offer in opened(found)] == [waiting]


def test_organization_that_changes_during_its_look_up_is_looked_up_again(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unplaced, "PAGE", 3)
    full = Capacity(status=CapacityStatus.no_capacity, updated_at=NOW)
    waiting = [new_id() for _ in range(7)]
    bench.take(*(submitted(one, region="RU-OMS") for one in waiting))
    for _ in range(5):
        again(bench)
    bench.network.absorb(changed_record(organization("ru.omsk", service(areas=("RU-OMS",), capacity=full))))
    again(bench)
    bench.network.absorb(changed_record(organization("ru.omsk", service(areas=("RU-OMS",)))))
    found: list[Fact] = []
    for _ in range(8):
        found += again(bench)
    assert {offer.referral_id for offer in opened(found)} == set(waiting)


def test_repeated_changes_of_all_do_not_keep_a_review_from_the_later_referrals(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unplaced, "PAGE", 3)
    bench.take(*(submitted(new_id(), region="RU-SPE") for _ in range(7)))
    bench.take(submitted(waiting := new_id(), region="RU-OMS"))
    for _ in range(5):
        again(bench)
    found: list[Fact] = []
    for _ in range(4):
        # The workbench also sends the agreement of all.
        bench.absorb([organization("ru.omsk", service(areas=("RU-OMS",)))])
        bench.network.take_amended()
        bench.absorb([])
        found += again(bench)
    assert [offer.referral_id for offer in opened(found)] == [waiting]


def test_referrals_that_another_policy_can_place_are_offered_when_it_is_in_force(bench: Workbench) -> None:
    strict = RoutingPolicy(fairness=Fairness(explore=0.0), offers_per_sender=OffersPerSender(most=1))
    bench.policy = lambda: strict
    assert len(flood(bench, 4)) == 2
    assert opened(again(bench)) == []
    bench.policy = lambda: replace(strict, version="2026-2", offers_per_sender=OffersPerSender())
    assert len(opened(again(bench))) == 2


def test_emergency_with_too_few_offers_gets_more_when_a_candidate_is_admitted(bench: Workbench) -> None:
    first = opened(bench.take(submitted(new_id(), urgency=Urgency.emergency)))
    assert len(first) == 2
    again(bench)
    bench.network.absorb(changed_record(organization("ru.three")))
    (third,) = opened(again(bench))
    assert (third.organization, third.referral_id) == ("ru.three", first[0].referral_id)
    assert rows(bench, SEEKING) == 1
    bench.take(answer(third, Answer.accept))
    assert rows(bench, SEEKING) == 0


def test_emergency_with_too_few_offers_gets_more_within_a_minute_of_a_free_place(bench: Workbench) -> None:
    held = flood(bench, 4)
    bench.take(*(answer(offer, Answer.accept) for offer in held if offer.organization == "ru.two"))
    (only,) = opened(bench.take(submitted(new_id(), VICTIM, urgency=Urgency.emergency)))
    again(bench)
    bench.take(outcome(next(offer for offer in held if offer.organization == "ru.two")))
    (second,) = opened(bench.fire(NOW + TOP_UP_EVERY))
    assert (second.referral_id, second.organization) == (only.referral_id, "ru.two")
    assert [one["trigger"] for one in decisions(bench, only.referral_id)] == ["submitted", "time_passed"]


def decline(offer: OfferOpened, reason: DeclineReason = DeclineReason.no_capacity) -> Any:
    fact = AnswerSubmitted(
        referral_id=offer.referral_id,
        offer_id=offer.offer_id,
        organization=offer.organization,
        answer=Answer.decline,
        reason=reason,
    )
    return event(fact, offer.referral_id)


def test_decline_for_lack_of_capacity_counts_in_every_process_and_after_a_restart(
    database_url: str, bench: Workbench
) -> None:
    (offer,) = flood(bench, 1)
    bench.take(decline(offer))
    restarted = Workbench(database_url, [small("ru.one"), small("ru.two"), sender(VICTIM)])
    restarted.commands.recall()
    (other,) = opened(restarted.take(submitted(new_id(), VICTIM)))
    assert other.organization != offer.organization
    (full,) = [one for one in decisions(bench)[-1]["candidates"] if one["organization"] == offer.organization]
    assert [failure["rule"] for failure in full["failures"]] == ["capacity_not_declined"]
    restarted.close()


def test_unplaced_referral_is_offered_when_the_decline_no_longer_counts(bench: Workbench) -> None:
    (first,) = flood(bench, 1)
    (second,) = opened(bench.take(decline(first)))
    bench.take(decline(second))
    waiting = new_id()
    assert opened(bench.take(submitted(waiting, VICTIM))) == []
    assert again(bench, NOW + 23 * HOUR) == []
    assert opened(bench.fire(NOW + 23 * HOUR)) == []
    found = opened(bench.fire(NOW + 24 * HOUR))
    assert [offer.referral_id for offer in found] == [waiting]
    assert [one["trigger"] for one in decisions(bench, waiting)] == ["submitted", "time_passed"]


def test_declined_referral_asks_again_once_room_is_reported_and_the_time_has_passed(
    database_url: str,
) -> None:
    bench = workbench(database_url, small("ru.one"))
    (offer,) = flood(bench, 1)
    bench.take(decline(offer))
    assert opened(bench.fire(NOW + 2 * DAY)) == []  # no room reported
    reported = Capacity(status=CapacityStatus.capacity, updated_at=NOW + HOUR, maximum=2)
    early = workbench(database_url, organization("ru.one", service(capacity=reported)))
    assert opened(again(early, NOW + 2 * HOUR)) == []
    (second,) = opened(early.fire(NOW + DAY))
    assert (second.organization, second.referral_id) == ("ru.one", offer.referral_id)
    early.close()
    bench.close()


def test_migration_finds_the_services_that_declined_as_full(bench: Workbench) -> None:
    (offer,) = flood(bench, 1)
    bench.take(decline(offer))
    before = bench.observations()
    assert before[offer.organization].full_since == {"legal": NOW}
    with bench.database.write() as connection, Operations.context(MigrationContext.configure(connection)):
        full_services_migration.downgrade()
        full_services_migration.upgrade()
    assert bench.observations() == before


def test_migration_finds_the_referrals_that_seek(bench: Workbench) -> None:
    bench.take(submitted(new_id(), region="RU-OMS", to="ru.one"))
    bench.take(submitted(new_id(), urgency=Urgency.emergency))
    flood(bench, 1)

    def stored() -> list[Any]:
        with bench.database.read() as transaction:
            return list(transaction.execute(select(SEEKING).order_by(SEEKING.c.referral_id)).all())

    before = stored()
    assert len(before) == 2
    with bench.database.write() as connection, Operations.context(MigrationContext.configure(connection)):
        seeking_migration.downgrade()
        seeking_migration.upgrade()
    assert stored() == before


def test_decision_that_changes_nothing_is_not_recorded(bench: Workbench) -> None:
    flood(bench, 10)
    before = len(decisions(bench)), len(bench.bodies())
    bench.absorb([replace(small("ru.one"), name="Renamed")])
    assert again(bench) == []
    assert (len(decisions(bench)), len(bench.bodies())) == before


def test_referrals_that_end_leave_no_demand(bench: Workbench) -> None:
    offers, waiting = flood(bench, 4), new_id()
    bench.take(submitted(waiting))
    assert rows(bench, WAITING) == 2
    for referral_id in (waiting, *(offer.referral_id for offer in offers)):
        fact = WithdrawalSubmitted(
            referral_id=referral_id, organization=SENDER, reason=WithdrawalReason.person_declined
        )
        bench.take(event(fact, referral_id))
    assert (rows(bench, WAITING), rows(bench, DEMAND)) == (0, 0)
    assert bench.network.observed("ru.one").services == {}


def test_rows_of_waiting_referrals_are_one_for_each_referral_and_candidate_that_lacks_a_place(
    bench: Workbench,
) -> None:
    """Nothing else adds to them: neither new decisions nor changes of the candidates."""
    bench.take(*(answer(offer, Answer.accept) for offer in flood(bench, 4)))
    unplaced_ids = [new_id() for _ in range(6)]
    bench.take(*(submitted(one) for one in unplaced_ids))
    assert (rows(bench, WAITING), rows(bench, DEMAND)) == (12, 2)
    one = small("ru.one")
    for changed in (replace(one, name="Renamed"), replace(one, name="Again"), one):
        bench.network.absorb(changed_record(changed))
        again(bench)
        assert (rows(bench, WAITING), rows(bench, DEMAND)) == (12, 2)
    bench.network.absorb(changed_record(small("ru.third", maximum=0)))
    again(bench)
    assert (rows(bench, WAITING), rows(bench, DEMAND)) == (18, 3)
    for leaves in ("ru.third", "ru.one"):
        bench.network.absorb(changed_record(replace(small(leaves), services=())))
        again(bench)
    assert (rows(bench, WAITING), rows(bench, DEMAND)) == (6, 1)
    bench.network.absorb(changed_record(small("ru.two", maximum=30)))
    assert {offer.referral_id for offer in opened(again(bench))} == set(unplaced_ids)
    assert rows(bench, WAITING) == 0


def test_failed_transaction_keeps_the_place_for_the_next_attempt(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    offers, waiting = flood(bench, 4), new_id()
    bench.take(submitted(waiting))
    again(bench)
    bench.take(answer(offers[0], Answer.decline))
    with monkeypatch.context() as failing:
        failing.setattr(bench.store, "save", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            bench.commands.decide_unplaced_again(NOW)
    assert waiting in {offer.referral_id for offer in opened(again(bench))}


def test_free_place_at_one_service_is_given_to_its_own_queue(database_url: str) -> None:
    stated = Capacity(status=CapacityStatus.capacity, updated_at=NOW, maximum=1)
    house = organization(
        "ru.house",
        service(capacity=stated),
        service(id="shelter", needs=("shelter",), capacity=stated),
    )
    bench = workbench(database_url, house)
    legal, shelter = flood(bench, 1), flood(bench, 1, needs=("shelter",))
    assert (len(legal), len(shelter)) == (1, 1), "one service takes no place of the other"
    bench.take(answer(legal[0], Answer.accept), answer(shelter[0], Answer.accept))
    waiting = new_id()
    assert opened(bench.take(submitted(waiting), submitted(new_id(), needs=("shelter",)))) == []
    bench.take(outcome(legal[0]))
    assert [offer.referral_id for offer in opened(again(bench))] == [waiting]
    loads = bench.observations()["ru.house"].services
    assert {name: (load.accepted, load.pending) for name, load in loads.items()} == {
        "legal": (0, 1),
        "shelter": (1, 0),
    }
    bench.close()


def test_migration_counts_the_demand_of_open_offers(bench: Workbench) -> None:
    flood(bench, 3)
    flood(bench, 1, urgency=Urgency.emergency)
    before = bench.observations()
    with bench.database.write() as connection, Operations.context(MigrationContext.configure(connection)):
        service_loads.downgrade()
        waiting_migration.downgrade()
        waiting_migration.upgrade()
        service_loads.upgrade()
    assert bench.observations() == before
    assert differences("services.routing", bench.database) == []
