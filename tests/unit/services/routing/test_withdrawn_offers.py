"""A sender that submits and withdraws referrals again and again, behind routing's real handlers."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from contracts.codes import CapacityStatus, Urgency, WithdrawalReason
from contracts.envelope import Event
from contracts.facts import (
    CaseRefused,
    Fact,
    OfferOpened,
    OfferRevoked,
    ReferralSplit,
    ReferralSubmitted,
    ReferralUnplaced,
    ReferralWithdrawn,
    RevocationSubmitted,
    WithdrawalSubmitted,
)
from contracts.organization import Capacity
from contracts.records import plain
from runtime.identifiers import new_id
from services.routing.adapters.fact_reduction import SqlFactReduction
from services.routing.adapters.past_referrals import SqlPastReferrals
from services.routing.adapters.tables import DECISIONS, WITHDRAWN_OFFERS
from services.routing.domain.fairness import Fairness
from services.routing.domain.passed_over import passed_over
from services.routing.domain.places import OffersPerSender, WithdrawnFor
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.preview import Band
from services.routing.domain.recomputation import completed, differences, made_again
from services.routing.handlers import transactions
from services.routing.handlers.fact_reduction import ReduceFacts
from services.routing.handlers.previews import Previews
from tests.support.events import message_of
from tests.unit.services.routing.families import LEGAL, SHELTER
from tests.unit.services.routing.samples import (
    DAY,
    HOUR,
    NOW,
    SENDER,
    agreement,
    facts,
    organization,
    service,
)
from tests.unit.services.routing.test_onward import onward
from tests.unit.services.routing.test_splitting import helping, several
from tests.unit.services.routing.test_unplaced import again, changed_agreement, changed_record
from tests.unit.services.routing.workbench import Workbench, accepted_by, event, opened, sender, workbench

ALLOWED = OffersPerSender().withdrawn
OTHER = "kg.other"
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    bench = workbench(database_url, "ru.one", sender(OTHER))
    yield bench
    bench.close()


def submission(
    at: dt.datetime, *, by: str = SENDER, urgency: Urgency = Urgency.routine, **changes: Any
) -> Event[Fact]:
    referral_id = new_id()
    given = facts(urgency=urgency, **changes)
    return event(ReferralSubmitted(referral_id=referral_id, sender=by, facts=given), referral_id, at)


def withdrawal(referral_id: str, at: dt.datetime, *, by: str = SENDER) -> Event[Fact]:
    fact = WithdrawalSubmitted(
        referral_id=referral_id, organization=by, reason=WithdrawalReason.entered_in_error
    )
    return event(fact, referral_id, at)


def cycles(bench: Workbench, number: int, at: dt.datetime = NOW, **changes: Any) -> list[Fact]:
    """Submit and withdraw one referral after the other; return the published facts."""
    published: list[Fact] = []
    for _ in range(number):
        one = submission(at, **changes)
        published += bench.take(one)
        published += bench.take(withdrawal(one.partition_key, at, by=changes.get("by", SENDER)))
    return published


def rows(bench: Workbench) -> list[Any]:
    with bench.database.read() as transaction:
        return list(transaction.execute(select(WITHDRAWN_OFFERS)).all())


def next_due(bench: Workbench) -> dt.datetime | None:
    with bench.database.read() as transaction:
        return bench.store.next_due(transaction)


def test_cycles_of_submission_and_withdrawal_reach_a_candidate_a_bounded_number_of_times(
    bench: Workbench,
) -> None:
    published = cycles(bench, 50)
    assert sum(isinstance(one, OfferOpened) for one in published) == ALLOWED
    assert sum(isinstance(one, OfferRevoked) for one in published) == ALLOWED
    # Every withdrawal takes effect.
    assert sum(isinstance(one, ReferralWithdrawn) for one in published) == 50


def test_batches_that_are_submitted_and_withdrawn_reach_a_candidate_once_in_the_time_of_the_policy(
    bench: Workbench,
) -> None:
    offers = 0
    for _ in range(5):
        batch = [submission(NOW) for _ in range(20)]
        offers += len(opened(bench.take(*batch)))
        bench.take(*(withdrawal(one.partition_key, NOW) for one in batch))
    assert offers == 20


def test_another_sender_is_offered_and_takes_the_place_at_once(bench: Workbench) -> None:
    cycles(bench, ALLOWED + 1)
    assert len(opened(bench.take(submission(NOW, by=OTHER)))) == 1


def test_few_corrections_delay_nothing(bench: Workbench) -> None:
    cycles(bench, ALLOWED - 1)
    assert len(opened(bench.take(submission(NOW)))) == 1


def test_waiting_referral_is_offered_when_the_withdrawn_offers_count_no_longer(bench: Workbench) -> None:
    cycles(bench, ALLOWED, NOW + MINUTE)
    waiting = submission(NOW + 2 * MINUTE)
    (unplaced,) = bench.take(waiting)
    assert isinstance(unplaced, ReferralUnplaced)
    until = NOW + MINUTE + HOUR
    (decision,) = bench.queries.decisions(waiting.partition_key, SENDER, oversight=False)
    (failure,) = [rule for rule in decision["candidates"][0]["rules"] if not rule["passed"]]
    detail = {"withdrawn": ALLOWED, "until": until.isoformat().replace("+00:00", "Z")}
    assert (failure["reason"], failure["detail"]) == ("withdrawn_too_often", detail)
    assert bench.fire(until - MINUTE) == []
    assert next_due(bench) == until
    (offer,) = opened(bench.fire(until))
    assert offer.referral_id == waiting.partition_key


def test_referral_that_waits_for_the_time_takes_no_share_of_the_places_from_others(bench: Workbench) -> None:
    cycles(bench, ALLOWED)
    bench.take(submission(NOW))
    assert bench.observations()["ru.one"].services == {}


def test_withdrawn_routine_referrals_keep_no_emergency_from_its_candidates(bench: Workbench) -> None:
    cycles(bench, 2 * ALLOWED, urgency=Urgency.urgent)
    cycles(bench, 2 * ALLOWED)
    assert len(opened(bench.take(submission(NOW, urgency=Urgency.emergency)))) == 1
    assert opened(bench.take(submission(NOW, urgency=Urgency.urgent))) == []


def test_cycles_of_emergencies_are_bounded_by_themselves_and_a_coordinator_may_place_the_next(
    bench: Workbench,
) -> None:
    published = cycles(bench, 3 * ALLOWED, urgency=Urgency.emergency)
    assert sum(isinstance(one, OfferOpened) for one in published) == ALLOWED
    emergency = submission(NOW, urgency=Urgency.emergency)
    (unplaced,) = bench.take(emergency)
    assert isinstance(unplaced, ReferralUnplaced)
    assert next_due(bench) == NOW + 10 * MINUTE
    bench.commands.submit_placement(emergency.partition_key, "ru.one", "olga", NOW)
    placement = bench.published()[-1]
    assert [offer.organization for offer in opened(bench.take(placement))] == ["ru.one"]


def test_next_candidate_is_asked_instead(database_url: str) -> None:
    bench = workbench(database_url, "ru.one", "ru.two")
    cycles(bench, ALLOWED, to="ru.one")
    assert opened(bench.take(submission(NOW, to="ru.one"))) == []
    for _ in range(3):
        assert [one.organization for one in opened(bench.take(submission(NOW)))] == ["ru.two"]
    bench.close()


def test_emergency_waits_for_minutes_only(bench: Workbench) -> None:
    cycles(bench, 5 * ALLOWED, urgency=Urgency.emergency)
    emergency = submission(NOW, urgency=Urgency.emergency)
    bench.take(emergency)
    (offer,) = opened(bench.fire(NOW + 10 * MINUTE))
    assert offer.referral_id == emergency.partition_key
    # The withdrawn emergencies count for an hour against the sender's routine referrals.
    assert opened(bench.take(submission(NOW + 11 * MINUTE))) == []


@pytest.mark.parametrize("end", ["revoked consent", "refused case", "withdrawn after acceptance"])
def test_every_end_without_an_outcome_counts(bench: Workbench, end: str) -> None:
    offers = 0
    for _ in range(3 * ALLOWED):
        one = submission(NOW)
        asked = opened(bench.take(one))
        offers += len(asked)
        if end == "revoked consent":
            last: Fact = RevocationSubmitted(referral_id=one.partition_key, organization=SENDER)
        elif end == "refused case":
            last = CaseRefused(referral_id=one.partition_key, organization=SENDER, problem={})
        else:
            bench.take(*map(accepted_by, asked))
            last = withdrawal(one.partition_key, NOW).data
        source = "/kg/vault" if isinstance(last, CaseRefused) else "/kg/intake"
        bench.take(message_of(last, one.partition_key, time=NOW, source=source))
    assert offers == ALLOWED


def test_referral_that_was_withdrawn_long_after_its_offer_counts_no_longer(bench: Workbench) -> None:
    early = [submission(NOW) for _ in range(2 * ALLOWED)]
    bench.take(*early)
    bench.take(*(withdrawal(one.partition_key, NOW + 2 * HOUR) for one in early))
    assert len(opened(bench.take(submission(NOW + 2 * HOUR)))) == 1


def test_second_process_and_a_restarted_one_count_the_same(database_url: str, bench: Workbench) -> None:
    cycles(bench, ALLOWED)
    restarted = Workbench(database_url, ["ru.one"])
    restarted.commands.recall()
    assert restarted.observations() == bench.observations()
    assert opened(restarted.take(submission(NOW))) == []
    restarted.close()


def test_policy_sets_the_number_and_the_time(bench: Workbench) -> None:
    strict = OffersPerSender(withdrawn=3, withdrawn_for=WithdrawnFor(routine=600))
    bench.policy = lambda: RoutingPolicy(fairness=Fairness(explore=0.0), offers_per_sender=strict)
    assert sum(isinstance(one, OfferOpened) for one in cycles(bench, 10)) == 3
    assert len(opened(bench.take(submission(NOW + 10 * MINUTE)))) == 1


def test_counts_are_deleted_once_the_policy_counts_them_no_longer(bench: Workbench) -> None:
    """Write transactions read them all: those of a day would be thousands at each organisation."""
    cycles(bench, 3)
    reduction = ReduceFacts(
        database=bench.database,
        reduction=SqlFactReduction(),
        policy=lambda: bench.policy(),
        clock=bench.clock,
        kept=90 * DAY,
    )
    bench.clock.time = NOW + HOUR - MINUTE
    reduction.turn()
    assert [row.offers for row in rows(bench)] == [3]
    bench.clock.time = NOW + HOUR
    reduction.turn()
    assert rows(bench) == []


def test_accomplice_that_accepts_each_emergency_does_not_hide_the_cycle(database_url: str) -> None:
    """The candidate's offer is revoked because another organisation accepted, before the sender withdraws."""
    bench = workbench(database_url, "ru.one", "ru.two")
    offers = 0
    for _ in range(3 * ALLOWED):
        one = submission(NOW, urgency=Urgency.emergency)
        asked = opened(bench.take(one))
        offers += sum(offer.organization == "ru.one" for offer in asked)
        bench.take(*(accepted_by(offer) for offer in asked if offer.organization == "ru.two"))
        bench.take(withdrawal(one.partition_key, NOW))
    assert offers == ALLOWED
    bench.close()


