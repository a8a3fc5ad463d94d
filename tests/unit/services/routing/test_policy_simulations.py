"""Simulations of policies by a running hub: their results, what bounds them, and what they refuse."""

from __future__ import annotations

import json
import threading
import tracemalloc
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from admin.hub_databases import ServiceDatabase
from admin.routing.simulation import simulate_stored
from admin.routing.stored import stored_by
from contracts.codes import Urgency
from contracts.errors import Refused, Unavailable
from runtime.access.reads import Read
from runtime.access.tokens import Principal
from runtime.identifiers import new_id
from runtime.turn import Turn
from runtime.web.request import Request
from services.routing import api
from services.routing.adapters.stored_decisions import SqlStoredDecisions
from services.routing.adapters.tables import METADATA
from services.routing.domain.decision import Decision
from services.routing.domain.fairness import Fairness
from services.routing.domain.policy import RoutingPolicy, Weights
from services.routing.domain.policy_document import document_of
from services.routing.domain.policy_simulation import Simulation
from services.routing.domain.stored_decision import DecisionSources
from services.routing.handlers import policy_simulations
from services.routing.handlers.policy_simulations import MOST_AT_ONCE, PolicySimulations
from tests.unit.admin.routed_network import CITIES, SENDERS, RoutedNetwork
from tests.unit.services.routing.samples import organization, service
from tests.unit.services.routing.workbench import submitted

# They differ only in what two weights count: the city or the whole country, and an interpreter's language.
NEAR = organization("ru.near", service(areas=(CITIES[0],), languages=("ru",), interpretation=("ky",)))
FLUENT = organization("ru.fluent", service(areas=("RU",), languages=("ky",)))
STEADY = Fairness(explore=0.0)
FLUENCY: Mapping[str, Any] = {
    "version": "fluent",
    "weights": {"nearness": 1, "language": 9},
    "fairness": {"explore": 0},
}


class Hub:
    """A routing process with referrals that prefer the near service in its city."""

    def __init__(self, folder: Path) -> None:
        self.network = RoutedNetwork(folder, seed=1)
        self.network.put(*(replace(organization(f"ru.receiver-{n}"), active=False) for n in range(8)))
        self.network.put(NEAR, FLUENT)
        self.network.apply(weights=Weights(nearness=9.0, language=1.0), fairness=STEADY)
        self.now = 0.0
        self.unready: str | None = None
        bench = self.network.bench
        self.simulations = PolicySimulations(
            database=bench.database,
            stored=SqlStoredDecisions(),
            policies=self.network.policies,
            directory=bench.network.directory,
            unready=lambda: self.unready,
            clock=lambda: self.now,
        )

    def submit(self, *regions: str, urgency: Urgency = Urgency.routine) -> list[str]:
        """Submit a referral for each region; return their ids."""
        ids = []
        for region in regions:
            ids.append(referral := new_id())
            self.network.bench.take(submitted(referral, SENDERS[0], region=region, urgency=urgency))
        return ids

    def simulate(self, last: int = 500, **changes: Any) -> Simulation:
        policy = RoutingPolicy(version="fluent", weights=Weights(nearness=1, language=9), fairness=STEADY)
        return self.simulations.simulate(document_of(replace(policy, **changes)), last)

    def ask(self, body: Any) -> tuple[dict[str, Any], Read]:
        """Return the response to a coordinator, and what it says that it contains."""
        response = api.simulate(self.simulations, request(body))
        assert response.read is not None
        return json.loads(response.body), response.read

    def rows(self) -> dict[str, list[Any]]:
        """Return all rows of routing's database."""
        with self.network.bench.database.read() as transaction:
            return {
                table.name: list(transaction.execute(select(table)).all()) for table in METADATA.sorted_tables
            }


def request(body: Any) -> Request:
    return Request(
        method="POST",
        route="/v1/coordination/policies:simulate",
        body=json.dumps(body).encode(),
        caller=Principal(id="kg.coordinator", roles=frozenset({"coordinator"})),
    )


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    hub = Hub(tmp_path)
    yield hub
    hub.network.close()


def test_simulation_is_that_of_the_operators_command(hub: Hub) -> None:
    hub.submit(CITIES[0], CITIES[0], CITIES[1], CITIES[1])
    hub.submit(CITIES[0], urgency=Urgency.emergency)
    found = hub.simulate()
    places = {name: ServiceDatabase(service=name, url=url) for name, url in hub.network.urls.items()}
    policy = RoutingPolicy(version="fluent", weights=Weights(nearness=1, language=9), fairness=STEADY)
    with stored_by(places) as stored:
        assert found == simulate_stored(stored, policy, 500)
    assert (len(found.referrals), len(found.elsewhere), found.directory_changed) == (5, 3, set())


