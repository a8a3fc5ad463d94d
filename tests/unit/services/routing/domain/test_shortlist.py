"""A directory updates its stored searches at every change: a fresh directory decides the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.codes import CapacityStatus, Funding
from contracts.organization import Agreement, ApprovedService, Capacity, Organization
from contracts.records import dump
from services.routing.domain.decision import Decision, Trigger, decide
from services.routing.domain.directory import Directory, every_search
from services.routing.domain.observation import NOTHING_OBSERVED, Observation, ServiceLoad
from services.routing.domain.observations import Observations
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.shortlist import NOTHING_FOUND, Shortlist
from tests.long_run import times
from tests.unit.services.routing.domain.test_evaluation import FACTS, NAMES, OBSERVED, ORGANIZATIONS
from tests.unit.services.routing.samples import (
    NOW,
    SENDER,
    agreement,
    circumstances,
    facts,
    network,
    organization,
    service,
)

AGREEMENTS = st.sampled_from(
    (
        agreement(),
        agreement(needs=("legal",)),
        agreement(id="two", parties=(SENDER, *NAMES[:2])),
        agreement(id="two", parties=(SENDER, NAMES[2])),
    )
)
CHANGES = st.one_of(
    st.tuples(st.sampled_from(NAMES), ORGANIZATIONS),
    st.tuples(st.sampled_from(NAMES), OBSERVED),
    AGREEMENTS,
)


class Walk:
    """A directory with its history, and the records from which a fresh one is made."""

    def __init__(self) -> None:
        self.directory = Directory()
        self.organizations: dict[str, tuple[Organization, int]] = {}
        self.agreements: dict[str, Agreement] = {}
        self.observed = Observations()

    def change(self, number: int, change: Any) -> None:
        match change:
            case Agreement():
                self.agreements[change.id] = change
                self.directory.put_agreement(change)
            case (name, Observation() as seen):
                self.observed.update({name: seen})
            case (name, fields):
                record = replace(organization(name), **fields)
                self.organizations[name] = record, number
                self.directory.put_organization(record, number)

    def fresh(self) -> Directory:
        directory = Directory()
        for record, revision in self.organizations.values():
            directory.put_organization(record, revision)
        for one in self.agreements.values():
            directory.put_agreement(one)
        return directory

    def decided(self, directory: Directory, about: Any) -> Decision:
        given_now = circumstances(directory, about, observed=self.observed.then())
        made = decide("decision", given_now, RoutingPolicy(), Trigger.submitted)
        return replace(made, directory_version=0)


@settings(max_examples=times(20, 60))
@given(st.lists(CHANGES, min_size=1, max_size=12), st.lists(FACTS, min_size=1, max_size=3))
def test_decisions_between_changes_equal_those_of_a_fresh_directory(
    changes: list[Any], asked: list[Any]
) -> None:
    walk = Walk()
    for number, change in enumerate(changes, 1):
        walk.change(number, change)
        fresh = walk.fresh()
        for about in asked:
            assert dump(walk.decided(walk.directory, about)) == dump(walk.decided(fresh, about))


@settings(max_examples=times(20, 60))
@given(st.lists(CHANGES, min_size=1, max_size=12), st.lists(FACTS, min_size=1, max_size=3))
def test_record_that_is_read_after_later_changes_is_that_of_the_decisions_time(
    changes: list[Any], asked: list[Any]
) -> None:
    walk = Walk()
    made: list[tuple[Decision, bytes]] = []
    for number, change in enumerate(changes, 1):
        walk.change(number, change)
        for about in asked:
            record = dump(walk.decided(walk.directory, about))
            made.append((walk.decided(walk.directory, about), record))
    for decision, record in made:
        assert dump(decision) == record


def test_load_of_an_excluded_service_is_that_of_the_decisions_time() -> None:
    one_place = Capacity(status=CapacityStatus.capacity, updated_at=NOW, maximum=1)
    offered = service(cost=Funding.commercial, capacity=one_place)
    walk = Walk()
    walk.change(1, agreement(parties=(SENDER, "ru.one")))
    walk.change(2, ("ru.one", {"services": (offered,)}))
    full = ("ru.one", Observation(services={offered.id: ServiceLoad(accepted=1)}))
    before = walk.decided(walk.directory, facts())
    walk.change(3, full)
    after = walk.decided(walk.directory, facts())
    walk.change(4, ("ru.one", NOTHING_OBSERVED))
    assert [failure.rule for failure in before.candidates[0].failures] == ["cost_accepted"]
    assert [failure.rule for failure in after.candidates[0].failures] == ["cost_accepted", "place_left"]


def test_first_agreement_of_an_organization_is_found_by_a_kept_search() -> None:
    directory = network("ru.one", "ru.two", agreements=())
    found = directory.shortlist_for("legal.wage_claim", "RU-MOW")
    assert list(found.named) == []
    directory.put_agreement(agreement(parties=(SENDER, "ru.two")))
    assert list(directory.shortlist_for("legal.wage_claim", "RU-MOW").named) == [1]


def test_each_search_of_the_vocabularies_is_kept() -> None:
    directory = network("ru.one")
    found = {search: directory.shortlist_for(*search) for search in every_search()}
    assert all(directory.shortlist_for(*search) is kept for search, kept in found.items())
    assert found["legal.wage_claim", "RU-MOW"].organizations == ("ru.one",)


def test_change_of_another_need_or_region_keeps_what_a_search_found() -> None:
    directory = network(organization("ru.one", service(areas=("RU-MOW",))))
    found = directory.shortlist_for("legal.wage_claim", "RU-MOW")
    directory.put_organization(organization("ru.two", service(areas=("RU-SPE",))))
    directory.put_organization(organization("ru.three", service(needs=("health.tb",))))
    assert directory.shortlist_for("legal.wage_claim", "RU-MOW") is found


def test_service_of_the_whole_group_or_country_renews_what_a_search_found() -> None:
    directory = network(organization("ru.one", service(areas=("RU-MOW",))))
    for offered in (service(needs=("legal",)), service(areas=("RU",))):
        before = directory.shortlist_for("legal.wage_claim", "RU-MOW")
        directory.put_organization(organization("ru.two", offered))
        assert directory.shortlist_for("legal.wage_claim", "RU-MOW") is not before
        assert directory.shortlist_for("legal.wage_claim", "RU-MOW").organizations == ("ru.one", "ru.two")


def test_search_that_found_nothing_finds_the_first_service() -> None:
    directory = network("ru.one")
    assert directory.shortlist_for("health.tb", "RU-MOW") is NOTHING_FOUND
    directory.put_organization(organization("ru.one", service(needs=("health.tb",))))
    assert directory.shortlist_for("health.tb", "RU-MOW").organizations == ("ru.one",)


def test_positions_are_those_of_the_organizations_services() -> None:
    several = organization("ru.two", service(id="a"), service(id="b"), service(id="c"))
    shortlist = Shortlist(tuple(network("ru.one", several, "ru.zero").all_offered_services()))
    assert shortlist.organizations == ("ru.one", "ru.two", "ru.two", "ru.two", "ru.zero")
    assert [list(shortlist.positions_of(name)) for name in ("ru.one", "ru.two", "ru.none")] == [
        [0],
        [1, 2, 3],
        [],
    ]


def test_search_says_who_names_the_region_and_who_is_approved() -> None:
    need = "health.tb"
    approved = ApprovedService(service="legal", needs=(need,), by="kg.coordinator", at=NOW)
    directory = network(
        replace(organization("ru.one", service(id="legal", needs=(need,))), approved_services=(approved,)),
        organization("ru.two", service(id="legal", needs=(need,), areas=("RU",))),
    )
    found = directory.shortlist_for(need, "RU-MOW")
    assert found.organizations == ("ru.one", "ru.two")
    assert list(found.is_near) == [1, 0]
    assert list(found.is_approved) == [1, 0]
    assert directory.shortlist_of("ru.one").is_near == b""
