"""Coordinators' acts from the API to the database, and the candidates of the present moment."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from contracts.codes import CoordinatorAct, InterventionReason, OfferState, Outcome
from contracts.errors import Refused
from contracts.facts import (
    InterventionApplied,
    InterventionRefused,
    InterventionSubmitted,
    OfferExpired,
    OfferReminded,
    OutcomeSubmitted,
    PlacementRefused,
    PlacementSubmitted,
    RevocationSubmitted,
)
from contracts.idempotency_key import HEADER
from contracts.submission_bound import BOUND_INTERVAL, MOST_ABOUT_REFERRAL
from runtime.access.tokens import Principal
from runtime.identifiers import new_id
from runtime.web.request import Request
from services.routing import api
from services.routing.domain.refusals import OF_COORDINATORS, counted_with
from tests.unit.services.routing.samples import DAY, HOUR, NOW, SENDER, organization, service
from tests.unit.services.routing.workbench import (
    Workbench,
    accepted_by,
    event,
    opened,
    sender,
    submitted,
    workbench,
)


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    bench = workbench(database_url, "ru.one", "ru.two")
    yield bench
    bench.close()


@pytest.fixture
def small(sqlite_database: str) -> Iterator[Workbench]:
    """A bench on SQLite only, for what no database changes."""
    bench = workbench(
        sqlite_database,
        "ru.one",
        organization("ru.far", service(areas=("RU-SPE",), languages=("uz",))),
        sender("kz.empty"),
    )
    yield bench
    bench.close()


def request(referral: str, body: Any = None, *, key: str | None = None, **query: str) -> Request:
    return Request(
        method="POST",
        route="/",
        path_params={"id": referral},
        query_params=query,
        headers={} if key is None else {HEADER: key},
        body=json.dumps(body).encode(),
        caller=Principal(id="kg.coordinator", roles=frozenset({"coordinator"})),
    )


def intervene(bench: Workbench, act: CoordinatorAct, asked: Request) -> str:
    answer = api.intervene(bench.commands, asked, bench.clock, act)
    assert answer.status == 202
    number: str = json.loads(answer.body)["id"]
    return number


def test_extension_takes_effect_from_the_queue_and_is_stored(bench: Workbench) -> None:
    referral = new_id()
    (offer,) = opened(bench.take(submitted(referral)))
    until = NOW + 5 * DAY
    asked = request(referral, {"reason": "agreed_with_organization", "until": "2026-03-07T09:00:00Z"})
    number = intervene(bench, CoordinatorAct.extend, asked)
    submission = bench.published()[-1]
    assert submission.id == number
    assert submission.data == InterventionSubmitted(
        referral_id=referral,
        organization=None,
        coordinator="kg.coordinator",
        act=CoordinatorAct.extend,
        reason=InterventionReason.agreed_with_organization,
        until=until,
        offers=(offer.offer_id,),
    )
    (applied,) = bench.take(submission)
    assert isinstance(applied, InterventionApplied)
    assert (applied.organization, applied.deadline) == (offer.organization, until)
    assert [type(fact) for fact in bench.fire(offer.deadline + HOUR)] == [OfferReminded]
    (expired, *_) = bench.fire(until + HOUR)
    assert isinstance(expired, OfferExpired)
    view = bench.queries.referral(referral, SENDER, oversight=False)
    facts = [entry.fact for entry in view.timeline]
    assert facts[2:4] == ["intervention.submitted", "intervention.applied"]


def test_second_reminder_is_refused_and_published_as_refused(bench: Workbench) -> None:
    referral = new_id()
    bench.take(submitted(referral))
    intervene(bench, CoordinatorAct.nudge, request(referral, {"reason": "no_answer"}))
    bench.take(bench.published()[-1])
    bench.clock.time = NOW + HOUR
    with pytest.raises(Refused) as refused:
        intervene(bench, CoordinatorAct.nudge, request(referral, {"reason": "no_answer"}))
    assert refused.value.slug == "conflict"
    fact = bench.published()[-1].data
    assert isinstance(fact, InterventionRefused)
    assert (fact.coordinator, fact.act) == ("kg.coordinator", CoordinatorAct.nudge)
    assert fact.problem == refused.value.problem()


def test_repeated_move_on_with_a_key_has_one_effect(bench: Workbench) -> None:
    referral = new_id()
    (offer,) = opened(bench.take(submitted(referral)))
    asked = request(referral, {"reason": "no_answer"}, key="k")
    first = intervene(bench, CoordinatorAct.move_on, asked)
    before = len(bench.published())
    assert intervene(bench, CoordinatorAct.move_on, asked) == first
    assert len(bench.published()) == before
    (following,) = opened(bench.take(bench.published()[-1]))
    assert following.organization != offer.organization
    assert intervene(bench, CoordinatorAct.move_on, asked) == first
    with pytest.raises(Refused) as refused:
        intervene(bench, CoordinatorAct.move_on, request(referral, {"reason": "other"}, key="k"))
    assert refused.value.slug == "idempotency-conflict"


def test_two_coordinators_that_move_on_at_once_revoke_one_offer(bench: Workbench) -> None:
    referral = new_id()
    (offer,) = opened(bench.take(submitted(referral)))
    asked = request(referral, {"reason": "no_answer"})
    for _ in range(2):
        intervene(bench, CoordinatorAct.move_on, asked)
    first, second = bench.published()[-2:]
    (following,) = opened(bench.take(first))
    (refused,) = bench.take(second)
    assert isinstance(refused, InterventionRefused)
    assert following.organization in str(refused.problem["detail"])
    view = bench.queries.referral(referral, SENDER, oversight=False)
    assert {one.id: one.state for one in view.offers} == {
        offer.offer_id: OfferState.revoked,
        following.offer_id: OfferState.open,
    }


def test_placement_after_another_coordinators_is_refused(small: Workbench) -> None:
    small.absorb(["ru.two", "ru.three"])
    referral = new_id()
    (offer,) = opened(small.take(submitted(referral)))
    others = sorted({"ru.one", "ru.two", "ru.three"} - {offer.organization})
    for other in others:
        small.commands.submit_placement(
            referral, other, "kg.coordinator", NOW, reason=InterventionReason.no_answer
        )
    first, second = small.published()[-2:]
    assert [one.organization for one in opened(small.take(first))] == others[:1]
    (refused,) = small.take(second)
    assert isinstance(refused, PlacementRefused)
    assert others[0] in str(refused.problem["detail"])


def test_placement_records_the_rules_that_it_overrides(small: Workbench) -> None:
    small.absorb([organization("ru.far", service(areas=("KZ",)))])
    referral = new_id()
    small.take(submitted(referral))
    small.commands.submit_placement(
        referral, "ru.far", "kg.coordinator", NOW, reason=InterventionReason.no_answer
    )
    placed = small.published()[-1]
    assert isinstance(placed.data, PlacementSubmitted)
    assert placed.data.overridden == ("area_served",)
    assert [one.organization for one in opened(small.take(placed))] == ["ru.far"]
    (step,) = [
        entry
        for entry in small.queries.referral(referral, SENDER, oversight=False).timeline
        if entry.fact == "placement.submitted"
    ]
    assert step.detail["overridden"] == ["area_served"]


def test_request_states_the_rules_that_the_coordinator_saw(small: Workbench) -> None:
    referral = new_id()
    small.take(submitted(referral))
    small.clock.time = NOW
    body = {"organization": "ru.far", "reason": "no_answer", "overridden": ["area_served"]}
    with pytest.raises(Refused) as refused:
        api.place(small.commands, request(referral, body), small.clock)
    assert refused.value.slug == "conflict"
    assert "language_shared" in refused.value.detail
    seen = [*body["overridden"], "language_shared", "place_left"]
    assert (
        api.place(small.commands, request(referral, {**body, "overridden": seen}), small.clock).status == 202
    )
    placed = small.published()[-1].data
    assert isinstance(placed, PlacementSubmitted)
    assert placed.overridden == ("area_served", "language_shared")


def test_repeated_placement_has_one_effect_in_whatever_order_it_states_the_rules(small: Workbench) -> None:
    referral = new_id()
    small.take(submitted(referral))
    rules = ["area_served", "language_shared"]

    def place(*overridden: str) -> str:
        body = {"organization": "ru.far", "reason": "no_answer", "overridden": overridden}
        made = api.place(small.commands, request(referral, body, key="k"), small.clock)
        number: str = json.loads(made.body)["id"]
        return number

    small.clock.time = NOW
    first = place(*rules)
    before = len(small.published())
    assert place(*reversed(rules), *rules) == first
    with pytest.raises(Refused) as refused:
        place(*rules, "place_left")
    assert refused.value.slug == "idempotency-conflict"
    assert len(small.published()) == before


def test_placement_overrides_no_rule_that_the_coordinator_did_not_see(small: Workbench) -> None:
    small.absorb([organization("ru.far", service(areas=("KZ",)))])
    referral = new_id()
    (offer,) = opened(small.take(submitted(referral)))
    small.commands.submit_placement(
        referral, "ru.far", "kg.coordinator", NOW, reason=InterventionReason.no_answer
    )
    placed = small.published()[-1]
    small.absorb([organization("ru.far", service(areas=("KZ",), languages=("kk",)))])
    (refused,) = small.take(placed)
    assert isinstance(refused, PlacementRefused)
    assert "language_shared" in str(refused.problem["detail"])
    assert "area_served" not in str(refused.problem["detail"])
    view = small.queries.referral(referral, SENDER, oversight=False)
    assert {one.id: one.state for one in view.offers} == {offer.offer_id: OfferState.open}


@pytest.mark.parametrize(
    ("act", "body", "pointer"),
    [
        (CoordinatorAct.nudge, {}, "/reason"),
        (CoordinatorAct.nudge, {"reason": "impatience"}, "/reason"),
        (CoordinatorAct.nudge, {"reason": "other", "until": "2026-03-07T09:00:00Z"}, "/until"),
        (CoordinatorAct.extend, {"reason": "other"}, "/until"),
        (CoordinatorAct.extend, {"reason": "other", "until": "tomorrow"}, "/until"),
        (CoordinatorAct.move_on, {"reason": "other", "organization": "RU One"}, "/organization"),
        (CoordinatorAct.move_on, {"reason": "other", "offers": ["all"]}, "/offers/0"),
        (CoordinatorAct.move_on, {"reason": "other", "offers": [new_id()] * 21}, "/offers"),
    ],
)
def test_act_that_breaks_the_contract_is_refused(
    small: Workbench, act: CoordinatorAct, body: Any, pointer: str
) -> None:
    with pytest.raises(Refused) as refused:
        intervene(small, act, request(new_id(), body))
    assert [error.pointer for error in refused.value.errors] == [pointer]


def test_candidate_reads_nothing_of_what_coordinators_submit(small: Workbench) -> None:
    """Their submissions and refusals name the offers and organisations for which the referral waits."""
    small.absorb(["ru.two", "ru.three"])
    referral = new_id()
    (first,) = opened(small.take(submitted(referral)))
    others = sorted({"ru.one", "ru.two", "ru.three"} - {first.organization})
    for other in others:
        small.commands.submit_placement(
            referral, other, "kg.coordinator", NOW, reason=InterventionReason.no_answer
        )
    acts = {"placement.submitted", "placement.refused", "intervention.submitted", "intervention.refused"}
    for submission in small.published()[-2:]:
        small.take(submission)
    for candidate in (first.organization, others[0]):
        timeline = small.queries.referral(referral, candidate, oversight=False).timeline
        assert timeline
        assert not {entry.fact for entry in timeline} & acts
    whole = small.queries.referral(referral, SENDER, oversight=False).timeline
    assert {"placement.submitted", "placement.refused"} <= {entry.fact for entry in whole}


# --- candidates now ---------------------------------------------------------------------------------


@pytest.fixture
def candidates(small: Workbench) -> Callable[..., dict[str, Any]]:
    def ask(referral: str, **query: str) -> dict[str, Any]:
        body = api.candidates(small.coordination, request(referral, **query), small.clock).body
        found: dict[str, Any] = json.loads(body)
        return found

    return ask


def failed(candidate: dict[str, Any]) -> list[str]:
    return [rule["rule"] for rule in candidate["rules"] if not rule["passed"]]


def test_candidates_of_a_referral_are_those_of_a_search_now(
    small: Workbench, candidates: Callable[..., dict[str, Any]]
) -> None:
    referral = new_id()
    small.take(submitted(referral))
    asked = candidates(referral)
    (one,) = asked["candidates"]
    assert (one["organization"], failed(one)) == ("ru.one", ["not_asked_before"])
    (offer,) = asked["open_offers"]
    assert offer["organization"] == "ru.one"
    assert offer["deadline"] > asked["checked_at"]
    small.absorb(["ru.new"])
    found = candidates(referral)["candidates"]
    assert [(one["organization"], one["eligible"]) for one in found] == [("ru.new", True), ("ru.one", False)]
    assert len(small.queries.decisions(referral, SENDER, oversight=False)) == 1


def test_why_not_answers_for_an_organization_that_no_search_finds(
    small: Workbench, candidates: Callable[..., dict[str, Any]]
) -> None:
    referral = new_id()
    small.take(submitted(referral))
    found = candidates(referral, organization="ru.far")
    (far,) = found["candidates"]
    # No rule is overridden: it is a question, not a placement.
    assert (far["eligible"], failed(far)) == (False, ["area_served", "language_shared"])
    assert found["directory_version"] == small.network.directory.version


@pytest.mark.parametrize(
    ("organization", "reason"),
    [("kz.empty", "organization_without_services"), ("kz.nobody", "unknown_organization")],
)
def test_why_not_names_what_the_directory_lacks(
    small: Workbench, candidates: Callable[..., dict[str, Any]], organization: str, reason: str
) -> None:
    referral = new_id()
    small.take(submitted(referral))
    found = candidates(referral, organization=organization)
    assert (found["candidates"], found["nobody"]["reason"]) == ([], reason)


def test_candidates_show_the_parts_in_which_all_needs_could_be_taken(
    small: Workbench, candidates: Callable[..., dict[str, Any]]
) -> None:
    referral = new_id()
    small.take(submitted(referral, needs=("legal.wage_claim", "work", "information")))
    small.absorb(["ru.new", organization("ru.work", service(needs=("work", "information")))])
    assert candidates(referral)["parts"] == [
        {"needs": ["legal.wage_claim"], "organizations": ["ru.new"]},
        {"needs": ["work", "information"], "organizations": ["ru.work"]},
    ]
    small.absorb([organization("ru.all", service(needs=("legal", "work", "information")))])
    assert candidates(referral)["parts"] == [
        {"needs": ["legal.wage_claim", "work", "information"], "organizations": ["ru.all"]}
    ]
    assert candidates(referral, organization="ru.all")["parts"] == []
    assert len(small.queries.decisions(referral, SENDER, oversight=False)) == 1


def test_nobody_is_a_candidate_for_a_referral_that_has_ended(
    small: Workbench, candidates: Callable[..., dict[str, Any]]
) -> None:
    referral = new_id()
    (offer,) = opened(small.take(submitted(referral)))
    small.take(accepted_by(offer))
    assert candidates(referral)["candidates"]
    done = OutcomeSubmitted(referral_id=referral, organization="ru.one", outcome=Outcome.resolved)
    small.take(event(done, referral))
    with pytest.raises(Refused) as refused:
        candidates(referral)
    assert (refused.value.slug, refused.value.detail) == ("not-in-this-state", "The referral is completed.")
    # A coordinator may also ask after the end which rules exclude an organisation.
    (one,) = candidates(referral, organization="ru.far")["candidates"]
    assert "area_served" in failed(one)


def test_candidates_say_whether_the_referral_may_be_placed(
    small: Workbench, candidates: Callable[..., dict[str, Any]]
) -> None:
    def shown() -> tuple[str | None, bool]:
        found = candidates(referral, organization="ru.far")
        return found["acceptor"], found["may_be_placed"]

    def placed() -> None:
        reason = InterventionReason.no_answer
        small.commands.submit_placement(referral, "ru.far", "kg.coordinator", small.clock.time, reason=reason)

    referral = new_id()
    (offer,) = opened(small.take(submitted(referral)))
    assert shown() == (None, True)
    small.take(accepted_by(offer))
    assert shown() == ("ru.one", False)
    with pytest.raises(Refused, match="only if it is unplaced"):
        placed()
    small.fire(NOW + 60 * DAY)
    small.clock.time = NOW + 60 * DAY
    assert shown() == ("ru.one", True), "the report is overdue"
    placed()
    done = OutcomeSubmitted(referral_id=referral, organization="ru.one", outcome=Outcome.resolved)
    small.take(event(done, referral, small.clock.time))
    assert shown() == ("ru.one", False), "the referral has ended"


def test_candidates_of_an_unknown_referral_are_refused(candidates: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(Refused) as refused:
        candidates(new_id())
    assert refused.value.slug == "not-found"


def test_coordinator_acts_a_bounded_number_of_times_about_a_referral_in_a_day(bench: Workbench) -> None:
    referral, other = new_id(), new_id()
    bench.take(submitted(referral))
    bench.take(submitted(other))
    nudge = {"reason": "no_answer"}

    def refusal(asked: Request, attempt: Callable[[Request], object]) -> Refused:
        with pytest.raises(Refused) as refused:
            attempt(asked)
        return refused.value

    def acts(asked: Request) -> object:
        return api.intervene(bench.commands, asked, bench.clock, CoordinatorAct.nudge)

    # Refused acts stay in the history too.
    for _ in range(MOST_ABOUT_REFERRAL):
        assert refusal(request(referral, {**nudge, "organization": "ru.none"}), acts).slug == "conflict"
    before = len(bench.published())
    beyond = refusal(request(referral, nudge), acts)
    assert (beyond.slug, beyond.retry_after) == ("too-many-statements", BOUND_INTERVAL.total_seconds() + 1)
    placed = request(referral, {"organization": "ru.two"})
    assert refusal(placed, lambda one: api.place(bench.commands, one, bench.clock)).slug == beyond.slug
    assert len(bench.published()) == before
    # Withdrawals, another referral and another coordinator are counted separately.
    withdrawn = request(referral, {"organization": SENDER, "reason": "consent_revoked"})
    assert refusal(withdrawn, lambda one: api.withdraw(bench.commands, one, bench.clock)).slug == "conflict"
    intervene(bench, CoordinatorAct.nudge, request(other, nudge))
    second = Principal(id="kg.second", roles=frozenset({"coordinator"}))
    intervene(bench, CoordinatorAct.nudge, replace(request(referral, nudge), caller=second))
    bench.clock.time += BOUND_INTERVAL
    intervene(bench, CoordinatorAct.nudge, request(referral, nudge))


def test_act_that_took_effect_and_a_placement_count_together(bench: Workbench) -> None:
    referral = new_id()
    (offer,) = opened(bench.take(submitted(referral)))
    other = {"ru.one": "ru.two", "ru.two": "ru.one"}[offer.organization]
    intervene(bench, CoordinatorAct.nudge, request(referral, {"reason": "no_answer"}))
    bench.take(bench.published()[-1])
    assert api.place(
        bench.commands, request(referral, {"organization": other, "reason": "no_answer"}), bench.clock
    )
    placement = bench.published()[-1]
    bench.take(placement)
    counted = counted_with(placement.data)
    with bench.database.read() as transaction:
        acted = bench.store.acted_at(transaction, referral, "kg.coordinator", counted, since=NOW - DAY)
        assert bench.store.acted_at(transaction, referral, "kg.other", counted, since=NOW - DAY) == []
        assert bench.store.acted_at(transaction, referral, "kg.coordinator", counted, since=NOW) == []
    assert acted == [NOW, NOW]


@pytest.mark.parametrize("act", ["intervention", "placement", "withdrawal"])
def test_act_that_is_refused_when_it_takes_effect_is_one_step_and_counts_once(
    bench: Workbench, act: str
) -> None:
    referral = new_id()
    (offer,) = opened(bench.take(submitted(referral)))
    other = {"ru.one": "ru.two", "ru.two": "ru.one"}[offer.organization]
    bench.without_client.add(SENDER)
    match act:
        case "intervention":
            intervene(bench, CoordinatorAct.move_on, request(referral, {"reason": "no_answer"}))
        case "placement":
            placed = {"organization": other, "reason": "no_answer"}
            api.place(bench.commands, request(referral, placed), bench.clock)
        case _:
            withdrawn = {"organization": SENDER, "reason": "consent_revoked"}
            api.withdraw(bench.commands, request(referral, withdrawn), bench.clock)
    submission = bench.published()[-1]
    bench.take(event(RevocationSubmitted(referral_id=referral, organization=SENDER), referral))
    (refusal,) = bench.take(submission)
    assert isinstance(refusal, OF_COORDINATORS)
    counted = counted_with(submission.data)
    steps = [one.fact for one in bench.queries.referral(referral, SENDER, oversight=False).timeline]
    assert [one for one in steps if one in counted] == [refusal.routing_key]
    with bench.database.read() as transaction:
        acted = bench.store.acted_at(transaction, referral, "kg.coordinator", counted, since=NOW - DAY)
    assert acted == [NOW]
