"""The timer makes its changes in short transactions, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from contracts.codes import Answer, DeclineReason, Vetting
from contracts.facts import Fact, OfferReminded, OfferRevoked, ReferralSplit
from runtime.identifiers import new_id
from services.routing.handlers import transactions
from tests.unit.services.routing import test_unapproved
from tests.unit.services.routing.families import LEGAL, SHELTER
from tests.unit.services.routing.samples import HOUR, NOW, organization, service
from tests.unit.services.routing.test_splitting import answer, helping, several
from tests.unit.services.routing.workbench import Workbench, asked_for, opened, submitted, workbench

NUMBER = 5
Prepare = Callable[[Workbench], Callable[[], object]]


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    """Nobody meets any need."""
    bench = workbench(database_url, helping("ru.consul", "consular.passport"))
    yield bench
    bench.close()


def offers_are_due(bench: Workbench) -> Callable[[], object]:
    bench.absorb(["ru.one"])
    bench.take(*(submitted(new_id()) for _ in range(NUMBER)))
    return lambda: bench.fire(NOW + 49 * HOUR)


def decline_counts_no_longer(bench: Workbench) -> Callable[[], object]:
    bench.absorb([organization("ru.home", service(needs=(SHELTER,)))])
    (offer,) = opened(bench.take(submitted(new_id(), needs=(SHELTER,))))
    bench.take(answer(offer, Answer.decline, DeclineReason.no_capacity))
    bench.take(*(several(new_id(), LEGAL, SHELTER) for _ in range(NUMBER)))
    return lambda: bench.fire(NOW + 24 * HOUR)


def organization_is_suspended(bench: Workbench) -> Callable[[], object]:
    bench.absorb(["ru.one"])
    bench.take(*(submitted(new_id()) for _ in range(NUMBER)))
    bench.absorb([organization("ru.one", vetting=Vetting.suspended)])
    return lambda: bench.commands.act_on_suspensions(NOW)


def approval_ends(bench: Workbench) -> Callable[[], object]:
    test_unapproved.absorb(bench, test_unapproved.shelter("ru.one"))
    test_unapproved.submit(bench, NUMBER)
    test_unapproved.absorb(bench, test_unapproved.shelter("ru.one", approved=False))
    return lambda: bench.commands.end_uncovered_offers(NOW)


@pytest.mark.parametrize(
    ("prepare", "fact"),
    [
        (offers_are_due, OfferReminded),
        (decline_counts_no_longer, ReferralSplit),
        (organization_is_suspended, OfferRevoked),
        (approval_ends, OfferRevoked),
    ],
)
def test_one_transaction_changes_no_more_referrals_than_its_bound(
    bench: Workbench, prepare: Prepare, fact: type[Fact], monkeypatch: pytest.MonkeyPatch
) -> None:
    act = prepare(bench)
    known = {event.id for event in bench.published()}
    monkeypatch.setattr(transactions, "CHANGED_AT_ONCE", 2)
    loaded = asked_for(monkeypatch, bench.store, "load")
    act()
    assert [len(ids) for ids in loaded] == [2, 2, 1]
    changed = [event.data for event in bench.published() if event.id not in known]
    assert sum(isinstance(one, fact) for one in changed) == NUMBER