def test_onward_referrals_count_against_the_organisation_that_refers_onward(database_url: str) -> None:
    bench = workbench(database_url, "ru.one", "ru.two")
    (offer,) = opened(bench.take(submission(NOW, to="ru.one")))
    bench.take(accepted_by(offer))
    offers = 0
    for _ in range(2 * ALLOWED):
        one = onward(offer.referral_id, "ru.one")
        offers += len(opened(bench.take(one)))
        bench.take(withdrawal(one.partition_key, NOW, by="ru.one"))
    assert offers == ALLOWED
    assert opened(bench.take(submission(NOW, by="ru.one"))) == []
    assert [one.organization for one in opened(bench.take(submission(NOW, to="ru.two")))] == ["ru.two"]
    bench.close()


@pytest.mark.parametrize("withdrawn", ["the whole", "each part"])
def test_cycles_of_parts_are_bounded(database_url: str, withdrawn: str) -> None:
    bench = workbench(database_url, helping("ru.legal", LEGAL), helping("ru.home", SHELTER))
    offers = Counter[str]()
    for _ in range(2 * ALLOWED):
        whole = new_id()
        published = bench.take(several(whole, LEGAL, SHELTER))
        offers.update(one.organization for one in opened(published))
        parts = [part for one in published if isinstance(one, ReferralSplit) for part in one.parts]
        for ended in [whole] if withdrawn == "the whole" else parts:
            bench.take(withdrawal(ended, NOW))
    assert offers == {"ru.legal": ALLOWED, "ru.home": ALLOWED}
    bench.close()


