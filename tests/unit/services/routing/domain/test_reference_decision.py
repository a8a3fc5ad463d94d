"""`decide` makes the record that its plainest form makes, whatever earlier decisions have left behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.codes import Funding, OrganizationKind, Urgency
from contracts.records import dump, plain
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.decision import Trigger, decide
from services.routing.domain.fairness import Fairness
from services.routing.domain.observation import NOTHING_OBSERVED, Observation
from services.routing.domain.observed_record import observation_of, withdrawn_counts_of
from services.routing.domain.policy import RoutingPolicy, Weights
from services.routing.domain.withdrawn_offers import NONE_WITHDRAWN
from tests.long_run import times
from tests.unit.services.routing.domain.reference_decision import reference
from tests.unit.services.routing.domain.test_evaluation import FACTS, NAMES, PARENT, networks
from tests.unit.services.routing.samples import (
    HOUR,
    NOW,
    SENDER,
    agreement,
    circumstances,
    facts,
    network,
    organization,
    service,
)

RECORDS = st.sampled_from(
    (
        NOTHING_OBSERVED,
        Observation(answered=3, expired=1, answer_seconds=90_000, last_asked=NOW - HOUR),
        Observation(answered=9, answer_seconds=600, last_asked=NOW - 30 * HOUR),
        Observation(answered=4, returned=4),
        Observation(answered=8, returned=3, answer_seconds=40_000, last_asked=NOW - HOUR),
    )
)
NO_WEIGHTS = Weights(**dict.fromkeys(Weights().by_name(), 0.0))
POLICIES = st.builds(
    lambda band, explore, weights: RoutingPolicy(
        fairness=Fairness(band=band, explore=explore), weights=weights
    ),
    st.sampled_from((0.0, 0.03, 1.0)),
    st.sampled_from((0.0, 0.5)),
    st.sampled_from((Weights(), Weights(cost=5.0, freshness=0.0), NO_WEIGHTS)),
)

AS_URGENT = {
    Urgency.emergency: {Urgency.emergency},
    Urgency.urgent: {Urgency.emergency, Urgency.urgent},
    Urgency.routine: set(Urgency),
}


@settings(max_examples=times(20, 100))
@given(networks(), st.data())
def test_decision_equals_the_reference_for_every_referral_of_one_directory(
    first: Circumstances, data: st.DataObject
) -> None:
    history = {name: data.draw(RECORDS) for name in NAMES}
    loads = first.observed
    drawn = [first.facts, *(data.draw(FACTS) for _ in range(3))]
    for number, its_facts in enumerate(drawn):
        given = replace(
            first,
            referral_id=f"referral-{number}",
            facts=its_facts,
            whole_needs=data.draw(st.sampled_from(((), (*its_facts.needs, *first.facts.needs)))),
            observed=lambda name: loads(name).plus(history[name]),
        )
        placed_with = data.draw(st.sampled_from((None, None, NAMES[1])))
        assert_same(given, data.draw(POLICIES), placed_with)


def assert_same(
    given: Circumstances, policy: RoutingPolicy | None = None, placed_with: str | None = None
) -> list[Any]:
    """Return the candidates' failed rules after comparing the decision with the reference."""
    policy = policy or RoutingPolicy()
    made = decide("decision", given, policy, Trigger.submitted, placed_with=placed_with)
    candidates, turn = reference(given, policy, placed_with)
    assert dump(made.candidates) == dump(candidates)
    assert tuple(made.candidates) == candidates
    assert made.ranked == [one for one in candidates if one.rank is not None]
    assert sorted(made.candidates.organizations) == sorted(one.organization for one in candidates)
    names = dict.fromkeys(one.organization for one in candidates)
    observed = {name: given.observed(name) for name in names}
    # Withdrawn offers are recorded for the sender only, and those that count for the urgency. All are new.
    seen = {name: replace(one, withdrawn=NONE_WITHDRAWN) for name, one in observed.items()}
    inputs = plain(made)["inputs"]
    assert {name: observation_of(record) for name, record in inputs["observed"].items()} == {
        name: one for name, one in seen.items() if one != NOTHING_OBSERVED
    }
    counting = AS_URGENT[given.facts.urgency]
    assert {name: withdrawn_counts_of(record) for name, record in inputs["withdrawn"].items()} == {
        name: {key: number for key, number in counts.items() if key[0] in counting}
        for name, one in observed.items()
        if (counts := one.withdrawn.get(given.sender))
    }
    assert plain(made.turn) == plain(turn)
    return [[failure.rule for failure in one.failures] for one in made.candidates]


def test_parent_that_becomes_a_consulate_stops_its_branches() -> None:
    branch = replace(organization("ru.branch"), parent=PARENT)
    directory = network(organization(PARENT, services=()), branch)
    given = circumstances(directory)
    assert assert_same(given) == [[]]
    consulate = OrganizationKind.consular_representative
    directory.put_organization(organization(PARENT, services=(), kind=consulate))
    assert assert_same(given) == [["kind_consented"]]


def test_agreement_that_leaves_a_need_out_stops_its_parties() -> None:
    directory = network("ru.one")
    assert assert_same(circumstances(directory)) == [[]]
    directory.put_agreement(agreement(needs=("health",)))
    assert assert_same(circumstances(directory)) == [["agreement_in_force"]]


def test_each_referral_requires_agreements_about_its_own_need() -> None:
    """Values kept from one referral do not apply to agreements for the need of the next."""
    food, law, health = "basic_needs.food", "legal.wage_claim", "health.primary_care"
    offered = service(needs=(food, law, health))
    directory = network(
        organization("ru.one", offered),
        organization("ru.two", replace(offered, cost=Funding.commercial)),
        agreements=(
            agreement(needs=("basic_needs",)),
            agreement(id="law", parties=(SENDER, "ru.two"), needs=("legal",)),
        ),
    )
    failed = {
        food: [[], ["cost_accepted"]],
        law: [["agreement_in_force"], ["cost_accepted"]],
        health: [["agreement_in_force"], ["agreement_in_force", "cost_accepted"]],
    }
    for need in (food, law, health, food):
        assert assert_same(circumstances(directory, facts(needs=(need,)))) == failed[need]
