"""Observations of a moment stay as they were, whatever changes afterwards."""

from __future__ import annotations

import gc
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from services.routing.domain.observation import NOTHING_OBSERVED, Observation
from services.routing.domain.observations import Observations, ObservationsThen

NAMES = ("ru.one", "ru.two", "ru.three")
CHANGES = st.dictionaries(
    st.sampled_from(NAMES), st.builds(Observation, answered=st.integers(0, 9)), max_size=len(NAMES)
)


def every(read: Callable[[str], Observation]) -> dict[str, Observation]:
    return {name: read(name) for name in NAMES}


@given(st.lists(st.tuples(CHANGES, CHANGES), max_size=6))
def test_observations_of_a_moment_do_not_change(steps: list[tuple[dict[str, Observation], ...]]) -> None:
    observations = Observations()
    taken: list[tuple[ObservationsThen, dict[str, Observation]]] = []
    for update, addition in steps:
        observations.update(update)
        then = observations.then([addition])
        expected = {name: observations.of(name).plus(addition.get(name, NOTHING_OBSERVED)) for name in NAMES}
        taken.append((then, expected))
    assert [every(then) for then, _ in taken] == [expected for _, expected in taken]
    assert [every(then) for then, _ in taken] == [expected for _, expected in taken]


def test_several_additions_are_all_added() -> None:
    observations = Observations({"ru.one": Observation(answered=1)})
    then = observations.then([{"ru.one": Observation(answered=2)}, {}, {"ru.one": Observation(answered=4)}])
    assert then("ru.one").answered == 7
    assert then("ru.two") is NOTHING_OBSERVED
    assert observations.of("ru.one").answered == 1


def test_replaced_values_are_kept_only_while_they_can_be_read() -> None:
    observations = Observations({"ru.one": Observation(answered=1)})
    then = observations.then()
    replaced = observations.of("ru.one")
    observations.update({"ru.one": Observation(answered=2)})
    assert then("ru.one").answered == 1
    referrers = len(gc.get_referrers(replaced))
    del then
    assert len(gc.get_referrers(replaced)) == referrers - 1
