"""Routing's metrics: what the series say, that all of them exist, and what follows a failed commit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from contracts.codes import Answer, DeclineReason, OfferState, Urgency
from contracts.facts import AnswerSubmitted, OfferOpened
from contracts.organization import Capacity
from runtime.identifiers import new_id
from runtime.storage.database import DatabaseUnavailable
from services.routing.domain.coverage import FRESH, stale_services
from services.routing.domain.network_figures import NetworkFigures
from services.routing.domain.tally import REASONS
from services.routing.metrics import (
    COUNTRIES,
    KEPT,
    NEED_GROUPS,
    OPEN_STATUSES,
    RoutingCounters,
    RoutingMetrics,
)
from tests.support.settable_clock import SettableClock
from tests.unit.services.routing.samples import HOUR, NOW, organization, service
from tests.unit.services.routing.workbench import Workbench, delivery, event, opened, submitted, workbench

MINUTE = dt.timedelta(minutes=1)


class Scraped:
    """A workbench whose commands count, and whose registry a test scrapes."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self.registry = CollectorRegistry()
        RoutingMetrics(
            self.registry,
            figures=bench.queries.figures,
            stale_services=lambda now: stale_services(bench.network.directory.all_offered_services(), now),
            clock=bench.clock,
        )
        bench.counted_by(RoutingCounters(self.registry).count)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def closed(self, result: str, reason: str, urgency: str = "routine") -> float | None:
        return self.value("kopuro_offers_closed_total", result=result, reason=reason, urgency=urgency)


@pytest.fixture
def scraped(database_url: str) -> Iterator[Scraped]:
    bench = workbench(database_url, "ru.one", "ru.two")
    yield Scraped(bench)
    bench.close()


def answered(offer: OfferOpened, answer: Answer, reason: DeclineReason | None = None) -> AnswerSubmitted:
    return AnswerSubmitted(
        referral_id=offer.referral_id,
        offer_id=offer.offer_id,
        organization=offer.organization,
        answer=answer,
        reason=reason,
    )


def test_every_series_of_an_idle_hub_exists_with_value_zero(scraped: Scraped) -> None:
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in scraped.registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
    assert set(samples.values()) == {0.0}
    names = [name for name, *_ in samples]
    assert names.count("kopuro_referrals_open") == len(OPEN_STATUSES) * len(Urgency)
    assert names.count("kopuro_referrals_open_by_need") == len(NEED_GROUPS) * len(COUNTRIES)
    assert names.count("kopuro_referrals_oldest_seconds") == len(OPEN_STATUSES) * len(Urgency)
    assert names.count("kopuro_offers_closed_total") == len(Urgency) * sum(map(len, REASONS.values()))
    assert names.count("kopuro_offers_open_oldest_seconds") == len(Urgency)
    for single in ("kopuro_referrals_overdue", "kopuro_directory_stale_services"):
        assert names.count(single) == 1
    assert len(names) < 500


def test_open_referrals_are_counted_by_kind_and_aged_by_their_submission(scraped: Scraped) -> None:
    bench = scraped.bench
    first = bench.take(submitted(new_id()), submitted(new_id(), urgency=Urgency.urgent))
    bench.take(submitted(new_id(), needs=("health", "legal.wage_claim"), region="KZ"))
    bench.clock.time = NOW + 10 * MINUTE
    bench.take(submitted(new_id()))
    bench.clock.time = NOW + 15 * MINUTE

    kind = {"status": "offered", "urgency": "routine"}
    assert scraped.value("kopuro_referrals_open", **kind) == 2
    assert scraped.value("kopuro_referrals_open", **{**kind, "urgency": "urgent"}) == 1
    assert scraped.value("kopuro_referrals_open", status="unplaced", urgency="routine") == 1
    assert scraped.value("kopuro_unplaced_total", reason="no_candidate") == 1
    assert scraped.value("kopuro_referrals_oldest_seconds", **kind) == 900
    assert scraped.value("kopuro_offers_open_oldest_seconds", urgency="routine") == 900

    # The answer to the first offer leaves the one of five minutes ago as the oldest.
    bench.take(event(answered(opened(first)[0], Answer.accept), opened(first)[0].referral_id))
    bench.clock.time += KEPT
    assert scraped.value("kopuro_offers_open_oldest_seconds", urgency="routine") == 305


def test_no_series_by_need_and_country_stands_for_fewer_than_five_persons(scraped: Scraped) -> None:
    bench = scraped.bench
    legal = {"need_group": "legal", "country": "RU"}
    shown = []
    for number in range(11):
        if number == 10:
            bench.take(submitted(new_id(), needs=("health", "legal.wage_claim"), region="KZ"))
        urgency = Urgency.urgent if number % 2 else Urgency.routine
        bench.take(submitted(new_id(), urgency=urgency))
        bench.clock.time += KEPT
        shown.append(scraped.value("kopuro_referrals_open_by_need", **legal))
        by_place = [
            sample
            for family in scraped.registry.collect()
            for sample in family.samples
            if {"need_group", "country"} & sample.labels.keys()
        ]
        assert {sample.value % 5 for sample in by_place} == {0}
    assert shown == [0, 0, 0, 0, 5, 5, 5, 5, 5, 10, 10]


