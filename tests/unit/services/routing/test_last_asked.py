"""When an organisation was last asked: stored, shared by processes, never set back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from runtime.identifiers import new_id
from services.routing.domain.observation import Observation
from services.routing.ports import Changes
from tests.unit.services.routing.samples import DAY, HOUR, NOW
from tests.unit.services.routing.workbench import Workbench, opened, submitted, workbench

NAMES = ("ru.one", "ru.two", "ru.three")


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    bench = workbench(database_url, *NAMES)
    yield bench
    bench.close()


def ask(bench: Workbench, hours: int) -> str:
    """Submit a referral this many hours later; return the organisation that is asked."""
    bench.clock.time = NOW + hours * HOUR
    (offer,) = opened(bench.take(submitted(new_id())))
    return offer.organization


def test_equals_are_asked_in_turn_by_two_processes_and_after_a_restart(
    database_url: str, bench: Workbench
) -> None:
    other = Workbench(database_url, NAMES)
    asked = []
    for hour in range(9):
        process = (bench, other)[hour % 2]
        process.commands.recall()
        asked.append(ask(process, hour))
    other.close()
    restarted = Workbench(database_url, NAMES)
    restarted.commands.recall()
    asked += [ask(restarted, hour) for hour in range(9, 12)]
    restarted.close()
    assert [set(asked[turn : turn + 3]) for turn in range(0, 12, 3)] == [set(NAMES)] * 4
    assert Counter(asked) == dict.fromkeys(NAMES, 4)


def test_earlier_offer_does_not_set_the_moment_back(bench: Workbench) -> None:
    late, early = Observation(last_asked=NOW + DAY), Observation(last_asked=NOW)
    for seen in (early, late, early, Observation(answered=1)):
        with bench.database.write() as transaction:
            bench.store.save(transaction, Changes(before={}, after=(), observed={"ru.one": seen}))
    assert bench.observations()["ru.one"] == Observation(answered=1, last_asked=NOW + DAY)
