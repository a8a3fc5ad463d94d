"""The rules for many candidates at once: the same as each rule for each candidate."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.codes import (
    AgeBand,
    CapacityStatus,
    Funding,
    OrganizationKind,
    Settlement,
    Sex,
    Urgency,
    Vetting,
)
from contracts.organization import ApprovedService, Capacity, Eligibility, Service
from contracts.referral import ReferralFacts
from services.routing.domain import offered_service, rules
from services.routing.domain.chain import Chain
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.directory import Directory
from services.routing.domain.evaluation import Evaluation
from services.routing.domain.observation import NOTHING_OBSERVED, Observation, ServiceLoad
from services.routing.domain.places import Demand, OffersPerSender
from services.routing.domain.shortlist import Shortlist
from tests.long_run import times
from tests.unit.services.routing.samples import (
    DAY,
    KEY,
    NOW,
    SENDER,
    agreement,
    circumstances,
    consent,
    facts,
    network,
    organization,
    service,
)

NAMES = ("ru.one", "ru.two", "ru.three", "ru.four", "ru.five", SENDER)
PARENT = "ru.parent"
NEEDS = ("legal.wage_claim", "legal.document_loss", "protection.trafficking", "basic_needs.food")


def some(*values: object) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


def tuples(*values: object) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True).map(tuple)


CAPACITIES = st.builds(
    Capacity,
    status=some(*CapacityStatus),
    updated_at=some(NOW - 9 * DAY, NOW),
    maximum=some(None, 0, 1, 3),
    unit=some("referral", "bed"),
)
SERVICES: st.SearchStrategy[Service] = st.fixed_dictionaries(
    {
        "needs": tuples(*NEEDS),
        "areas": tuples("RU-MOW", "RU", "KG-O"),
        "languages": tuples("ru", "ky", "uz"),
        "interpretation": some((), ("tg",)),
        "settlements": some((Settlement.urban,), tuple(Settlement)),
        "cost": some(*Funding),
        "always_open": st.booleans(),
        "capacity": CAPACITIES,
        "further_capacities": st.lists(CAPACITIES, max_size=1).map(tuple),
        "eligibility": some(
            Eligibility(), Eligibility(sexes=(Sex.female,)), Eligibility(origin_countries=("KG",))
        ),
    }
).map(lambda changes: service(**changes))
ORGANIZATIONS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "active": st.booleans(),
        "vetting": some(*Vetting),
        "kind": some(
            OrganizationKind.ngo, OrganizationKind.consular_representative, OrganizationKind.state_body
        ),
        "country": some("RU", "KZ"),
        "sealing_key": some(KEY, None),
        "parent": some(None, None, PARENT),
        "services": st.lists(SERVICES, min_size=1, max_size=3).map(
            lambda found: tuple(replace(one, id=f"service-{n}") for n, one in enumerate(found))
        ),
        "approved_services": some(
            (), (ApprovedService(service="service-0", needs=("protection",), by="kg.coordinator", at=NOW),)
        ),
    }
)
CONSENTS = st.builds(
    lambda given, kinds, countries, excluded: consent(
        given=given,
        opt_in_kinds=kinds,
        storage_countries=countries,
        excluded_organizations=excluded,
    ),
    st.booleans(),
    some((), (OrganizationKind.consular_representative,)),
    some((), ("RU",)),
    some((), (NAMES[0],), (PARENT,)),
)
FACTS: st.SearchStrategy[ReferralFacts] = st.fixed_dictionaries(
    {
        "needs": tuples(*NEEDS),
        "urgency": some(*Urgency),
        "region": some("RU-MOW", "KG-O"),
        "settlement": some(*Settlement),
        "languages": tuples("ky", "tg", "en"),
        "age_band": some(*AgeBand),
        "sex": some(*Sex),
        "origin_country": some("KG", "UZ"),
        "accepts_cost": st.booleans(),
        "to": some(None, None, NAMES[1]),
        "consent": CONSENTS,
    }
).map(lambda changes: facts(**changes))
WAITING = {("kg.other", Urgency.routine): Demand(waiting=1)}
OBSERVED = some(
    NOTHING_OBSERVED,
    Observation(services={"service-0": ServiceLoad(accepted=3)}),
    Observation(services={"service-0": ServiceLoad(demand=WAITING)}),
    Observation(full_since={"service-0": NOW - DAY, "service-1": NOW - 10 * DAY}),
    Observation(withdrawn={SENDER: {(Urgency.urgent, NOW): 6, (Urgency.emergency, NOW): 6}}),
)
CHAIN = Chain(
    onward_from="018f0000-0000-7000-8000-000000000009",
    previous=NAMES[0],
    length=1,
    holders=NAMES[:2],
)
DECLINED = some({}, {NAMES[2]: "conflict_of_interest"})
BOUNDS = some(OffersPerSender(), OffersPerSender(most=1))


@st.composite
def networks(draw: st.DrawFn) -> Circumstances:
    receivers = [
        organization(
            PARENT,
            kind=draw(some(OrganizationKind.ngo, OrganizationKind.consular_representative)),
            services=(),
        ),
        *(replace(organization(name), **draw(ORGANIZATIONS)) for name in NAMES),
    ]
    agreements = draw(
        some(
            (agreement(),),
            (agreement(needs=("legal",)), agreement(id="two", parties=(SENDER, *NAMES[:2]))),
            (),
        )
    )
    directory = network(*receivers, agreements=agreements)
    observed = {name: draw(OBSERVED) for name in NAMES}
    asked = draw(some(frozenset(), frozenset(NAMES[:2])))
    return circumstances(
        directory,
        draw(FACTS),
        asked=asked,
        chain=draw(some(None, CHAIN)),
        observed=lambda name: observed[name],
        declined_as_full=draw(some({}, {NAMES[0]: NOW - DAY})),
        full_for=draw(some(dt.timedelta(), 3 * DAY)),
        offers_per_sender=draw(BOUNDS),
    )


@settings(max_examples=times(30, 150))
@given(networks(), DECLINED)
def test_candidates_fail_the_same_rules_together_as_alone(
    given: Circumstances, declined: dict[str, str]
) -> None:
    given = replace(given, declined_for_person=declined)
    assert_everything_evaluated(given)
    found = given.directory.shortlist_for(given.principal_need, given.facts.region)
    assert_evaluated(found, given, is_searched=True)


def test_each_rule_is_among_those_compared() -> None:
    """A rule that no network reaches would not be compared at all, neither above nor here."""
    failed: set[str] = set()

    @settings(max_examples=30, derandomize=True)
    @given(networks(), DECLINED)
    def compare(given: Circumstances, declined: dict[str, str]) -> None:
        failed.update(assert_everything_evaluated(replace(given, declined_for_person=declined)))

    compare()
    assert failed == set(rules.RULES)


def assert_everything_evaluated(given: Circumstances) -> set[str]:
    services = sorted(given.directory.all_offered_services(), key=lambda offered: offered.organization_id)
    return assert_evaluated(Shortlist(services), given, is_searched=False)


def assert_evaluated(shortlist: Shortlist, given: Circumstances, *, is_searched: bool) -> set[str]:
    """Compare both evaluations of each service; return the names of the rules that any fails."""
    evaluation = Evaluation(given, is_searched=is_searched)
    observed = [given.observed(name) for name in shortlist.organizations]
    found = evaluation.failures(shortlist)
    evaluation.add_observed(shortlist, range(len(found)), observed, found)
    assert found == [rules.failures(offered, given) for offered in shortlist.services]
    return {failure.rule for failures in found for failure in failures}


def test_each_profile_beyond_the_last_number_is_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offered_service, "_numbers", count(offered_service.UNNUMBERED - 1))
    offered_service._profile.cache_clear()
    spoken = (("ru",), ("tg",), ("ky",), ("uz",))
    directory = network(
        *(organization(f"ru.{own[0]}", service(languages=own, interpretation=())) for own in spoken)
    )
    given = circumstances(directory, facts(languages=("tg", "uz")))
    found = directory.shortlist_for(given.principal_need, given.facts.region)
    assert found.most_profiles == offered_service.UNNUMBERED + 1
    for _ in range(2):
        assert_evaluated(found, given, is_searched=True)
        failed = Evaluation(given, is_searched=True).failures(found)
        assert [bool(some) for some in failed] == [True, True, False, False]


def test_search_after_a_change_of_the_directory_finds_what_changed() -> None:
    directory = network("ru.one")

    def found() -> list[str]:
        return [one.organization.id for one in directory.offered_services_for("legal.wage_claim", "RU-MOW")]

    assert found() == ["ru.one"]
    directory.put_organization(organization("ru.two"))
    assert found() == ["ru.one", "ru.two"]
    directory.put_organization(replace(organization("ru.one"), services=()))
    assert found() == ["ru.two"]


def test_organizations_that_meet_a_need_elsewhere_follow_each_change() -> None:
    directory = network("ru.one", "ru.two")

    def counted(*needs: str) -> list[int]:
        return [directory.serves_elsewhere(need) for need in needs]

    needs = ("legal.wage_claim", "legal.document_loss", "legal", "health.tb", "health")
    assert counted(*needs) == [2, 0, 2, 0, 0]
    directory.put_organization(organization("ru.two", service(needs=("legal", "health.tb"))))
    assert counted(*needs) == [2, 1, 2, 1, 1]
    directory.put_organization(organization("ru.two", service(needs=("health",)), service(id="other")))
    assert counted(*needs) == [2, 0, 2, 1, 1]
    directory.put_organization(replace(organization("ru.two"), services=()))
    assert counted(*needs) == [1, 0, 1, 0, 0]


def test_search_finds_the_same_however_many_searches_were_made() -> None:
    directory = Directory()
    directory.put_organization(organization("ru.one"))
    for number in range(1_100):
        assert list(directory.offered_services_for("legal.wage_claim", f"RU-{number}")) == []
    (found,) = directory.offered_services_for("legal.wage_claim", "RU-MOW")
    assert found.organization.id == "ru.one"


def test_branch_under_another_parent_is_judged_by_its_own_parent() -> None:
    consulate = organization("ru.consulate", kind=OrganizationKind.consular_representative, services=())
    directory = network(
        consulate,
        organization(PARENT, services=()),
        replace(organization("ru.one"), parent="ru.consulate"),
        replace(organization("ru.two"), parent=PARENT),
    )
    given = circumstances(directory)
    shortlist = Shortlist(tuple(directory.all_offered_services()))
    found = Evaluation(given, is_searched=True).failures(shortlist)
    failed = dict(zip(shortlist.organizations, [[one.rule for one in some] for some in found], strict=True))
    assert failed == {"ru.one": ["kind_consented"], "ru.two": []}