def test_response_names_the_referrals_and_the_entry_about_the_read_names_them_too(hub: Hub) -> None:
    moved, _ = hub.submit(CITIES[0], CITIES[1])
    shown, read = hub.ask({"policy": FLUENCY, "referrals": 5})
    assert (shown["referrals"], shown["elsewhere"], shown["unlisted"], shown["left_out"]) == (2, 1, 0, {})
    (item,) = shown["items"]
    (effect,) = item["effects"]
    assert (item["referral_id"], item["region"], item["urgency"]) == (moved, CITIES[0], "routine")
    assert (effect["before"], effect["after"]) == (["ru.near"], ["ru.fluent"])
    assert [first["why"] for first in effect["firsts"]] == ["best", "best"]
    assert read == Read.of_list([moved], {"policy": shown["digest"], "referrals": "5"})


def test_simulation_without_an_effect_is_a_read_too(hub: Hub) -> None:
    """That no referral would go elsewhere is a fact about them."""
    hub.submit(CITIES[1])
    shown, read = hub.ask({"policy": FLUENCY})
    assert shown["items"] == []
    assert read == Read.of_list([], {"policy": shown["digest"], "referrals": "500"})


def test_simulation_considers_the_last_referrals_only(hub: Hub) -> None:
    older, newer = hub.submit(CITIES[0], CITIES[0])
    assert set(hub.simulate(1).moved) == {newer}
    assert list(hub.simulate(2).moved) == [newer, older]


def test_organisation_that_joined_since_does_not_hide_the_effect(hub: Hub) -> None:
    """It was never asked, so among equals its turn would come first under both policies."""
    (moved,) = hub.submit(CITIES[0])
    best = organization("ru.best", service(areas=(CITIES[0],), languages=("ky",)))
    hub.network.put(best)
    found = hub.simulate()
    (effect,) = found.moved[moved].effects
    assert (effect.before, effect.after) == (("ru.near",), ("ru.fluent",))
    assert found.directory_changed == set()


def test_referral_that_the_changed_directory_leads_elsewhere_is_counted(hub: Hub) -> None:
    changed, _ = hub.submit(CITIES[0], CITIES[1])
    hub.network.put(replace(NEAR, active=False))
    found = hub.simulate()
    assert (found.moved, found.directory_changed) == ({}, {changed})


def test_erased_decisions_are_left_out_with_their_code(hub: Hub) -> None:
    erased, other = hub.submit(CITIES[0], CITIES[0])
    with hub.network.bench.database.write() as transaction:
        transaction.exec_driver_sql(
            "UPDATE decisions SET record = '{}', erased_at = 1 WHERE referral_id = ?", (erased,)
        )
    assert set(hub.simulate().moved) == {other}
    shown, _ = hub.ask({"policy": FLUENCY})
    assert (shown["referrals"], shown["left_out"]) == (1, {"erased": 1})


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        ("UPDATE decisions SET record = 'x'", "damaged"),
        ("UPDATE referrals SET facts = '[]'", "damaged"),
        ('UPDATE decisions SET record = \'{"trigger": "submitted"}\'', "damaged"),
    ],
)
def test_damaged_rows_are_left_out(hub: Hub, damage: str, code: str) -> None:
    hub.submit(CITIES[0])
    with hub.network.bench.database.write() as transaction:
        transaction.exec_driver_sql(damage)
    shown, _ = hub.ask({"policy": FLUENCY})
    assert (shown["referrals"], shown["left_out"]) == (0, {code: 1})


def test_simulation_changes_no_row(hub: Hub) -> None:
    hub.submit(CITIES[0])
    before = hub.rows()
    assert hub.simulate().moved
    assert hub.rows() == before


