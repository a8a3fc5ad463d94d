"""The smallest changes that would place unplaced referrals."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.codes import CapacityStatus, OrganizationKind, Sex, Stage, Urgency, Vetting
from contracts.organization import Capacity, Eligibility, Organization
from contracts.referral import ReferralFacts
from services.routing.domain.decision import Decision, Trigger, decide
from services.routing.domain.observation import Observation
from services.routing.domain.places import OffersPerSender
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.rules import RULES
from services.routing.domain.wishes import (
    OF_ORGANIZATION,
    Change,
    ChangeKind,
    Wish,
    ranked_wishes,
    smallest_changes,
)
from tests.unit.services.routing.samples import (
    DAY,
    HOUR,
    NOW,
    SENDER,
    circumstances,
    consent,
    facts,
    network,
    organization,
    service,
)

FULL = Capacity(status=CapacityStatus.no_capacity, updated_at=NOW)
ROUTINE = facts(urgency=Urgency.routine)


def searched(*receivers: Organization, about: ReferralFacts | None = None, **changes: Any) -> Decision:
    given_ = circumstances(network(*receivers, **changes.pop("directory", {})), about, **changes)
    return decide("d", given_, RoutingPolicy(), Trigger.submitted)


def smallest(*receivers: Organization, about: ReferralFacts | None = None, **changes: Any) -> Any:
    return smallest_changes(about or facts(), searched(*receivers, about=about, **changes))


def only(kind: ChangeKind, **fields: Any) -> frozenset[tuple[Change, ...]]:
    return frozenset({(Change(kind=kind, **fields),)})


@pytest.mark.parametrize(
    ("receiver", "kind"),
    [
        (organization("ru.one", vetting=Vetting.applied), ChangeKind.vetting),
        (organization("ru.one", active=False), ChangeKind.activity),
        (organization("ru.one", sealing_key=None), ChangeKind.sealing_key),
    ],
)
def test_one_failed_rule_of_an_organization_is_its_wish(receiver: Organization, kind: ChangeKind) -> None:
    found = smallest(receiver)
    if kind is ChangeKind.vetting:  # an agreement of all vetted organisations does not cover it either
        assert found == {
            (
                Change(kind=ChangeKind.agreement, organization="ru.one"),
                Change(kind=kind, organization="ru.one"),
            )
        }
    else:
        assert found == only(kind, organization="ru.one")


def test_missing_agreement_names_the_organization() -> None:
    assert smallest(organization("ru.one"), directory={"agreements": ()}) == only(
        ChangeKind.agreement, organization="ru.one"
    )


def test_missing_language_is_an_interpreter_in_the_region() -> None:
    one, two = (organization(name, service(languages=("uz",))) for name in ("ru.one", "ru.two"))
    assert smallest(one, two) == only(ChangeKind.interpreter, region="RU-MOW", language="ky")


def test_wish_names_the_conditions_of_the_service_and_not_the_person() -> None:
    bounds = Eligibility(sexes=(Sex.female,), stages=(Stage.returned,))
    assert smallest(organization("ru.one", service(eligibility=bounds))) == only(
        ChangeKind.eligibility, organization="ru.one", conditions=("sex", "stage"), service="legal"
    )


def test_full_service_is_a_place_in_the_region() -> None:
    full = organization("ru.one", service(capacity=FULL))
    assert smallest(full) == only(ChangeKind.places, region="RU-MOW", need="legal.wage_claim")


def test_referral_that_waits_for_withdrawn_offers_to_expire_is_not_a_wish() -> None:
    """Time alone places it, so the network lacks nothing."""
    withdrawn = {SENDER: {(Urgency.routine, NOW): OffersPerSender().withdrawn}}
    seen = {"observed": lambda _: Observation(withdrawn=withdrawn)}
    assert smallest(organization("ru.one"), about=ROUTINE, **seen) == frozenset()
    unkeyed = organization("ru.two", sealing_key=None)
    assert smallest(organization("ru.one"), unkeyed, about=ROUTINE, **seen) == frozenset()
    assert ranked_wishes([("a", ROUTINE, searched(organization("ru.one"), about=ROUTINE, **seen))]) == []
    # Another obstacle of the candidate still gives a wish.
    assert smallest(unkeyed, about=ROUTINE, **seen) == only(ChangeKind.sealing_key, organization="ru.two")


def test_candidate_with_fewest_failures_wins() -> None:
    near = organization("ru.near", sealing_key=None)
    far = organization("ru.far", service(languages=("uz",), capacity=FULL))
    assert smallest(near, far) == only(ChangeKind.sealing_key, organization="ru.near")
    assert smallest(far) == {
        (
            Change(kind=ChangeKind.interpreter, region="RU-MOW", language="ky"),
            Change(kind=ChangeKind.places, region="RU-MOW", need="legal.wage_claim"),
        )
    }


@pytest.mark.parametrize(
    "about",
    [
        facts(consent=consent(excluded_organizations=("ru.one",))),
        facts(consent=consent(storage_countries=("KZ",))),
    ],
)
def test_choice_of_the_person_is_never_a_wish(about: ReferralFacts) -> None:
    expected = only(ChangeKind.another_service, region="RU-MOW", need="legal.wage_claim")
    assert smallest(organization("ru.one"), about=about) == expected


def test_kind_without_opt_in_is_never_a_wish() -> None:
    consulate = organization("ru.consul", kind=OrganizationKind.consular_representative, sealing_key=None)
    assert smallest(consulate) == only(ChangeKind.another_service, region="RU-MOW", need="legal.wage_claim")


def test_wish_is_a_service_where_nobody_offers_the_need() -> None:
    expected = only(ChangeKind.service, region="RU-MOW", need="legal.wage_claim")
    assert smallest() == expected
    assert smallest(organization("ru.one", service(areas=("KG",)))) == expected
    assert smallest(organization("ru.one", service(needs=("health",)))) == expected


def test_wish_is_another_service_where_all_that_offer_the_need_were_asked() -> None:
    expected = only(ChangeKind.another_service, region="RU-MOW", need="legal.wage_claim")
    suspended = organization("ru.two", vetting=Vetting.suspended)
    asked = frozenset({"ru.one", "ru.two"})
    assert smallest(organization("ru.one"), asked=asked) == expected
    assert smallest(organization("ru.one"), suspended, asked=asked) == expected


@pytest.mark.parametrize("to", [None, "ru.one"])
@pytest.mark.parametrize("stated", [NOW - DAY, NOW], ids=["no room reported", "room reported"])
def test_service_that_declined_for_lack_of_capacity_is_a_place(to: str | None, stated: dt.datetime) -> None:
    capacity = Capacity(status=CapacityStatus.capacity, updated_at=stated)
    declined_at = NOW - HOUR
    found = smallest(
        organization("ru.one", service(capacity=capacity)),
        about=facts(to=to),
        asked=frozenset({"ru.one"}),
        declined_as_full={"ru.one": declined_at},
        observed=lambda _: Observation(answered=1, full_since={"legal": declined_at}),
        full_for=DAY,
    )
    assert found == only(ChangeKind.places, region="RU-MOW", need="legal.wage_claim")


def test_both_wishes_for_a_service_are_counted_by_themselves() -> None:
    asked = searched(organization("ru.one"), asked=frozenset({"ru.one"}))
    found = ranked_wishes([("a", facts(), searched()), ("b", facts(), asked)])
    kinds = [(one.changes[0].kind, one.referrals) for one in found]
    assert kinds == [(ChangeKind.another_service, 1), (ChangeKind.service, 1)]


def test_another_service_is_not_a_wish_of_a_referral_to_a_named_organization() -> None:
    asked = frozenset({"ru.one"})
    named = facts(to="ru.one")
    assert smallest(organization("ru.one"), about=named, asked=asked) == frozenset()
    assert smallest(organization("ru.one", active=False), about=named) == only(
        ChangeKind.activity, organization="ru.one"
    )
    decision = searched(organization("ru.one"), about=named, asked=asked)
    assert ranked_wishes([("one", named, decision)]) == []


def test_every_rule_is_a_wish_or_deliberately_none() -> None:
    never = {
        "not_the_sender",
        "consent_given",
        "not_excluded",
        "kind_consented",
        "case_sealed_for",
        "need_met",
        "storage_allowed",
        "not_asked_before",  # unless it declined for lack of capacity
        "not_declined_for_person",
        "not_in_chain",
    }
    elsewhere = {"language_shared", "capacity_left", "capacity_not_declined", "place_left"}
    assert never | elsewhere | OF_ORGANIZATION.keys() == RULES.keys()


def test_wishes_are_ranked_by_referrals_then_emergencies() -> None:
    full = organization("ru.one", service(capacity=FULL))
    speechless = organization("ru.one", service(languages=("uz",)))
    urgent = facts(urgency=Urgency.emergency)
    unplaced = [
        ("a", facts(), searched(speechless)),
        ("b", facts(), searched(full)),
        ("c", facts(), searched(full)),
        ("c", facts(), searched(full)),  # another part of the same referral
        ("d", urgent, searched(organization("ru.two", sealing_key=None), about=urgent)),
        ("e", facts(), searched(organization("ru.free"))),
    ]
    interpreter = Change(kind=ChangeKind.interpreter, region="RU-MOW", language="ky")
    assert ranked_wishes(unplaced) == [
        Wish(
            changes=(Change(kind=ChangeKind.places, region="RU-MOW", need="legal.wage_claim"),),
            referrals=2,
            emergencies=0,
        ),
        Wish(
            changes=(Change(kind=ChangeKind.sealing_key, organization="ru.two"),), referrals=1, emergencies=1
        ),
        Wish(changes=(interpreter,), referrals=1, emergencies=0),
    ]


def receiver(name: str, languages: tuple[str, ...], full: bool, keyed: bool, active: bool) -> Organization:
    offered = service(languages=languages, **({"capacity": FULL} if full else {}))
    return organization(f"ru.{name}", offered, active=active, **({} if keyed else {"sealing_key": None}))


@given(
    st.lists(
        st.builds(
            receiver,
            st.sampled_from(["one", "two", "three", "four"]),
            st.sampled_from([("ru",), ("uz",), ("ky", "ru")]),
            st.booleans(),
            st.booleans(),
            st.booleans(),
        ),
        max_size=4,
        unique_by=lambda one: one.id,
    )
)
def test_no_candidate_needs_fewer_changes_than_the_smallest(receivers: list[Organization]) -> None:
    decision = searched(*receivers)
    if decision.ranked:
        return
    found = smallest_changes(facts(), decision)
    sizes = {len(changes) for changes in found}
    assert len(sizes) == 1
    if decision.candidates:
        assert sizes == {min(len(one.failures) for one in decision.candidates)}


def test_wish_for_an_approval_names_the_sensitive_need() -> None:
    about = facts(needs=("health.hiv",))
    found = smallest(organization("ru.one", service(needs=("health.hiv",))), about=about)
    kinds = {(change.kind, change.need) for changes in found for change in changes}
    assert (ChangeKind.approval, "health.hiv") in kinds
