"""Decisions and their evidence: rules for each candidate, versions and weights."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contracts.codes import CapacityStatus, Funding, Urgency, Vetting
from contracts.errors import Refused
from contracts.organization import Capacity, Organization, Service
from contracts.records import load, plain
from services.routing.domain.decision import Decision, Trigger, decide
from services.routing.domain.directory import Directory
from services.routing.domain.policy import RoutingPolicy, Weights
from services.routing.domain.rules import RULES
from services.routing.domain.view import decision_view
from tests.unit.services.routing.samples import (
    NOW,
    REFERRAL,
    circumstances,
    facts,
    network,
    organization,
    service,
)

TWO_DOORS = organization(
    "ru.two-doors", service(id="near"), service(id="far", areas=("RU",)), service(id="other", needs=("work",))
)


APPLICANT = organization("ru.new", vetting=Vetting.applied)


def decision(*receivers: Organization | str, placed_with: str | None = None) -> Decision:
    directory = network(*(receivers or (organization("ru.one"), TWO_DOORS, APPLICANT)))
    trigger = Trigger.placed_by_coordinator if placed_with else Trigger.submitted
    return decide("d1", circumstances(directory), RoutingPolicy(), trigger, placed_with=placed_with)


def test_decision_records_its_inputs() -> None:
    made = decision()
    assert (made.id, made.referral_id, made.decided_at) == ("d1", REFERRAL, NOW)
    assert made.policy_version == RoutingPolicy().version
    assert made.directory_version == 7
    assert made.rules == tuple(RULES)
    assert made.weights == Weights().by_name()


def test_candidates_are_services_for_the_need_and_region() -> None:
    found = {(candidate.organization, candidate.service) for candidate in decision().candidates}
    assert found == {
        ("ru.one", "legal"),
        ("ru.two-doors", "near"),
        ("ru.two-doors", "far"),
        ("ru.new", "legal"),
    }


def test_organization_is_ranked_once_for_its_best_service() -> None:
    made = decision()
    assert {(c.organization, c.service) for c in made.ranked} == {
        ("ru.one", "legal"),
        ("ru.two-doors", "near"),
    }
    assert [candidate.rank for candidate in made.ranked] == [1, 2]
    second = next(c for c in made.candidates if c.service == "far")
    assert second.is_eligible
    assert second.rank is None


@pytest.mark.parametrize(
    ("needed", "offered", "found"),
    [
        ("legal.wage_claim", ("legal.wage_claim",), True),
        ("legal.wage_claim", ("legal",), True),
        ("legal", ("legal.detention",), True),
        ("legal.wage_claim", ("legal.detention",), False),
        ("legal", ("health",), False),
    ],
)
def test_need_lookup_includes_its_group(needed: str, offered: tuple[str, ...], found: bool) -> None:
    directory = network(organization("ru.one", service(needs=offered)))
    made = directory.offered_services_for(needed, "RU-MOW")
    assert bool(made) is found


def test_changed_organization_replaces_its_former_record() -> None:
    directory = network(TWO_DOORS)
    directory.put_organization(organization("ru.two-doors", service(id="new", areas=("KZ-75",))))
    assert directory.offered_services_for("legal.wage_claim", "RU-MOW") == ()
    assert [o.service.id for o in directory.offered_services_for("legal.wage_claim", "KZ-75")] == ["new"]
    directory.put_organization(organization("ru.two-doors", service(), active=False))
    assert directory.offered_services_for("legal.wage_claim", "KZ-75") == ()


def test_decision_records_the_revision_of_each_candidate_eligible_or_not() -> None:
    directory = network()
    directory.put_organization(organization("ru.eligible"), 7)
    directory.put_organization(organization("ru.inactive", active=False), 8)
    given = circumstances(directory, facts())
    record = plain(decide("d", given, RoutingPolicy(), Trigger.submitted))
    revisions = {one["organization"]: one["revision"] for one in record["candidates"]}
    assert revisions == {"ru.eligible": 7, "ru.inactive": 8}


def test_stored_decision_shows_every_rule_for_every_candidate() -> None:
    made = decision()
    record = plain(made)
    assert json.loads(json.dumps(record)) == record
    view = decision_view(json.loads(json.dumps(record)), Directory())
    assert len(view["candidates"]) == len(made.candidates)
    for candidate in view["candidates"]:
        assert [rule["rule"] for rule in candidate["rules"]] == list(RULES)
        failed = [rule for rule in candidate["rules"] if not rule["passed"]]
        assert candidate["eligible"] == (not failed)
        assert all(rule["reason"] for rule in failed)
        assert all(rule["reason"] is None for rule in candidate["rules"] if rule["passed"])
    (applied,) = [c for c in view["candidates"] if c["organization"] == "ru.new"]
    assert [r for r in applied["rules"] if not r["passed"]] == [
        {
            "rule": "organization_vetted",
            "passed": False,
            "overridden": False,
            "reason": "not_vetted",
            "detail": {"vetting": "applied"},
        },
        {
            "rule": "agreement_in_force",
            "passed": False,
            "overridden": False,
            "reason": "no_agreement",
            "detail": {"class": "standard", "needs": ["legal.wage_claim"]},
        },
    ]
    assert applied["score"] is None
    assert applied["contributions"] == []


def test_score_can_be_recomputed_from_the_view() -> None:
    view = decision_view(plain(decision()), Directory())
    for candidate in view["candidates"]:
        if candidate["eligible"]:
            parts = candidate["contributions"]
            total = sum(part["weight"] for part in parts)
            mean = sum(part["weight"] * part["value"] for part in parts) / total
            assert candidate["score"] == pytest.approx(mean, abs=1e-6)


def test_decision_view_matches_the_published_schema() -> None:
    view = decision_view(plain(decision()), Directory())
    assert set(view) >= {
        "id",
        "decided_at",
        "trigger",
        "policy_version",
        "directory_version",
        "candidates",
    }
    assert view["decided_at"] == "2026-03-02T09:00:00Z"
    assert view["trigger"] == "submitted"


def test_overridden_rules_are_marked() -> None:
    far = organization("ru.far", service(areas=("RU-SPE",)))
    view = decision_view(plain(decision(far, placed_with="ru.far")), Directory())
    assert view["overridden"] == ["area_served"]
    (candidate,) = view["candidates"]
    assert candidate["rank"] == 1
    assert [r["rule"] for r in candidate["rules"] if r["overridden"]] == ["area_served"]


def test_service_without_a_failed_rule_in_use_is_not_marked_as_overridden() -> None:
    near = service(id="near", areas=("RU-SPE",))
    paid = service(id="paid", areas=("RU-SPE",), cost=Funding.at_cost)
    view = decision_view(
        plain(decision(organization("ru.far", near, paid), placed_with="ru.far")), Directory()
    )
    marked = {c["service"]: [r["rule"] for r in c["rules"] if r["overridden"]] for c in view["candidates"]}
    assert marked == {"near": ["area_served"], "paid": []}


def test_overridden_rules_are_those_of_the_service_that_is_asked() -> None:
    near = service(id="near", areas=("RU-SPE",))
    far = service(id="far", areas=("RU-SPE",), languages=("uz",))
    made = decision(organization("ru.house", near, far), placed_with="ru.house")
    assert made.ranked[0].service == "near"
    assert made.overridden == ("area_served",)


def capacity(status: CapacityStatus) -> Service:
    return service(capacity=Capacity(status=status, updated_at=NOW))


def test_services_are_ordered_by_capacity_before_score() -> None:
    made = decision(
        organization("ru.waitlist", capacity(CapacityStatus.waitlist)),
        organization("ru.assessment", capacity(CapacityStatus.assessment_required)),
        organization("ru.room", service(areas=("RU",))),
    )
    assert [c.organization for c in made.ranked] == ["ru.room", "ru.assessment", "ru.waitlist"]
    scores = {c.organization: c.score or 0.0 for c in made.ranked}
    assert scores["ru.room"] < scores["ru.waitlist"], "the order would follow from the scores alone"
    view = decision_view(plain(made), Directory())
    assert [c["capacity"] for c in view["candidates"]] == ["capacity", "assessment_required", "waitlist"]


NEED, REGION = "legal.wage_claim", "RU-MOW"


@pytest.mark.parametrize(
    ("receivers", "options", "nobody"),
    [
        (
            (organization("ru.work", service(needs=("work",))),),
            {},
            {"reason": "need_not_offered", "organization": None, "elsewhere": 0},
        ),
        (
            (
                organization("ru.far", service(areas=("RU-SPE",))),
                organization("kz.far", service(areas=("KZ",))),
            ),
            {},
            {"reason": "need_not_offered_in_region", "organization": None, "elsewhere": 2},
        ),
        (
            ("ru.one",),
            {"placed_with": "ru.nobody"},
            {"reason": "unknown_organization", "organization": "ru.nobody", "elsewhere": 0},
        ),
        (
            ("ru.one",),
            {"placed_with": "kg.sender"},
            {"reason": "organization_without_services", "organization": "kg.sender", "elsewhere": 0},
        ),
    ],
)
def test_decision_without_candidates_gives_the_reason(
    receivers: tuple[Any, ...], options: dict[str, Any], nobody: dict[str, Any]
) -> None:
    view = decision_view(plain(decision(*receivers, **options)), Directory())
    assert view["candidates"] == []
    assert view["nobody"] == {"need": NEED, "region": REGION, **nobody}


def test_decision_with_candidates_has_no_reason_for_none() -> None:
    assert decision_view(plain(decision(APPLICANT)), Directory())["nobody"] is None


def test_decision_stored_by_an_earlier_build_is_still_shown() -> None:
    stored = plain(decision())
    del stored["nobody"]
    for candidate in stored["candidates"]:
        del candidate["capacity"]
    view = decision_view(stored, Directory())
    assert view["nobody"] is None
    assert {candidate["capacity"] for candidate in view["candidates"]} == {None}


# --- policy -----------------------------------------------------------------------------------------


def test_policy_file_may_be_partial() -> None:
    read = load(
        RoutingPolicy, {"version": "x", "urgent": {"answer": 5, "progress": 10}, "weights": {"cost": 0}}
    )
    assert read.deadlines(Urgency.urgent).answer == 5
    assert read.deadlines(Urgency.routine) == RoutingPolicy().routine
    assert read.weights == Weights(cost=0.0)


@pytest.mark.parametrize(
    ("written", "pointer"),
    [
        # no organisation would ever be asked
        ({"emergency_offers": 0}, "/emergency_offers"),
        # every offer would expire before it arrives
        ({"urgent": {"answer": 0, "progress": 10}}, "/urgent/answer"),
        ({"weights": {"load": -1}}, "/weights/load"),
        ({"weights": {"looks": 1}}, "/weights/looks"),
    ],
)
def test_policy_with_absurd_values_is_refused(written: dict[str, object], pointer: str) -> None:
    with pytest.raises(Refused) as refused:
        load(RoutingPolicy, written)
    assert [error.pointer for error in refused.value.errors] == [pointer]


def test_principal_need_is_the_first_need() -> None:
    directory = network(organization("ru.one", service(needs=("work",))))
    given = circumstances(directory, facts(needs=("legal.wage_claim", "work")))
    assert not decide("d", given, RoutingPolicy(), Trigger.submitted).candidates