def test_ends_of_offers_are_counted_with_their_reason_and_answer_time(scraped: Scraped) -> None:
    bench = scraped.bench
    (first,) = opened(bench.take(submitted(new_id())))
    admitted = NOW + 4 * MINUTE
    decline = answered(first, Answer.decline, DeclineReason.language)
    (second,) = opened(bench.take(event(decline, first.referral_id, at=admitted)))
    bench.fire(second.deadline + HOUR)

    assert scraped.closed("declined", "language") == 1
    assert scraped.closed("expired", "no_answer") == 1
    assert scraped.closed("accepted", "none") == 0
    assert scraped.value("kopuro_offer_answer_seconds_count", urgency="routine") == 1
    assert scraped.value("kopuro_offer_answer_seconds_sum", urgency="routine") == 240
    assert scraped.value("kopuro_unplaced_total", reason="candidates_exhausted") == 1


def test_overdue_report_is_counted_until_it_comes(scraped: Scraped) -> None:
    bench = scraped.bench
    (offer,) = opened(bench.take(submitted(new_id())))
    bench.take(event(answered(offer, Answer.accept), offer.referral_id))
    bench.fire(NOW + dt.timedelta(days=40))
    assert scraped.value("kopuro_referrals_overdue") == 1


def test_repeated_message_is_counted_once(scraped: Scraped) -> None:
    bench = scraped.bench
    (offer,) = opened(bench.take(submitted(new_id())))
    acceptance = delivery(event(answered(offer, Answer.accept), offer.referral_id))
    bench.processor.process([acceptance])
    bench.processor.process([acceptance])
    assert scraped.closed("accepted", "none") == 1


def test_transaction_that_is_rolled_back_is_not_counted(scraped: Scraped) -> None:
    bench = scraped.bench
    (offer,) = opened(bench.take(submitted(new_id())))
    acceptance = event(answered(offer, Answer.accept), offer.referral_id)
    with pytest.raises(KeyError), bench.database.write() as transaction:
        bench.commands.take_facts(transaction, [acceptance], NOW)
        raise KeyError
    assert scraped.closed("accepted", "none") == 0
    bench.take(acceptance)
    assert scraped.closed("accepted", "none") == 1


def test_two_processes_show_the_same_figures_and_count_what_each_did(
    scraped: Scraped, database_url: str
) -> None:
    other = Scraped(Workbench(database_url, ["ru.one", "ru.two"]))
    (offer,) = opened(scraped.bench.take(submitted(new_id())))
    other.bench.take(event(answered(offer, Answer.accept), offer.referral_id))
    other.bench.take(submitted(new_id()))
    both = (scraped, other)
    for status in ("accepted", "offered"):
        values = [one.value("kopuro_referrals_open", status=status, urgency="routine") for one in both]
        assert values == [1, 1]
    assert [one.closed("accepted", "none") for one in both] == [0, 1]
    other.bench.close()


def test_service_without_fresh_capacity_is_counted_as_stale(scraped: Scraped) -> None:
    bench = scraped.bench
    old = replace(service(), capacity=Capacity(status=service().capacity.status, updated_at=NOW - FRESH))
    bench.absorb([organization("ru.three", old)])
    assert scraped.value("kopuro_directory_stale_services") == 0
    bench.clock.time = NOW + MINUTE
    assert scraped.value("kopuro_directory_stale_services") == 1


def test_scrapes_within_five_seconds_read_the_database_once_and_ages_grow() -> None:
    reads = 0
    clock = SettableClock(NOW)

    def figures() -> NetworkFigures:
        nonlocal reads
        reads += 1
        return NetworkFigures(
            open=(), overdue=3, acceptor_suspended=2, oldest_offers={Urgency.emergency: NOW - MINUTE}
        )

    registry = CollectorRegistry()
    RoutingMetrics(registry, figures=figures, stale_services=lambda _: 0, clock=clock)
    for seconds in (0, 4):
        clock.time = NOW + dt.timedelta(seconds=seconds)
        age = registry.get_sample_value("kopuro_offers_open_oldest_seconds", {"urgency": "emergency"})
        assert age == 60 + seconds
    assert reads == 1
    clock.time = NOW + KEPT
    registry.get_sample_value("kopuro_referrals_overdue")
    assert reads == 2


def test_figures_are_absent_while_the_database_is_unavailable() -> None:
    def away() -> NetworkFigures:
        raise DatabaseUnavailable("The database is unavailable.")

    registry = CollectorRegistry()
    RoutingMetrics(registry, figures=away, stale_services=lambda _: 0, clock=SettableClock(NOW))
    assert registry.get_sample_value("kopuro_referrals_overdue") is None
    assert registry.get_sample_value("kopuro_directory_stale_services") == 0


def test_results_are_the_states_that_an_offer_ends_in() -> None:
    assert set(REASONS) == set(OfferState) - {OfferState.open}
