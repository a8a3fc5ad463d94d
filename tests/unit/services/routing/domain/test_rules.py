"""Every hard rule, held and failed."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from contracts.codes import (
    OPT_IN_KINDS,
    AgeBand,
    CapacityStatus,
    DisclosureClass,
    Funding,
    OrganizationKind,
    Settlement,
    Sex,
    SpecialCategory,
    Stage,
    Urgency,
    Vetting,
)
from contracts.organization import Agreement, ApprovedService, Capacity, Eligibility, Organization, Service
from contracts.referral import ReferralFacts
from contracts.vocabularies import codes, need_group, sensitive_needs
from services.routing.domain import rules
from services.routing.domain.chain import Chain
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.decision import Trigger, decide
from services.routing.domain.disclosure import (
    SENSITIVE_CATEGORIES,
    SENSITIVE_NEEDS,
    disclosure_class,
)
from services.routing.domain.evaluation import Evaluation
from services.routing.domain.failure import Failure
from services.routing.domain.observation import Observation
from services.routing.domain.offered_service import OfferedService
from services.routing.domain.places import Demand, OffersPerSender
from services.routing.domain.policy import RoutingPolicy, Weights
from services.routing.domain.rules import COORDINATOR_MAY_OVERRIDE, RULES
from services.routing.domain.scoring import Scoring
from services.routing.domain.shortlist import Shortlist
from tests.unit.services.routing.samples import (
    DAY,
    HOUR,
    NOW,
    SENDER,
    agreement,
    circumstances,
    consent,
    facts,
    load,
    network,
    offered_service,
    organization,
    service,
)

NAME = "ru.one"
# An agreement of all vetted organisations excludes all others.
BILATERAL = (agreement(parties=(SENDER, NAME)),)
CHAIN = Chain(
    onward_from="018f0000-0000-7000-8000-000000000009",
    previous="kg.first",
    length=1,
    holders=("kg.first", SENDER),
)


def failures(offered: OfferedService, given: Circumstances) -> tuple[Failure, ...]:
    """Return the failed rules, which a decision finds as well."""
    found = rules.failures(offered, given)
    shortlist, observed = Shortlist([offered]), [given.observed(offered.organization_id)]
    evaluation = Evaluation(given, is_searched=False)
    evaluated = evaluation.failures(shortlist)
    evaluation.add_observed(shortlist, [0], observed, evaluated)
    assert evaluated == [found]
    return found


def broken(
    receiver: Organization | None = None,
    referral_facts: ReferralFacts | None = None,
    *,
    others: tuple[Organization, ...] = (),
    agreements: tuple[Agreement, ...] = (agreement(),),
    **changes: Any,
) -> set[str]:
    """Return the failed rules for one receiver with one service."""
    receiver = receiver or organization(NAME)
    directory = network(receiver, *others, agreements=agreements)
    given = circumstances(directory, referral_facts, **changes)
    return {failure.rule for failure in failures(offered_service(directory, receiver.id), given)}


def with_service(**changes: Any) -> Organization:
    return organization(NAME, service(**changes))


def bounded(**bounds: Any) -> Organization:
    return with_service(eligibility=Eligibility(**bounds))


def capacity(status: CapacityStatus, maximum: int | None = None) -> Capacity:
    return Capacity(status=status, updated_at=NOW, maximum=maximum)


def with_urgency(urgency: Urgency) -> ReferralFacts:
    return facts(urgency=urgency)


def test_sample_meets_every_rule() -> None:
    assert broken() == set()


CASES: dict[str, list[Callable[[], set[str]]]] = {
    "organization_active": [lambda: broken(organization(NAME, active=False))],
    "organization_vetted": [
        lambda: broken(organization(NAME, vetting=Vetting.applied), agreements=BILATERAL),
        lambda: broken(organization(NAME, vetting=Vetting.suspended), agreements=BILATERAL),
        lambda: broken(organization(NAME, vetting=Vetting.left), agreements=BILATERAL),
    ],
    "not_the_sender": [lambda: broken(sender=NAME)],
    "consent_given": [lambda: broken(referral_facts=facts(consent=consent(given=False)))],
    "not_excluded": [lambda: broken(referral_facts=facts(consent=consent(excluded_organizations=(NAME,))))],
    "kind_consented": [
        lambda: broken(organization(NAME, kind=OrganizationKind.consular_representative)),
        lambda: broken(organization(NAME, kind=OrganizationKind.state_body)),
        lambda: broken(organization(NAME, kind=OrganizationKind.employment_agency)),
    ],
    "agreement_in_force": [lambda: broken(agreements=())],
    "can_receive": [lambda: broken(organization(NAME, sealing_key=None))],
    "case_sealed_for": [lambda: broken(referral_facts=facts(to="ru.two"))],
    "need_met": [
        lambda: broken(with_service(needs=("legal.detention",))),
        lambda: broken(referral_facts=facts(needs=("work", "legal.wage_claim"))),
    ],
    "service_approved": [
        lambda: broken(
            with_service(needs=("protection.missing_person",)),
            facts(needs=("protection.missing_person",)),
            agreements=(agreement(disclosure=DisclosureClass.sensitive),),
        ),
    ],
    "area_served": [lambda: broken(with_service(areas=("RU-SPE", "KZ")))],
    "settlement_served": [
        lambda: broken(with_service(settlements=(Settlement.urban,)), facts(settlement=Settlement.rural))
    ],
    "person_eligible": [
        lambda: broken(bounded(sexes=(Sex.female,))),
        lambda: broken(bounded(age_bands=(AgeBand.years_12_17,))),
        lambda: broken(bounded(stages=(Stage.returned,))),
        lambda: broken(bounded(origin_countries=("TJ",))),
        lambda: broken(bounded(special_categories=(SpecialCategory.work_injury,))),
        # an unknown value does not meet a condition
        lambda: broken(bounded(sexes=(Sex.female,)), facts(sex=Sex.unknown)),
    ],
    "language_shared": [lambda: broken(referral_facts=facts(languages=("zh",)))],
    "cost_accepted": [
        lambda: broken(with_service(cost=Funding.at_cost)),
        lambda: broken(with_service(cost=Funding.commercial)),
    ],
    "capacity_left": [
        lambda: broken(with_service(capacity=capacity(CapacityStatus.no_capacity))),
        lambda: broken(
            with_service(capacity=capacity(CapacityStatus.waitlist)), with_urgency(Urgency.emergency)
        ),
    ],
    "capacity_not_declined": [
        lambda: broken(
            observed=lambda _: Observation(full_since={"legal": NOW}), full_for=HOUR, now=NOW + HOUR / 2
        )
    ],
    "place_left": [
        lambda: broken(
            with_service(capacity=capacity(CapacityStatus.capacity, 3)),
            observed=lambda _: load(accepted=3),
        ),
        lambda: broken(with_service(capacity=capacity(CapacityStatus.capacity, 0))),
        lambda: broken(
            with_service(capacity=capacity(CapacityStatus.capacity, 3)),
            observed=lambda _: load(demand={(SENDER, Urgency.routine): Demand(offers=3)}),
        ),
        lambda: broken(
            offers_per_sender=OffersPerSender(most=2),
            observed=lambda _: load(demand={(SENDER, Urgency.routine): Demand(offers=2)}),
        ),
        lambda: broken(
            observed=lambda _: Observation(withdrawn={SENDER: {(Urgency.routine, NOW): 10}}),
        ),
    ],
    "open_now": [lambda: broken(with_service(always_open=False), with_urgency(Urgency.emergency))],
    "storage_allowed": [
        lambda: broken(referral_facts=facts(consent=consent(storage_countries=("KG", "KZ"))))
    ],
    "not_asked_before": [
        lambda: broken(asked=frozenset({NAME})),
        # no room reported since the decline
        lambda: broken(asked=frozenset({NAME}), declined_as_full={NAME: NOW}, now=NOW + DAY),
        # room reported, but too soon
        lambda: broken(
            asked=frozenset({NAME}), declined_as_full={NAME: NOW - HOUR}, full_for=DAY, now=NOW + HOUR
        ),
    ],
    "not_declined_for_person": [
        lambda: broken(declined_for_person={NAME: "conflict_of_interest"}),
        # this rule is named rather than the one that it was asked
        lambda: broken(declined_for_person={NAME: "person_prefers_another"}, asked=frozenset({NAME})),
    ],
    "not_in_chain": [
        lambda: broken(chain=replace(CHAIN, holders=("kg.first", NAME))),
        lambda: broken(chain=replace(CHAIN, previous=NAME, holders=(NAME,))),
    ],
}


def test_decline_for_lack_of_capacity_counts_for_its_time_and_service_only() -> None:
    def full(service: str) -> Callable[[str], Observation]:
        return lambda _: Observation(full_since={service: NOW})

    assert broken(observed=full("legal"), full_for=HOUR, now=NOW + HOUR) == set()
    assert broken(observed=full("shelter"), full_for=HOUR, now=NOW) == set()


def test_capacity_stated_after_the_decline_counts_more() -> None:
    stated = Capacity(status=CapacityStatus.capacity, updated_at=NOW + HOUR)
    given: dict[str, Any] = {"full_for": DAY, "now": NOW + 2 * HOUR}
    full: dict[str, Any] = {"observed": lambda _: Observation(full_since={"legal": NOW})}
    assert broken(with_service(capacity=stated), **full, **given) == set()
    again: dict[str, Any] = {"asked": frozenset({NAME}), "declined_as_full": {NAME: NOW}, "full_for": DAY}
    assert broken(with_service(capacity=stated), **again, now=NOW + DAY) == set()


@pytest.mark.parametrize(("rule", "case"), [(rule, case) for rule, cases in CASES.items() for case in cases])
def test_broken_rule_is_the_only_failure(rule: str, case: Callable[[], set[str]]) -> None:
    assert case() == {rule}


@pytest.mark.parametrize(("rule", "case"), [(rule, case) for rule, cases in CASES.items() for case in cases])
def test_coordinator_places_against_the_rules_that_may_be_overridden_and_no_others(
    rule: str, case: Callable[[], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated: list[tuple[OfferedService, Circumstances]] = []

    def noted(offered: OfferedService, given: Circumstances) -> tuple[Failure, ...]:
        evaluated.append((offered, given))
        return rules.failures(offered, given)

    monkeypatch.setattr(sys.modules[__name__], "failures", noted)
    assert case() == {rule}
    ((offered, given),) = evaluated
    placed_with = offered.organization_id
    made = decide("d", given, RoutingPolicy(), Trigger.placed_by_coordinator, placed_with=placed_with)
    assert bool(made.ranked) == (rule in COORDINATOR_MAY_OVERRIDE)
    assert made.overridden == ((rule,) if made.ranked else ())


def test_every_rule_has_a_case() -> None:
    assert set(CASES) == set(RULES)


@pytest.mark.parametrize(
    "case",
    [
        lambda: broken(referral_facts=facts(needs=("legal",))),
        lambda: broken(with_service(needs=("legal",))),
        lambda: broken(with_service(areas=("RU",))),
        lambda: broken(referral_facts=facts(to=NAME)),
        lambda: broken(chain=CHAIN),
        lambda: broken(referral_facts=facts(to=NAME), chain=replace(CHAIN, holders=(NAME,))),
        lambda: broken(with_service(languages=("ru",), interpretation=("ky",))),
        lambda: broken(with_service(cost=Funding.at_cost), facts(accepts_cost=True)),
        lambda: broken(
            with_service(capacity=capacity(CapacityStatus.waitlist)), with_urgency(Urgency.urgent)
        ),
        lambda: broken(with_service(capacity=capacity(CapacityStatus.assessment_required))),
        lambda: broken(
            with_service(capacity=capacity(CapacityStatus.capacity, 3)),
            observed=lambda _: load(accepted=2),
        ),
        lambda: broken(with_service(always_open=False), with_urgency(Urgency.urgent)),
        lambda: broken(referral_facts=facts(consent=consent(storage_countries=("RU",)))),
        lambda: broken(referral_facts=facts(consent=consent(excluded_organizations=("ru.two",)))),
        lambda: broken(
            bounded(sexes=(Sex.male,), age_bands=(AgeBand.years_25_59,), origin_countries=("KG", "TJ"))
        ),
        lambda: broken(
            bounded(special_categories=(SpecialCategory.work_injury, SpecialCategory.deported)),
            facts(special_categories=(SpecialCategory.deported,)),
        ),
        lambda: broken(asked=frozenset({"ru.two"})),
    ],
)
def test_case_that_meets_its_rule_has_no_failure(case: Callable[[], set[str]]) -> None:
    assert case() == set()


# --- consent -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(OrganizationKind))
def test_kind_that_needs_opt_in_is_asked_only_with_it(kind: OrganizationKind) -> None:
    silent = broken(organization(NAME, kind=kind))
    assert ("kind_consented" in silent) == (kind in OPT_IN_KINDS)
    others = tuple(OPT_IN_KINDS - {kind})
    opted_for_others = broken(organization(NAME, kind=kind), facts(consent=consent(opt_in_kinds=others)))
    assert ("kind_consented" in opted_for_others) == (kind in OPT_IN_KINDS)
    opted = broken(organization(NAME, kind=kind), facts(consent=consent(opt_in_kinds=(kind,))))
    assert opted == set()


@pytest.mark.parametrize("kind", sorted(OPT_IN_KINDS))
def test_branch_of_a_consulate_needs_the_consulate_opt_in(kind: OrganizationKind) -> None:
    parent = organization("ru.two", kind=kind)
    branch = organization(NAME, parent="ru.two")
    assert broken(branch, others=(parent,)) == {"kind_consented"}
    opted = facts(consent=consent(opt_in_kinds=(kind,)))
    assert broken(branch, opted, others=(parent,)) == set()


def test_opt_in_to_own_kind_suffices_for_a_branch() -> None:
    ministry = organization("ru.two", kind=OrganizationKind.state_body)
    kind = OrganizationKind.consular_representative
    representative = organization(NAME, kind=kind, parent="ru.two")
    opted = facts(consent=consent(opt_in_kinds=(kind,)))
    assert broken(representative, opted, others=(ministry,)) == set()


def test_named_receiver_needs_the_opt_in() -> None:
    representative = organization(NAME, kind=OrganizationKind.consular_representative)
    assert broken(representative, facts(to=NAME)) == {"kind_consented"}


@pytest.mark.parametrize("excluded", ["ru.parent", "ru.grandparent"])
def test_branch_of_an_excluded_organization_is_excluded(excluded: str) -> None:
    parent = organization("ru.parent", parent="ru.grandparent")
    branch = organization(NAME, parent="ru.parent")
    referral_facts = facts(consent=consent(excluded_organizations=(excluded,)))
    # the grandparent's record may be unknown
    assert broken(branch, referral_facts, others=(parent,)) == {"not_excluded"}


def test_parent_of_an_excluded_branch_is_not_excluded() -> None:
    parent = organization(NAME)
    branch = organization("ru.branch", parent=NAME)
    referral_facts = facts(consent=consent(excluded_organizations=("ru.branch",)))
    assert broken(parent, referral_facts, others=(branch,)) == set()


def test_parent_cycle_does_not_hang_the_matching() -> None:
    one, two = organization(NAME, parent="ru.two"), organization("ru.two", parent=NAME)
    referral_facts = facts(consent=consent(excluded_organizations=("ru.three",)))
    assert broken(one, referral_facts, others=(two,)) == set()


# --- agreements --------------------------------------------------------------------------------


def covered(referral_facts: ReferralFacts | None = None, *agreements: Agreement, **changes: Any) -> bool:
    return "agreement_in_force" not in broken(referral_facts=referral_facts, agreements=agreements, **changes)


@pytest.mark.parametrize(
    ("first", "last", "holds"),
    [
        (NOW.date(), None, True),
        (NOW.date(), NOW.date(), True),
        (NOW.date() + dt.timedelta(days=1), None, False),
        (dt.date(2020, 1, 1), NOW.date() - dt.timedelta(days=1), False),
        (dt.date(2020, 1, 1), NOW.date(), True),
    ],
)
def test_agreement_is_in_force_from_first_to_last_day(
    first: dt.date, last: dt.date | None, holds: bool
) -> None:
    assert covered(None, agreement(effective_from=first, effective_until=last)) is holds


@pytest.mark.parametrize(
    ("agreed", "needed", "holds"),
    [
        ((), "legal.wage_claim", True),
        (("legal",), "legal.wage_claim", True),
        (("legal.wage_claim",), "legal.wage_claim", True),
        (("health", "legal.wage_claim"), "legal.wage_claim", True),
        (("legal.detention",), "legal.wage_claim", False),
        (("health",), "legal.wage_claim", False),
        (("legal",), "legal", True),
        # an agreement on wage claims does not cover the whole legal group
        (("legal.wage_claim",), "legal", False),
    ],
)
def test_agreement_covers_its_needs(agreed: tuple[str, ...], needed: str, holds: bool) -> None:
    assert covered(facts(needs=(needed,)), agreement(needs=agreed)) is holds


@pytest.mark.parametrize(
    ("parties", "holds"),
    [
        (("*",), True),
        ((SENDER, NAME), True),
        ((SENDER, NAME, "ru.two"), True),
        ((SENDER, "ru.two"), False),
        (("ru.two", NAME), False),
    ],
)
def test_agreement_requires_both_parties(parties: tuple[str, ...], holds: bool) -> None:
    assert covered(None, agreement(parties=parties)) is holds


def test_agreement_of_all_vetted_excludes_unvetted_sender() -> None:
    assert not covered(None, agreement(), sender="kg.unknown")
    applicant = replace(organization("kg.applicant"), vetting=Vetting.applied)
    assert not covered(None, agreement(), sender="kg.applicant", others=(applicant,))
    assert covered(
        None, agreement(parties=("kg.applicant", NAME)), sender="kg.applicant", others=(applicant,)
    )


@pytest.mark.parametrize(
    ("allowed", "needed", "holds"),
    [
        (DisclosureClass.standard, DisclosureClass.standard, True),
        (DisclosureClass.sensitive, DisclosureClass.standard, True),
        (DisclosureClass.sensitive, DisclosureClass.sensitive, True),
        (DisclosureClass.standard, DisclosureClass.sensitive, False),
    ],
)
def test_agreement_allows_its_disclosure_class(
    allowed: DisclosureClass, needed: DisclosureClass, holds: bool
) -> None:
    categories = (SpecialCategory.hiv,) if needed is DisclosureClass.sensitive else ()
    wanted = facts(special_categories=categories)
    assert covered(wanted, agreement(disclosure=allowed)) is holds


def test_conditions_must_hold_in_one_agreement() -> None:
    wages = agreement(id="wages", needs=("legal",))
    sensitive = agreement(id="deep", needs=("health",), disclosure=DisclosureClass.sensitive)
    referral_facts = facts(special_categories=(SpecialCategory.hiv,))
    assert not covered(referral_facts, wages, sensitive)
    assert covered(referral_facts, wages, replace(sensitive, needs=("legal.wage_claim",)))


def test_each_sensitive_need_requires_an_agreement() -> None:
    needs = ("legal.wage_claim", "health.hiv", "money.pension_transfer")
    receiver = replace(with_service(needs=needs), approved_services=(approved("legal", "health.hiv"),))
    legal = agreement(id="legal", needs=("legal",), disclosure=DisclosureClass.sensitive)
    health = agreement(id="health", needs=("health",), disclosure=DisclosureClass.sensitive)
    assert broken(receiver, facts(needs=needs), agreements=(legal,)) == {"agreement_in_force"}
    assert broken(receiver, facts(needs=needs), agreements=(legal, health)) == set()
    standard = replace(health, disclosure=DisclosureClass.standard)
    assert broken(receiver, facts(needs=needs), agreements=(legal, standard)) == {"agreement_in_force"}


def test_missing_agreement_names_class_and_needs() -> None:
    legal = agreement(needs=("legal",), disclosure=DisclosureClass.sensitive)
    directory = network(NAME, agreements=(legal,))
    given = circumstances(directory, facts(needs=("legal.wage_claim", "health.hiv")))
    failure = next(f for f in failures(offered_service(directory, NAME), given) if f.reason == "no_agreement")
    assert failure.detail == {"class": DisclosureClass.sensitive, "needs": ["health.hiv"]}


def test_changed_agreement_drops_former_parties() -> None:
    directory = network(NAME, agreements=(agreement(parties=(SENDER, NAME)),))
    directory.put_agreement(agreement(parties=(SENDER, "ru.two")))
    given = circumstances(directory)
    found = {failure.rule for failure in failures(offered_service(directory, NAME), given)}
    assert found == {"agreement_in_force"}


# --- disclosure ---------------------------------------------------------------------------------


@pytest.mark.parametrize("category", list(SpecialCategory))
def test_special_category_sets_the_disclosure_class(category: SpecialCategory) -> None:
    sensitive = disclosure_class((), (category,)) is DisclosureClass.sensitive
    assert sensitive == (category in SENSITIVE_CATEGORIES)


@pytest.mark.parametrize("need", sorted(codes("needs")))
def test_any_sensitive_need_sets_the_disclosure_class(need: str) -> None:
    sensitive = disclosure_class(("money", need), ()) is DisclosureClass.sensitive
    assert sensitive == (need in SENSITIVE_NEEDS or need in {"protection", "health"})


def test_sensitive_needs_are_in_the_vocabulary() -> None:
    assert codes("needs") >= SENSITIVE_NEEDS


# --- coordinators --------------------------------------------------------------------------------


def test_rules_of_consent_trust_keys_and_money_cannot_be_overridden() -> None:
    never = {
        "organization_active",
        "organization_vetted",
        "not_the_sender",
        "consent_given",
        "not_excluded",
        "kind_consented",
        "agreement_in_force",
        "can_receive",
        "case_sealed_for",
        "service_approved",
        "cost_accepted",
        "storage_allowed",
        "not_declined_for_person",
    }
    assert set(RULES) - COORDINATOR_MAY_OVERRIDE == never


# --- services for sensitive needs --------------------------------------------------------------


def approved(service_id: str = "legal", *needs: str) -> ApprovedService:
    return ApprovedService(service=service_id, needs=needs, by="kg.coordinator", at=NOW)


SENSITIVE = (agreement(disclosure=DisclosureClass.sensitive),)
TRAFFICKING = "protection.trafficking"


def failed_for(need: str, offered: tuple[str, ...], *approvals: ApprovedService) -> set[str]:
    receiver = replace(with_service(needs=offered), approved_services=approvals)
    return broken(receiver, facts(needs=(need,)), agreements=SENSITIVE)


def test_sensitive_needs_are_the_codes_that_the_network_lists() -> None:
    listed = {code for code in codes("needs") if need_group(code) in {"protection", "children"}}
    assert sensitive_needs() == listed | {"health.hiv", "health.tb", "legal.detention"}


@pytest.mark.parametrize("need", sorted(sensitive_needs()))
def test_service_for_sensitive_need_is_asked_only_with_approval(need: str) -> None:
    assert failed_for(need, (need,)) == {"service_approved"}
    assert failed_for(need, (need,), approved("legal", need)) == set()
    assert failed_for(need, (need,), approved("other", need)) == {"service_approved"}


@pytest.mark.parametrize("need", sorted(codes("needs") - sensitive_needs()))
def test_service_for_other_need_is_asked_without_approval(need: str) -> None:
    assert failed_for(need, (need,)) == set()


def test_approval_covers_no_need_that_the_service_adds_later() -> None:
    grown = (TRAFFICKING, "protection.violence")
    assert failed_for("protection.violence", grown, approved("legal", TRAFFICKING)) == {"service_approved"}
    assert failed_for(TRAFFICKING, grown, approved("legal", TRAFFICKING)) == set()


def test_service_that_declares_a_group_needs_approval_for_the_need_in_it() -> None:
    assert failed_for(TRAFFICKING, ("protection",)) == {"service_approved"}
    assert failed_for("health.hiv", ("health",)) == {"service_approved"}
    assert failed_for(TRAFFICKING, ("protection",), approved("legal", "protection")) == set()


def test_referral_that_names_a_sensitive_group_needs_approval_of_the_group() -> None:
    offered = ("protection", TRAFFICKING)
    assert failed_for("protection", offered, approved("legal", TRAFFICKING)) == {"service_approved"}
    assert failed_for("protection", offered, approved("legal", "protection")) == set()


@pytest.mark.parametrize("need", sorted(sensitive_needs()))
@pytest.mark.parametrize("principal", ["legal.wage_claim", TRAFFICKING])
def test_further_sensitive_need_requires_an_approval(principal: str, need: str) -> None:
    def failed(*approvals: ApprovedService) -> set[str]:
        receiver = replace(with_service(needs=(principal, need)), approved_services=approvals)
        return broken(receiver, facts(needs=(principal, need)), agreements=SENSITIVE)

    first = (principal,) if principal in sensitive_needs() else ()
    assert failed(approved("legal", *first)) == ({"service_approved"} if need not in first else set())
    assert failed(approved("legal", *first, need)) == set()


def test_further_sensitive_need_may_be_approved_for_another_service_of_the_organization() -> None:
    needs = ("protection.violence", TRAFFICKING)
    shelter, clinic = service(id="shelter", needs=needs[:1]), service(id="clinic", needs=needs[1:])
    two = organization(NAME, shelter, clinic)

    def failed(*approvals: ApprovedService) -> set[str]:
        directory = network(replace(two, approved_services=approvals), agreements=SENSITIVE)
        asked = next(one for one in directory.offered_services_of(NAME) if one.service.id == "shelter")
        return {one.rule for one in failures(asked, circumstances(directory, facts(needs=needs)))}

    assert failed(approved("shelter", needs[0]), approved("clinic", needs[1])) == set()
    # the service that is asked takes the principal need's approval itself
    assert failed(approved("clinic", *needs)) == {"service_approved"}
    # an approval of a service that the organisation no longer offers does not count
    assert failed(approved("shelter", needs[0]), approved("closed", needs[1])) == {"service_approved"}


@pytest.mark.parametrize(
    "change",
    [
        {"areas": ("RU-SPE",)},
        {"settlements": (Settlement.rural,)},
        {"languages": ("zh",)},
        {"eligibility": Eligibility(sexes=(Sex.female,))},
        {"eligibility": Eligibility(age_bands=(AgeBand.years_12_17,))},
        {"needs": ("protection.missing_person",)},
    ],
    ids=str,
)
@pytest.mark.parametrize("whole", [False, True], ids=["referral", "part"])
def test_approval_of_a_service_for_others_does_not_cover_a_further_need(
    change: dict[str, Any], *, whole: bool
) -> None:
    person = facts(sex=Sex.male, settlement=Settlement.urban, needs=("legal.wage_claim", TRAFFICKING))
    approvals = (approved("shelter", TRAFFICKING),)

    def found(shelter: Service, *, approvals_serve_person: bool = True) -> set[str]:
        two = replace(
            organization(NAME, service(needs=("legal.wage_claim",)), shelter), approved_services=approvals
        )
        directory = network(two, agreements=SENSITIVE)
        asked = next(one for one in directory.offered_services_of(NAME) if one.service.id == "legal")
        given = circumstances(
            directory,
            replace(person, needs=person.needs[:1]) if whole else person,
            whole_needs=person.needs if whole else (),
            approvals_serve_person=approvals_serve_person,
        )
        return {one.rule for one in failures(asked, given)}

    shelter = service(id="shelter", needs=(TRAFFICKING,))
    assert found(shelter) == set()
    assert found(replace(shelter, **change)) == {"service_approved"}
    # decisions of earlier builds are made again as they were
    assert found(replace(shelter, **change), approvals_serve_person=False) == set()


def test_coordinator_may_still_place_with_an_approved_service_elsewhere() -> None:
    """The service that is asked has rules of its own about the person, and those may be overridden."""
    needs = ("legal.wage_claim", TRAFFICKING)
    receiver = replace(
        with_service(needs=needs, areas=("RU-SPE",)), approved_services=(approved("legal", TRAFFICKING),)
    )
    assert broken(receiver, facts(needs=needs), agreements=SENSITIVE) == {"area_served"}


def test_missing_approval_names_service_and_every_need() -> None:
    needs = (TRAFFICKING, "legal.wage_claim", "health.hiv", "protection.violence")
    receiver = replace(with_service(needs=needs), approved_services=(approved("legal", "health.hiv"),))
    directory = network(receiver, agreements=SENSITIVE)
    (failure,) = failures(offered_service(directory, NAME), circumstances(directory, facts(needs=needs)))
    assert failure.reason == "service_not_approved"
    assert failure.detail == {"service": "legal", "needs": [TRAFFICKING, "protection.violence"]}


def test_unapproved_sensitive_need_does_not_raise_the_score() -> None:
    needs = ("legal.wage_claim", TRAFFICKING)
    greedy, plain_one = with_service(needs=needs), with_service(needs=needs[:1])
    vouched = replace(greedy, approved_services=(approved("legal", TRAFFICKING),))
    covered = []
    for receiver in (plain_one, greedy, vouched):
        directory = network(receiver, agreements=SENSITIVE)
        given = circumstances(directory, facts(needs=needs))
        values, _ = Scoring(given, Weights()).scored(offered_service(directory, NAME), Observation())
        covered.append(values["needs_covered"])
    assert covered == [0.5, 0.5, 1.0]


def test_capacity_of_a_service_is_compared_with_its_own_load_only() -> None:
    legal = service(capacity=capacity(CapacityStatus.capacity, 25))
    shelter = service(id="shelter", needs=("shelter",), capacity=capacity(CapacityStatus.capacity, 500))
    house = organization(NAME, legal, shelter)
    queue = {(SENDER, Urgency.routine): Demand(offers=30)}
    assert find_broken(house, "legal", load("shelter", accepted=30, demand=queue)) == set()
    assert find_broken(house, "legal", load("legal", accepted=25)) == {"place_left"}


def find_broken(house: Organization, name: str, seen: Observation) -> set[str]:
    """The rules that one service of the organisation fails."""
    directory = network(house)
    (offered,) = [one for one in directory.offered_services_of(NAME) if one.service.id == name]
    return {failure.rule for failure in failures(offered, circumstances(directory, observed=lambda _: seen))}


def in_unit(unit: str, maximum: int | None, status: CapacityStatus = CapacityStatus.capacity) -> Capacity:
    return Capacity(status=status, updated_at=NOW, maximum=maximum, unit=unit)


def test_tightest_of_several_capacities_binds() -> None:
    shelter = with_service(
        capacity=in_unit("referral", 500),
        further_capacities=(in_unit("bed", 4), in_unit("consultation", None)),
    )
    assert find_broken(shelter, "legal", load(accepted=3)) == set()
    assert find_broken(shelter, "legal", load(accepted=4)) == {"place_left"}
    directory = network(shelter)
    full = circumstances(directory, observed=lambda _: load(accepted=4))
    (failure,) = failures(offered_service(directory, NAME), full)
    assert failure.detail == {"accepted": 4, "maximum": 4, "unit": "bed"}


def test_least_favourable_status_of_several_capacities_binds() -> None:
    none_left = in_unit("bed", 4, CapacityStatus.no_capacity)
    shelter = with_service(capacity=in_unit("referral", 2), further_capacities=(none_left,))
    directory = network(shelter)
    offered = offered_service(directory, NAME)
    (failure,) = failures(offered, circumstances(directory))
    assert (failure.rule, failure.detail) == ("capacity_left", {"status": "no_capacity", "unit": "bed"})
    assert offered.capacity.maximum == 2


def test_oldest_date_of_several_capacities_counts() -> None:
    old = Capacity(status=CapacityStatus.capacity, updated_at=NOW - 90 * DAY, unit="bed")
    directory = network(with_service(further_capacities=(old,)))
    scoring = Scoring(circumstances(directory), Weights())
    values, _ = scoring.scored(offered_service(directory, NAME), Observation())
    assert values["freshness"] == 0.5