def test_referral_is_not_split_because_of_withdrawn_offers(database_url: str) -> None:
    """A split is permanent, and the offers count for an hour."""
    bench = workbench(database_url, helping("ru.both", LEGAL, SHELTER), helping("ru.home", SHELTER))
    cycles(bench, ALLOWED, to="ru.both")
    whole = several(new_id(), LEGAL, SHELTER)
    (unplaced,) = bench.take(whole)
    assert isinstance(unplaced, ReferralUnplaced)
    (offer,) = opened(bench.fire(NOW + HOUR))
    assert (offer.referral_id, offer.organization) == (whole.partition_key, "ru.both")
    bench.close()


def without_services(bench: Workbench) -> None:
    bench.network.absorb(changed_record(replace(organization("ru.both"), services=())))


def without_agreement(bench: Workbench) -> None:
    bench.network.absorb([changed_agreement(agreement(id="both", parties=("kg.third", "kg.fourth")))])


@pytest.mark.parametrize("change", [without_services, without_agreement])
def test_referral_is_split_when_the_excluded_organisation_can_no_longer_take_all_needs(
    database_url: str, change: Callable[[Workbench], None]
) -> None:
    """Nothing that the organisation or the agreement still names leads to the referral."""
    bench = workbench(database_url, helping("ru.both", LEGAL, SHELTER), helping("ru.home", SHELTER))
    bench.network.absorb(
        [
            changed_agreement(agreement(parties=(SENDER, "ru.home"))),
            changed_agreement(agreement(id="both", parties=(SENDER, "ru.both"))),
        ]
    )
    cycles(bench, ALLOWED, to="ru.both")
    whole = several(new_id(), LEGAL, SHELTER)
    bench.take(whole)
    assert again(bench) == []
    change(bench)
    (split, *_) = [one for one in again(bench) if isinstance(one, ReferralSplit)]
    assert split.referral_id == whole.partition_key
    bench.close()