def test_other_work_may_run_after_each_decision(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.submit(*[CITIES[0]] * 3)
    steps: list[str] = []
    made = DecisionSources.again

    def again(*given: Any) -> Decision:
        steps.append("decision")
        return made(*given)

    monkeypatch.setattr(DecisionSources, "again", again)
    monkeypatch.setattr(Turn, "end_if_over", lambda _: steps.append("turn"))
    hub.simulate()
    assert steps == ["decision", "decision", "turn"] * 3


def test_no_transaction_is_open_while_other_work_runs(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.submit(*[CITIES[0]] * 3)
    database, reading = hub.network.bench.database, [0]
    read, turns = database.read, []

    class Counted:
        def __init__(self) -> None:
            self.inner = read()

        def __enter__(self) -> Any:
            reading[0] += 1
            return self.inner.__enter__()

        def __exit__(self, *given: Any) -> Any:
            reading[0] -= 1
            return self.inner.__exit__(*given)

    monkeypatch.setattr(database, "read", Counted)
    monkeypatch.setattr(Turn, "end_if_over", lambda _: turns.append(reading[0]))
    hub.simulate()
    assert turns == [0, 0, 0]


def test_simulation_ends_in_time_with_what_it_has_decided(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.submit(*[CITIES[0]] * 3)

    def later(_turn: Turn) -> None:
        hub.now += policy_simulations.LONGEST * 0.6

    monkeypatch.setattr(Turn, "end_if_over", later)
    shown, _ = hub.ask({"policy": FLUENCY})
    assert (shown["referrals"], shown["elsewhere"], shown["left_out"]) == (2, 2, {"no_time_left": 1})


def test_decisions_beyond_the_most_are_left_out(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.submit(*[CITIES[0]] * 3)
    monkeypatch.setattr(policy_simulations, "MOST_DECISIONS", 2)
    shown, _ = hub.ask({"policy": FLUENCY})
    assert (shown["referrals"], shown["left_out"]) == (2, {"too_many_decisions": 1})


def test_effects_beyond_the_most_are_counted_and_not_listed(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.submit(*[CITIES[0]] * 3)
    monkeypatch.setattr(policy_simulations, "MOST_EFFECTS", 2)
    shown, read = hub.ask({"policy": FLUENCY})
    assert (shown["elsewhere"], len(shown["items"]), shown["unlisted"]) == (3, 2, 1)
    assert len(read.referral_ids) == 2


def test_memory_does_not_grow_with_the_referrals(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_simulations, "MOST_EFFECTS", 5)
    hub.submit(*[CITIES[0]] * 120)
    hub.simulate(120)

    def peak(last: int) -> int:
        tracemalloc.start()
        try:
            hub.simulate(last)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(10), peak(120)
    with hub.network.bench.database.read() as transaction:
        record = transaction.exec_driver_sql("SELECT length(record) FROM decisions LIMIT 1").scalar_one()
    # One more decision that stays would add more than its record.
    assert many - few < 110 * record / 4


def test_simulations_in_a_process_are_bounded(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.submit(CITIES[0])
    entered, release = threading.Semaphore(0), threading.Event()

    def wait(_turn: Turn) -> None:
        entered.release()
        assert release.wait(20)

    monkeypatch.setattr(Turn, "end_if_over", wait)
    running = [threading.Thread(target=hub.simulate) for _ in range(MOST_AT_ONCE)]
    for thread in running:
        thread.start()
    for _ in running:
        assert entered.acquire(timeout=20)
    with pytest.raises(Unavailable) as caught:
        hub.simulate()
    assert caught.value.retry_after > 0
    release.set()
    for thread in running:
        thread.join(20)
    assert hub.simulate().moved


def test_simulation_waits_for_a_complete_directory(hub: Hub) -> None:
    hub.submit(CITIES[0])
    hub.unready = "the directory is being read"
    with pytest.raises(Unavailable, match="being read"):
        hub.simulate()


@pytest.mark.parametrize(
    ("body", "slug", "pointers"),
    [
        ({"policy": {"weights": {"language": 9}}}, "invalid-submission", ["/policy/version"]),
        (
            {"policy": {"version": "x", "weights": {"no_such_weight": 1}}},
            "invalid-submission",
            ["/policy/weights/no_such_weight"],
        ),
        (
            {
                "policy": {
                    "version": "x",
                    "weights": dict.fromkeys(
                        (
                            "needs_covered",
                            "nearness",
                            "language",
                            "responsiveness",
                            "load",
                            "freshness",
                            "cost",
                        ),
                        0,
                    ),
                    "urgent": {"answer": 1, "progress": 86_400},
                }
            },
            "invalid-submission",
            ["/policy/weights", "/policy/urgent/answer"],
        ),
        ({"policy": FLUENCY, "referrals": 501}, "invalid-submission", ["/referrals"]),
        ({"policy": FLUENCY, "referrals": 0}, "invalid-submission", ["/referrals"]),
        ({"referrals": 1}, "invalid-submission", ["/policy"]),
        ({"policy": {"version": "drawn-1"}}, "conflict", ["/policy/version"]),
    ],
)
def test_policy_that_cannot_be_applied_is_refused_with_pointers(
    hub: Hub, body: Any, slug: str, pointers: list[str]
) -> None:
    with pytest.raises(Refused) as caught:
        hub.ask(body)
    assert caught.value.slug == slug
    assert sorted(error.pointer for error in caught.value.errors) == sorted(pointers)
