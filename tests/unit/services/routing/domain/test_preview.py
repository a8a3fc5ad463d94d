"""Previews: what they count, and what they must not reveal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.codes import OPT_IN_KINDS, CapacityStatus, Funding, OrganizationKind, Urgency, Vetting
from contracts.organization import Capacity, Organization
from contracts.records import plain
from contracts.referral import ReferralFacts
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.consent_rules import kind_to_opt_in
from services.routing.domain.decision import Trigger, decide
from services.routing.domain.experience import NO_EXPERIENCE, Experience
from services.routing.domain.parts import parts_of
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.preview import MOST_LISTED, Band, Preview, band_of, preview
from services.routing.domain.rules import failures
from tests.unit.services.routing.samples import (
    NOW,
    SENDER,
    circumstances,
    consent,
    facts,
    network,
    organization,
    service,
)

T = TypeVar("T")
CONSULATE = OrganizationKind.consular_representative


def previewed(
    *receivers: Organization, wanted: ReferralFacts | None = None, experience: Experience = NO_EXPERIENCE
) -> Preview:
    return preview(circumstances(network(*receivers), wanted), experience)


def consulate(name: str, **changes: object) -> Organization:
    return organization(name, service(**changes), kind=CONSULATE)


def test_organizations_that_could_be_asked_are_counted_once_each() -> None:
    two_services = organization("ru.one", service(), service(id="second"))
    full = service(capacity=Capacity(status=CapacityStatus.no_capacity, updated_at=NOW))
    assert previewed(two_services, organization("ru.full", full)).candidates is Band.few
    assert previewed(organization("ru.full", full)).candidates is Band.none
    assert previewed(*(organization(f"ru.n{n}") for n in range(5))).candidates is Band.some


@pytest.mark.parametrize(
    ("count", "band"),
    [(0, "0"), (1, "1-4"), (4, "1-4"), (5, "5-19"), (19, "5-19"), (20, "20+"), (900, "20+")],
)
def test_count_is_stated_as_a_band(count: int, band: str) -> None:
    assert band_of(range(count)) == band  # type: ignore[arg-type]


def test_language_is_listed_if_it_alone_is_missing() -> None:
    uzbek, dear = service(languages=("uz",)), service(languages=("tg",), cost=Funding.at_cost)
    found = previewed(organization("ru.uzbek", uzbek), organization("ru.dear", dear))
    assert (found.candidates, found.more_by_language) == (Band.none, {"uz": Band.few})
    # An organisation that can be asked already is not counted again.
    both = organization("ru.both", service(), replace(uzbek, id="second"))
    assert previewed(both).more_by_language == {}


def test_other_regions_of_the_country_are_listed() -> None:
    there = organization("ru.there", service(areas=("RU-SPE", "RU-TYU")))
    nationwide = organization("ru.wide", service(areas=("RU",)))
    abroad = organization("kz.abroad", service(areas=("KZ-ALA",)))
    found = previewed(there, nationwide, abroad)
    assert found.candidates is Band.few
    assert found.more_by_region == {"RU-SPE": Band.few, "RU-TYU": Band.few}


def test_region_is_not_listed_if_its_services_would_fail_there_too() -> None:
    unvetted = organization("ru.there", service(areas=("RU-SPE",)), vetting=Vetting.applied)
    assert previewed(unvetted).more_by_region == {}


def test_referral_to_a_named_organization_counts_only_its_services() -> None:
    named = organization("ru.named", service(languages=("uz",)), service(id="far", areas=("RU-SPE",)))
    found = previewed(named, organization("ru.other"), wanted=facts(to="ru.named"))
    assert found.candidates is Band.none
    assert found.more_by_language == {"uz": Band.few}
    assert found.more_by_region == {"RU-SPE": Band.few}


def test_consented_kind_states_what_its_opt_in_adds() -> None:
    wanted = facts(consent=consent(opt_in_kinds=(CONSULATE, OrganizationKind.state_body)))
    found = previewed(organization("ru.one"), consulate("kg.consulate"), wanted=wanted)
    assert found.candidates is Band.few
    assert found.only_by_kind == {"consular_representative": Band.few, "state_body": Band.none}


def test_consented_kind_counts_where_it_alone_could_take_a_part() -> None:
    """Otherwise the sender would drop the opt-in without which nobody could be asked about that need."""
    members = (organization("ru.one"), consulate("kg.consulate", needs=("consular.passport",)))
    consented = consent(opt_in_kinds=(CONSULATE,))
    wanted = facts(needs=("legal.wage_claim", "consular.passport"), consent=consented)
    found = previewed(*members, wanted=wanted)
    assert [part.candidates for part in found.parts] == [Band.few, Band.few]
    assert found.only_by_kind == {"consular_representative": Band.few}


def test_kind_may_change_while_a_preview_is_made() -> None:
    known = network(organization("ru.one"))

    def in_turns(items: Iterable[T]) -> Iterator[T]:
        yield from items
        known.put_organization(organization("ru.one", kind=CONSULATE))

    found = preview(circumstances(known, facts()), NO_EXPERIENCE, in_turns)
    assert found.candidates is Band.few
    assert found.only_by_kind == {}


def test_needs_of_different_organizations_are_listed_in_parts() -> None:
    members = (organization("ru.legal"), organization("ru.work", service(needs=("work", "information"))))
    wanted = facts(needs=("legal.wage_claim", "work", "information", "money"))
    assert plain(previewed(*members, wanted=wanted).parts) == [
        {"needs": ["legal.wage_claim"], "candidates": "1-4"},
        {"needs": ["work", "information"], "candidates": "1-4"},
        {"needs": ["money"], "candidates": "0"},
    ]
    assert "ru." not in str(plain(previewed(*members, wanted=wanted)))
    assert previewed(*members).parts == ()


def test_branch_of_a_consulate_counts_as_its_kind() -> None:
    branch = organization("ru.branch", parent="kg.consulate")
    parent = replace(consulate("kg.consulate"), services=())
    assert previewed(parent, branch).candidates is Band.none
    wanted = facts(consent=consent(opt_in_kinds=(CONSULATE,)))
    assert previewed(parent, branch, wanted=wanted).only_by_kind == {"consular_representative": Band.few}


def test_kind_without_opt_in_is_never_mentioned_where_it_alone_could_help() -> None:
    """Consulates here, with another language and in another region: answered like an empty network."""
    there = [
        consulate(f"kg.consulate{n}", languages=(language,), areas=(area,))
        for n, (language, area) in enumerate(
            (language, area) for language in ("ky", "uz") for area in ("RU-MOW", "RU-SPE") for _ in range(6)
        )
    ]
    assert previewed(*there) == previewed()
    assert "consul" not in str(plain(previewed(*there)))


def test_lists_are_short_and_ordered_by_band_and_code() -> None:
    languages = ("uz", "tg", "ru", "en", "kk", "tr", "zh", "ar", "hi", "ur", "fa", "de")
    many = [organization(f"ru.n{n}", service(languages=("tg",))) for n in range(5)]
    found = previewed(*many, organization("ru.one", service(languages=languages)))
    assert len(found.more_by_language) == MOST_LISTED
    first, *others = found.more_by_language
    assert (first, found.more_by_language[first]) == ("tg", Band.some)
    assert others == sorted(others)


def test_experience_is_passed_on() -> None:
    known = Experience(half_answered_seconds=900, found_nobody=0.2)
    found = previewed(experience=known)
    assert (found.half_answered_seconds, found.found_nobody) == (900, 0.2)


LANGUAGES, AREAS = ("ky", "ru", "uz"), ("RU", "RU-MOW", "RU-SPE", "KZ-ALA")
KINDS = (OrganizationKind.ngo, *sorted(OPT_IN_KINDS))


@st.composite
def organizations(draw: st.DrawFn) -> list[Organization]:
    """Organisations of every kind, also branches of each other, each with one or two services."""
    count = draw(st.integers(0, 7))
    found = []
    for number in range(count):
        services = [
            service(
                id=f"s{which}",
                languages=tuple(draw(st.sets(st.sampled_from(LANGUAGES), min_size=1))),
                areas=tuple(draw(st.sets(st.sampled_from(AREAS), min_size=1))),
                needs=(draw(st.sampled_from(["legal.wage_claim", "legal", "work"])),),
                cost=draw(st.sampled_from(Funding)),
                capacity=Capacity(status=draw(st.sampled_from(CapacityStatus)), updated_at=NOW),
            )
            for which in range(draw(st.integers(1, 2)))
        ]
        others = [f"ru.n{one}" for one in range(count) if one != number]
        parent = draw(st.sampled_from([None, *others]))
        kind = draw(st.sampled_from(KINDS))
        found.append(organization(f"ru.n{number}", *services, kind=kind, parent=parent))
    return found


submissions = st.builds(
    lambda kinds, languages, region, to, urgency, excluded, others: facts(
        needs=("legal.wage_claim", *sorted(others)),
        languages=tuple(sorted(languages)),
        region=region,
        to=to,
        urgency=urgency,
        consent=consent(opt_in_kinds=tuple(sorted(kinds)), excluded_organizations=tuple(sorted(excluded))),
    ),
    st.sets(st.sampled_from(sorted(OPT_IN_KINDS))),
    st.sets(st.sampled_from(LANGUAGES), min_size=1),
    st.sampled_from(["RU-MOW", "RU-SPE"]),
    st.none() | st.sampled_from(["ru.n0", "ru.n1"]),
    st.sampled_from(Urgency),
    st.sets(st.sampled_from(["ru.n2", "ru.n3"])),
    st.sets(st.sampled_from(["information", "work"])),
)


@given(members=organizations(), wanted=submissions)
def test_preview_is_the_same_as_if_kinds_not_opted_in_did_not_exist(
    members: list[Organization], wanted: ReferralFacts
) -> None:
    whole = network(*members)
    hidden = {
        one.id
        for one in members
        if (kind := kind_to_opt_in(one, whole)) is not None and kind not in wanted.consent.opt_in_kinds
    }
    # A hidden parent keeps its record for the branches that are not hidden, but offers nothing.
    without = [replace(one, services=()) if one.id in hidden else one for one in members]
    assert preview(circumstances(whole, wanted), NO_EXPERIENCE) == preview(
        circumstances(network(*without), wanted), NO_EXPERIENCE
    )
    assert previewed(*members, wanted=wanted).only_by_kind.keys() == set(wanted.consent.opt_in_kinds)


@given(members=organizations(), wanted=submissions)
def test_preview_counts_those_whom_the_first_decision_ranks(
    members: list[Organization], wanted: ReferralFacts
) -> None:
    now = circumstances(network(*members), wanted)
    ranked = decide("d", now, RoutingPolicy(), Trigger.submitted).ranked
    found = preview(now, NO_EXPERIENCE)
    assert found.candidates is band_of([one.organization for one in ranked])
    # Each listed change adds somebody.
    for language in found.more_by_language:
        spoken = replace(wanted, languages=(*wanted.languages, language))
        assert more(members, spoken) > len(ranked)
    for region in found.more_by_region:
        assert more(members, replace(wanted, region=region)) > 0
    named = {one.organization for one in ranked}.union(*(part.organizations for part in parts_of(now)))
    for kind, band in found.only_by_kind.items():
        left = tuple(one for one in wanted.consent.opt_in_kinds if one != kind)
        without = replace(wanted, consent=replace(wanted.consent, opt_in_kinds=left))
        barred = circumstances(now.directory, without)
        helped = [name for name in named if not could_be_asked(name, barred)]
        assert band is band_of(helped)


def could_be_asked(name: str, given: Circumstances) -> bool:
    """Return whether the organisation could be asked about one of the needs."""
    services = given.directory.offered_services_of(name)
    about_each = [replace(given, facts=replace(given.facts, needs=(need,))) for need in given.facts.needs]
    return any(not failures(one, about) for about in about_each for one in services)


def more(members: list[Organization], wanted: ReferralFacts) -> int:
    now = circumstances(network(*members), wanted, sender=SENDER)
    return len(decide("d", now, RoutingPolicy(), Trigger.submitted).ranked)


def test_preview_shows_a_split_only_if_the_person_allows_it_and_somebody_could_take_a_part() -> None:
    members = (organization("ru.one", service(needs=("legal.wage_claim",))),)
    wanted = ("legal.wage_claim", "work")
    several = consent(several_organizations=True)
    assert previewed(*members, wanted=facts(needs=wanted, consent=several)).would_split
    assert not previewed(*members, wanted=facts(needs=wanted)).would_split
    assert not previewed(*members, wanted=facts(needs=wanted, consent=several, to="ru.one")).would_split
    nobody = previewed(wanted=facts(needs=("health", "work"), consent=several))
    assert not nobody.would_split
