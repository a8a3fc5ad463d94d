"""Needs in parts: fewest, complete, deterministic, and under every hard rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.codes import CapacityStatus, DisclosureClass, OrganizationKind, Vetting
from contracts.organization import ApprovedService, Capacity, Organization
from contracts.referral import ReferralFacts
from contracts.vocabularies import codes, sensitive_needs
from services.routing.domain import rules
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.decision import Trigger, decide
from services.routing.domain.observation import NOTHING_OBSERVED, Observation
from services.routing.domain.parts import Part, parts_of
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.prospects import Prospects
from tests.unit.services.routing.domain.test_evaluation import NEEDS as STATED
from tests.unit.services.routing.domain.test_evaluation import networks as any_networks
from tests.unit.services.routing.samples import (
    DAY,
    HOUR,
    NOW,
    agreement,
    circumstances,
    consent,
    facts,
    load,
    network,
    organization,
    service,
)

T = TypeVar("T")
LEGAL, SHELTER, WORK, HIV = "legal.wage_claim", "basic_needs", "work", "health.hiv"


def divided(*receivers: Organization, **changes: object) -> dict[tuple[str, ...], set[str]]:
    """The parts of a referral: their needs, and who could take them."""
    found = parts_of(circumstances(network(*receivers), facts(**changes)))
    return {part.needs: set(part.organizations) for part in found}


def helping(name: str, *needs: str, **changes: object) -> Organization:
    return organization(name, service(needs=needs), **changes)


def approval(of: str = "legal") -> ApprovedService:
    return ApprovedService(service=of, needs=(HIV,), by="kg.coordinator", at=NOW)


def test_organization_that_could_take_all_needs_makes_one_part() -> None:
    both = organization("ru.both", service(needs=(LEGAL,)), service(id="second", needs=(WORK,)))
    found = divided(both, helping("ru.legal", LEGAL), needs=(LEGAL, WORK))
    assert found == {(LEGAL, WORK): {"ru.both"}}


def test_needs_of_different_organizations_are_divided_into_fewest_parts() -> None:
    found = divided(
        helping("ru.legal", LEGAL),
        helping("ru.home", SHELTER),
        helping("ru.two", SHELTER, WORK),
        needs=(LEGAL, SHELTER, WORK),
    )
    assert found == {(LEGAL,): {"ru.legal"}, (SHELTER, WORK): {"ru.two"}}


def test_need_that_nobody_meets_is_a_part_without_organizations() -> None:
    found = divided(helping("ru.two", LEGAL, SHELTER), needs=(LEGAL, WORK, SHELTER))
    assert list(found.items()) == [((LEGAL, SHELTER), {"ru.two"}), ((WORK,), set())]


def test_largest_first_part_with_earlier_needs_is_preferred() -> None:
    found = divided(
        helping("ru.one", LEGAL, SHELTER),
        helping("ru.other", LEGAL, WORK),
        helping("ru.home", SHELTER),
        helping("ru.work", WORK),
        needs=(LEGAL, SHELTER, WORK),
    )
    assert list(found) == [(LEGAL, SHELTER), (WORK,)]


def test_repeated_need_counts_once() -> None:
    assert divided(helping("ru.legal", LEGAL), needs=(LEGAL, LEGAL)) == {(LEGAL,): {"ru.legal"}}


def test_service_that_is_full_meets_no_need_of_a_part() -> None:
    full = Capacity(status=CapacityStatus.no_capacity, updated_at=NOW)
    one = organization("ru.one", service(), service(id="second", needs=(WORK,), capacity=full))
    found = divided(one, helping("ru.work", WORK), needs=(LEGAL, WORK))
    assert found == {(LEGAL,): {"ru.one"}, (WORK,): {"ru.work"}}


def test_organization_of_a_kind_without_opt_in_is_in_no_part() -> None:
    kind = OrganizationKind.consular_representative
    consulate = helping("kg.consulate", LEGAL, WORK, kind=kind)
    apart = (helping("ru.legal", LEGAL), helping("ru.work", WORK))
    wanted = (LEGAL, WORK)
    assert divided(consulate, *apart, needs=wanted) == {(LEGAL,): {"ru.legal"}, (WORK,): {"ru.work"}}
    agreed = consent(opt_in_kinds=(kind,))
    assert divided(consulate, *apart, needs=wanted, consent=agreed) == {wanted: {"kg.consulate"}}


def test_part_without_the_sensitive_need_requires_its_agreements_and_approvals() -> None:
    """Its acceptor receives the whole case, which contains the sensitive need."""
    helper = organization("ru.helper", service(needs=(WORK,)))
    clinic = organization("ru.clinic", service(needs=(HIV,)), approved_services=(approval(),))
    anything = (agreement(needs=(), disclosure=DisclosureClass.sensitive),)
    found = parts_of(circumstances(network(helper, clinic, agreements=anything), facts(needs=(WORK, HIV))))
    assert {part.needs: set(part.organizations) for part in found} == {(WORK,): set(), (HIV,): {"ru.clinic"}}


def test_part_without_the_sensitive_need_requires_an_agreement_of_the_class_of_the_whole() -> None:
    """The agreement for sensitive referrals is about one need only."""
    clinic = organization("ru.clinic", service(needs=(HIV, WORK)), approved_services=(approval(),))
    directory = network(
        clinic,
        agreements=(
            agreement(needs=(HIV,), disclosure=DisclosureClass.sensitive),
            agreement(id="standard", needs=(WORK,), disclosure=DisclosureClass.standard),
        ),
    )
    found = parts_of(circumstances(directory, facts(needs=(WORK, HIV))))
    assert {part.needs: set(part.organizations) for part in found} == {(WORK,): set(), (HIV,): {"ru.clinic"}}


def test_part_of_a_referral_to_a_named_organization_has_no_other_organization() -> None:
    found = divided(helping("ru.named", LEGAL), helping("ru.work", WORK), needs=(LEGAL, WORK), to="ru.named")
    assert found == {(LEGAL,): {"ru.named"}, (WORK,): set()}


NEEDS = (LEGAL, SHELTER, WORK, HIV)


@st.composite
def networks(draw: st.DrawFn) -> list[Organization]:
    """Up to five organisations of one or two services, some full, some approved for the sensitive need."""
    found = []
    for number in range(draw(st.integers(0, 5))):
        services = [
            service(
                id=f"s{which}",
                needs=tuple(sorted(draw(st.sets(st.sampled_from(NEEDS), min_size=1, max_size=3)))),
                capacity=Capacity(
                    status=draw(st.sampled_from((CapacityStatus.capacity, CapacityStatus.no_capacity))),
                    updated_at=NOW,
                ),
            )
            for which in range(draw(st.integers(1, 2)))
        ]
        approved = tuple(approval(one.id) for one in services if HIV in one.needs)
        kept = approved if draw(st.booleans()) else ()
        found.append(organization(f"ru.n{number}", *services, approved_services=kept))
    return found


wishes = st.lists(st.sampled_from(NEEDS), min_size=1, max_size=4, unique=True).map(
    lambda needs: facts(needs=tuple(needs))
)
agreements = st.sampled_from(
    [
        (agreement(needs=(), disclosure=DisclosureClass.sensitive),),
        (
            agreement(needs=(HIV,), disclosure=DisclosureClass.sensitive),
            agreement(id="standard", needs=(), disclosure=DisclosureClass.standard),
        ),
    ]
)


def could_take(whole: Circumstances, needs: tuple[str, ...]) -> frozenset[str]:
    """The definition, over all services of the directory: about each need alone, and about all together."""
    found = [askable(whole, (need,)) for need in needs]
    return frozenset.intersection(*found, askable(whole, needs))


def askable(whole: Circumstances, needs: tuple[str, ...]) -> frozenset[str]:
    wanted = replace(whole.facts, needs=needs)
    part = circumstances(whole.directory, wanted, whole_needs=whole.facts.needs)
    return frozenset(
        offered.organization.id
        for offered in whole.directory.all_offered_services()
        if not rules.failures(offered, part)
    )


def divisions(needs: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], ...]]:
    """Every division of the needs into parts."""
    if not needs:
        yield ()
        return
    first, *others = needs
    for rest in divisions(tuple(others)):
        yield ((first,), *rest)
        for n, part in enumerate(rest):
            yield (*rest[:n], (first, *part), *rest[n + 1 :])


@given(members=networks(), wanted=wishes, known=agreements)
def test_parts_hold_each_need_once_and_are_as_few_as_any_division(
    members: list[Organization], wanted: ReferralFacts, known: tuple[object, ...]
) -> None:
    whole = circumstances(network(*members, agreements=known), wanted)  # type: ignore[arg-type]
    found = parts_of(whole)
    assert sorted(need for part in found for need in part.needs) == sorted(wanted.needs)
    for part in found:
        assert part.organizations == could_take(whole, part.needs)
        assert part.organizations or len(part.needs) == 1
    possible = [
        division
        for division in divisions(wanted.needs)
        if all(len(needs) == 1 or could_take(whole, needs) for needs in division)
    ]
    assert len(found) == min(map(len, possible))


@given(members=networks(), wanted=wishes)
def test_parts_do_not_depend_on_the_order_of_the_directory(
    members: list[Organization], wanted: ReferralFacts
) -> None:
    forwards, backwards = network(*members), network(*reversed(members))
    assert parts_of(circumstances(forwards, wanted)) == parts_of(circumstances(backwards, wanted))


def test_ten_needs_are_divided() -> None:
    needs = sorted(need for need in codes("needs") - sensitive_needs() if "." in need)[:10]
    known = [helping(f"ru.n{n}", need) for n, need in enumerate(needs)]
    found = parts_of(circumstances(network(*known), facts(needs=tuple(needs))))
    assert found == tuple(
        Part(needs=(need,), organizations=frozenset({f"ru.n{n}"})) for n, need in enumerate(needs)
    )


def test_each_need_is_evaluated_once() -> None:
    """Each block of needs was evaluated again, so a few referrals with many needs kept all others waiting."""
    needs = sorted(need for need in codes("needs") - sensitive_needs() if "." in need)[:10]
    known = [helping(f"ru.n{n}", *(need for m, need in enumerate(needs) if m != n % 10)) for n in range(40)]
    looked_at: list[object] = []

    def counting(items: Iterable[T]) -> Iterator[T]:
        for one in items:
            looked_at.append(one)
            yield one

    found = parts_of(circumstances(network(*known), facts(needs=tuple(needs))), counting)
    assert [len(part.needs) for part in found] == [9, 1]
    assert looked_at == needs


@settings(max_examples=60)
@given(first=any_networks(), wanted=st.lists(st.sampled_from(STATED), min_size=1, max_size=3, unique=True))
def test_parts_and_prospects_follow_from_the_rules_for_each_need_alone(
    first: Circumstances, wanted: list[str]
) -> None:
    """Whatever the rules, the loads and the earlier answers are."""
    whole = replace(first, facts=replace(first.facts, needs=tuple(wanted)), whole_needs=())
    for need in wanted:
        alone = replace(whole, facts=replace(whole.facts, needs=(need,)), whole_needs=whole.facts.needs)
        decision = decide("d", alone, RoutingPolicy(), Trigger.submitted)
        (part,) = [one for one in parts_of(whole) if need in one.needs]
        if part.organizations:
            assert part.organizations <= {one.organization for one in decision.ranked}
        else:
            assert (part.needs, decision.ranked) == ((need,), [])
            assert part.prospects == decision.prospects


def test_part_without_organizations_says_who_lacks_only_a_place_and_when_a_decline_has_passed() -> None:
    limited = Capacity(status=CapacityStatus.capacity, updated_at=NOW - DAY, maximum=1)
    members = [
        organization(name, service(needs=(WORK,), capacity=limited))
        for name in ("ru.full", "ru.declined", "ru.both")
    ]
    closed = helping("ru.closed", WORK, vetting=Vetting.suspended)
    seen = {
        "ru.full": load(accepted=1),
        "ru.declined": Observation(full_since={"legal": NOW - HOUR}),
        "ru.both": load(accepted=1).plus(Observation(full_since={"legal": NOW - 2 * HOUR})),
        "ru.closed": load(accepted=1),
    }
    whole = circumstances(
        network(*members, closed),
        facts(needs=(LEGAL, WORK)),
        observed=lambda name: seen.get(name, NOTHING_OBSERVED),
        full_for=DAY,
    )
    legal, work = parts_of(whole)
    assert legal == Part(needs=(LEGAL,), organizations=frozenset())
    assert work.prospects == Prospects(
        lack_only_a_place=frozenset({("ru.full", "legal")}), retry_at=NOW + DAY - 2 * HOUR
    )