def test_referral_is_split_if_the_excluded_organisation_has_no_place_either(database_url: str) -> None:
    """It would be split without the withdrawn offers, too."""
    small = Capacity(status=CapacityStatus.capacity, updated_at=NOW, maximum=1)
    both = organization("ru.both", service(needs=(LEGAL, SHELTER), capacity=small))
    alone = helping("ru.legal", LEGAL), helping("ru.home", SHELTER)
    bench = workbench(database_url, both, *alone, sender(OTHER))
    cycles(bench, ALLOWED, to="ru.both")
    (held,) = opened(bench.take(submission(NOW, to="ru.both", by=OTHER)))
    bench.take(accepted_by(held))
    published = bench.take(several(new_id(), LEGAL, SHELTER))
    assert {one.organization for one in opened(published)} == {"ru.legal", "ru.home"}
    bench.close()


def test_next_candidate_is_asked_about_the_whole_referral_instead_of_a_split(database_url: str) -> None:
    bench = workbench(database_url, helping("ru.both", LEGAL, SHELTER), helping("ru.home", SHELTER))
    cycles(bench, ALLOWED, to="ru.both")
    whole = several(new_id(), SHELTER, LEGAL)
    (offer,) = opened(bench.take(whole))
    assert (offer.referral_id, offer.organization) == (whole.partition_key, "ru.home")
    bench.close()


def records(bench: Workbench) -> list[dict[str, Any]]:
    with bench.database.read() as transaction:
        found = transaction.execute(select(DECISIONS.c.record).order_by(DECISIONS.c.id)).scalars()
        return [dict(record) for record in found]


def remade(
    bench: Workbench, stored: dict[str, Any], by: str = SENDER, urgency: Urgency = Urgency.routine
) -> dict[str, Any]:
    policy = RoutingPolicy(fairness=Fairness(explore=0.0))
    directory = bench.network.directory
    given = facts(urgency=urgency)
    return dict(plain(made_again(stored, sender=by, facts=given, policy=policy, directory=directory)))


def test_decision_records_the_withdrawn_offers_of_its_sender_only_and_is_made_again(bench: Workbench) -> None:
    cycles(bench, ALLOWED)
    bench.take(submission(NOW))
    bench.take(submission(NOW, by=OTHER))
    *_, refused, others = records(bench)
    assert refused["inputs"]["withdrawn"] == {"ru.one": [["routine", NOW.isoformat(), ALLOWED]]}
    assert others["inputs"]["withdrawn"] == {}
    assert SENDER not in str(others["inputs"])
    for stored, by in ((refused, SENDER), (others, OTHER)):
        assert list(differences(stored, remade(bench, stored, by))) == []
    # The record alone leads to the failure.
    forged = {**refused, "inputs": {**refused["inputs"], "withdrawn": {}}}
    assert list(differences(forged, remade(bench, forged))) != []


def test_decision_records_only_withdrawn_offers_that_count_for_it(bench: Workbench) -> None:
    """Otherwise a sender that withdraws all day would have megabytes stored for each further referral."""
    for minute in range(3):
        cycles(bench, 2, NOW + minute * MINUTE, urgency=Urgency.emergency)
        cycles(bench, 2, NOW + minute * MINUTE)
    late = NOW + 11 * MINUTE
    bench.take(submission(late, urgency=Urgency.emergency), submission(late, urgency=Urgency.urgent))
    bench.take(submission(late + HOUR))
    *_, emergency, urgent, later = records(bench)
    second = (NOW + 2 * MINUTE).isoformat()
    assert emergency["inputs"]["withdrawn"] == {"ru.one": [["emergency", second, 2]]}
    assert [one[0] for one in urgent["inputs"]["withdrawn"]["ru.one"]] == ["emergency"] * 3
    assert later["inputs"]["withdrawn"] == {}
    for stored, urgency in ((emergency, Urgency.emergency), (urgent, Urgency.urgent)):
        assert list(differences(stored, remade(bench, stored, urgency=urgency))) == []


def test_decision_of_an_earlier_build_is_made_again_without_withdrawn_offers(bench: Workbench) -> None:
    bench.take(submission(NOW))
    (stored,) = records(bench)
    earlier = {
        **stored,
        "inputs": {name: value for name, value in stored["inputs"].items() if name != "withdrawn"},
    }
    assert list(differences(completed(earlier), remade(bench, earlier))) == []


def test_preview_says_that_nobody_can_be_asked(bench: Workbench) -> None:
    cycles(bench, ALLOWED)
    previews = Previews(
        database=bench.database,
        past=SqlPastReferrals(),
        network=bench.network,
        policy=lambda: bench.policy(),
        unready=lambda: None,
        clock=bench.clock,
    )
    assert previews.preview(SENDER, facts()).candidates is Band.none
    assert previews.preview(OTHER, facts()).candidates is Band.few


def test_candidate_is_not_passed_over_by_a_sender_that_withdrew_too_often(bench: Workbench) -> None:
    """Its statement must not say that it lacks capacity."""
    cycles(bench, ALLOWED)
    bench.take(submission(NOW))
    assert passed_over([records(bench)[-1]], asked=()) == {}


def test_referrals_that_wait_for_the_time_are_decided_a_few_in_a_transaction(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    cycles(bench, ALLOWED)
    bench.take(*(submission(NOW) for _ in range(5)))
    monkeypatch.setattr(transactions, "CHANGED_AT_ONCE", 2)
    together: list[int] = []
    load = bench.store.load

    def noted(transaction: Any, ids: Any) -> Any:
        together.append(len(ids))
        return load(transaction, ids)

    monkeypatch.setattr(bench.store, "load", noted)
    assert len(opened(bench.fire(NOW + HOUR))) == 5
    assert together == [2, 2, 1]


def test_two_processes_that_count_withdrawn_offers_at_once_add_them(
    database_url: str, bench: Workbench
) -> None:
    second = Workbench(database_url, ["ru.one", sender(OTHER)])
    for _ in range(2):
        cycles(bench, 2)
        cycles(second, 2)
    assert [row.offers for row in rows(bench)] == [8]
    second.close()
