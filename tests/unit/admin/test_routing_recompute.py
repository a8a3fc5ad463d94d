"""`kopuro routing recompute`: drawn decisions made again, and what was changed is named."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields, replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from admin.environment_files import write_environment
from admin.hub_databases import ServiceDatabase
from admin.routing.recompute import Recomputed, recompute
from admin.routing.stored import stored_by
from contracts.codes import Funding, Urgency, Vetting
from contracts.records import plain
from contracts.topology import SERVICES
from kopuro_client.commands import main
from runtime.storage.database import sqlite_url
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.decision import DecisionInputs
from services.routing.domain.observation import Observation, ServiceLoad
from services.routing.domain.observed_record import ObservedOrganizations, observation_of
from services.routing.domain.places import Demand
from tests.long_run import times
from tests.unit.admin.routed_network import CITIES, RECEIVERS, RoutedNetwork
from tests.unit.services.routing.samples import NOW, organization, service

DECISIONS = 1_000


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The databases of a network that made its decisions while its directory and policies changed."""
    folder = tmp_path_factory.mktemp("recorded")
    network = RoutedNetwork(folder, seed=20_26)
    made = 0
    while made < DECISIONS:
        network.change_something()
        network.decide(25)
        with network.bench.database.read() as transaction:
            made = transaction.execute(text("SELECT count(*) FROM decisions")).scalar_one()
    network.close()
    return folder


@pytest.fixture
def copied(recorded: Path, tmp_path: Path) -> Path:
    """The databases elsewhere: copies that a test may change."""
    shutil.copytree(recorded, tmp_path / "elsewhere")
    return tmp_path / "elsewhere"


def databases(folder: Path) -> dict[str, ServiceDatabase]:
    return {
        name: ServiceDatabase(service=name, url=sqlite_url(folder / f"{name}.sqlite"))
        for name in ("routing", "directory")
    }


def again(folder: Path, last: int = 100) -> Recomputed:
    with stored_by(databases(folder)) as stored:
        return recompute(stored, stored.decisions(last=last))


def change(folder: Path, service: str, statement: str) -> None:
    engine = create_engine(databases(folder)[service].url)
    with engine.begin() as connection:
        assert connection.exec_driver_sql(statement).rowcount == 1
    engine.dispose()


def test_many_decisions_are_equal_elsewhere(copied: Path) -> None:
    last = times(300, DECISIONS)
    found = again(copied, last=last)
    assert (found.equal, found.mismatches, found.skipped) == (last, [], {})
    engine = create_engine(databases(copied)["routing"].url)
    with engine.connect() as connection:
        records = [json.loads(row[0]) for row in connection.execute(text("SELECT record FROM decisions"))]
    engine.dispose()
    # The decisions cover what they can depend on.
    assert len({one["directory_version"] for one in records}) > 10
    assert len({one["policy_version"] for one in records}) > 5
    assert len({one["trigger"] for one in records}) >= 3
    assert any(one["inputs"]["asked"] for one in records)
    assert any(
        "demand" in load
        for one in records
        for seen in one["inputs"]["observed"].values()
        for load in seen.get("services", {}).values()
    )
    assert max(c["revision"] for one in records for c in one["candidates"]) > 3
    failed = {f["rule"] for one in records for c in one["candidates"] for f in c["failures"]}
    assert failed >= {"place_left", "agreement_in_force", "kind_consented", "organization_vetted"}


def decided_within_a_page(network: RoutedNetwork, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Follow the directory, and decide whenever that gives way; return the versions of these decisions."""
    versions: list[int] = []

    def decide(_seconds: float) -> None:
        with monkeypatch.context() as patched:
            patched.setattr("runtime.turn.time.sleep", lambda _seconds: None)
            versions.append(network.bench.network.directory.version)
            network.decide(5)

    with monkeypatch.context() as patched:
        patched.setattr("runtime.turn.TURN_SECONDS", 0.0)
        patched.setattr("runtime.turn.time.sleep", decide)
        network.view.refresh(NOW)
    return versions


@pytest.mark.parametrize("is_replaced", [False, True], ids=["each once", "one twice"])
def test_decisions_between_the_changes_of_a_page_are_equal_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_replaced: bool
) -> None:
    """The replica keeps only the last of two changes of a record. No version has the state between them."""
    network = RoutedNetwork(tmp_path, seed=7)
    first, *others = [organization(name, service(areas=CITIES, cost=Funding.at_cost)) for name in RECEIVERS]
    network.put(first, *others)
    network.deliver(replace(first, services=(replace(first.services[0], cost=Funding.free),)))
    network.deliver(*(replace(one, name="Renamed") for one in others))
    if is_replaced:
        network.deliver(replace(first, vetting=Vetting.suspended))
    before = network.bench.network.directory.version
    versions = decided_within_a_page(network, monkeypatch)
    after = network.bench.network.directory.version
    network.decide(5)
    network.close()
    assert versions
    if not is_replaced:
        assert {before + 1, after - 1} < set(versions) <= set(range(before, after + 1))
    found = again(tmp_path, last=1_000)
    assert (found.mismatches, found.skipped) == ([], {})
    assert found.equal >= 5


RANK_CHANGED = (
    "UPDATE decisions SET record = replace(record, '\"rank\":2', '\"rank\":9') WHERE id ="
    " (SELECT id FROM decisions WHERE record LIKE '%\"rank\":2%' ORDER BY id DESC LIMIT 1)"
)


@pytest.mark.parametrize(
    ("service", "statement", "named"),
    [
        (
            "routing",
            RANK_CHANGED,
            "/rank",
        ),
        (
            "routing",
            'UPDATE decisions SET record = replace(record, \'"asked":[]\', \'"asked":["ru.receiver-1"]\')'
            " WHERE id = (SELECT id FROM decisions"
            " WHERE record LIKE '%\"asked\":[]%ru.receiver-1%' ORDER BY id DESC LIMIT 1)",
            "decision ",
        ),
        (
            "routing",
            "UPDATE decisions SET record = 'nothing' WHERE id = (SELECT max(id) FROM decisions)",
            "is not JSON",
        ),
        (
            "routing",
            "UPDATE policies SET content = replace(content, '\"backlog\":900', '\"backlog\":901')"
            " WHERE number = 1",
            "policy 2026-1",
        ),
        (
            "routing",
            "UPDATE policies SET content = 'no JSON' WHERE number = 1",
            "the content of a policy is not JSON",
        ),
        (
            "directory",
            "UPDATE revisions SET record = 'no JSON' WHERE id = 'ru.receiver-1' AND number = 2",
            "the directory's record is damaged",
        ),
        (
            "routing",
            "UPDATE decisions SET record = replace(record, '\"directory_version\":',"
            " '\"directory_version\":-')"
            " WHERE id = (SELECT max(id) FROM decisions)",
            "/directory_version",
        ),
        (
            "routing",
            "DELETE FROM referrals WHERE id = (SELECT referral_id FROM decisions ORDER BY id DESC LIMIT 1)",
            "no referral",
        ),
        (
            "directory",
            "UPDATE revisions SET record = replace(record, 'RU-', 'KZ-') WHERE id = 'ru.receiver-1'"
            " AND number = 2",
            "revision 2 of the organization ru.receiver-1",
        ),
        (
            "directory",
            "DELETE FROM revisions WHERE id = 'network' AND number = 1",
            "revision 1 of the agreement network",
        ),
        (
            "routing",
            "UPDATE replica_changes SET revision = 1 WHERE key = 'ru.receiver-1' AND revision = 2",
            "revision 1 of the organization ru.receiver-1",
        ),
    ],
)
def test_changed_row_is_named(copied: Path, service: str, statement: str, named: str) -> None:
    change(copied, service, statement)
    found = again(copied, last=200)
    assert found.mismatches
    assert any(named in f"{one.where}: {one.what} {one.pointers}" for one in found.mismatches)


def test_referral_erased_meanwhile_is_recomputed_as_it_was(database_url: str) -> None:
    place = ServiceDatabase(service="routing", url=database_url)
    engine = create_engine(database_url)
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        connection.exec_driver_sql(
            "CREATE TABLE decisions (id text, referral_id text, record text, erased_at bigint, asked text)"
        )
        connection.exec_driver_sql("INSERT INTO decisions VALUES ('1', '2', '{\"a\": 1}', NULL, '[]')")
    with stored_by({"routing": place, "directory": place}) as stored:
        (before,) = stored.decisions()
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE decisions SET record = '{}', erased_at = 1")
        (after,) = stored.decisions()
    engine.dispose()
    assert (before.is_erased, after.is_erased, after.values) == (False, False, {"a": 1})


def test_decision_of_an_earlier_build_is_skipped_and_counted(copied: Path) -> None:
    change(
        copied,
        "routing",
        "UPDATE decisions SET record = json_remove(record, '$.inputs')"
        " WHERE id = (SELECT max(id) FROM decisions)",
    )
    found = again(copied)
    assert (found.equal, found.mismatches, len(found.skipped)) == (99, [], 1)


def test_erased_decision_is_left_out(copied: Path) -> None:
    change(
        copied,
        "routing",
        "UPDATE decisions SET record = '{}', salt = NULL, erased_at = 1"
        " WHERE id = (SELECT max(id) FROM decisions)",
    )
    found = again(copied)
    assert (found.equal, found.mismatches) == (99, [])
    assert list(found.skipped.values()) == ["erased after the referral had ended"]


def test_command_names_what_differs_and_exits_with_1(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KOPURO_DATABASE_TEMPLATE", f"sqlite:///{copied}/{{service}}.sqlite")
    assert main(["routing", "recompute", "--last", "60"]) == 0
    assert capsys.readouterr().out == "60 of 60 decisions are equal\n"
    change(copied, "routing", RANK_CHANGED)
    assert main(["routing", "recompute", "--last", "200", "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["decisions"], shown["equal"]) == (200, 199)
    [mismatch] = shown["mismatches"]
    assert mismatch["where"].startswith("decision ")
    assert mismatch["pointers"][0].endswith("/rank")
    assert main(["routing", "recompute", "--referral", "018f0000-0000-7000-8000-000000000001"]) == 0


@pytest.mark.parametrize("referral", ["xyz", "018f0000-ffff-7000-8000-ffffffffffff"])
def test_malformed_or_unknown_referral_is_a_usage_error(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], referral: str
) -> None:
    monkeypatch.setenv("KOPURO_DATABASE_TEMPLATE", f"sqlite:///{copied}/{{service}}.sqlite")
    assert main(["routing", "recompute", "--referral", referral]) == 2
    assert capsys.readouterr().out == ""


def test_command_that_compares_nothing_exits_with_9(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KOPURO_DATABASE_TEMPLATE", f"sqlite:///{copied}/{{service}}.sqlite")
    engine = create_engine(databases(copied)["routing"].url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM decisions")
    engine.dispose()
    assert main(["routing", "recompute"]) == 9
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("0 of 0 decisions are equal\n", "nothing was compared\n")


def test_command_reads_the_databases_of_environment_files(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in SERVICES:
        variables = {"KOPURO_DATABASE_URL": f"sqlite:///{copied}/{name}.sqlite"}
        write_environment(tmp_path / f"{name}.env", variables)
    assert main(["routing", "recompute", "--last", "5", "--env", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "5 of 5 decisions are equal\n"


def test_every_observed_count_survives_its_record() -> None:
    demand = {
        ("kg.two", Urgency.urgent): Demand(offers=2, waiting=1),
        ("kg.one", Urgency.routine): Demand(offers=1),
    }
    seen = Observation(
        answered=1,
        returned=1,
        expired=2,
        answer_seconds=3,
        last_asked=NOW,
        services={"legal": ServiceLoad(accepted=4, demand=demand), "shelter": ServiceLoad(accepted=5)},
        full_since={"legal": NOW},
    )
    # The withdrawn offers of the decision's sender are an input of their own.
    kept = {item.name for item in fields(Observation) if item.init} - {"withdrawn"}
    assert all(getattr(seen, name) for name in kept)
    assert all(getattr(seen.at("legal"), item.name) for item in fields(ServiceLoad) if item.init)
    observed = {"ru.one": seen, "ru.two": Observation()}
    record = plain(ObservedOrganizations(tuple(observed), observed.__getitem__))
    assert record.keys() == {"ru.one"}
    assert observation_of(record["ru.one"]) == seen


def test_every_input_of_a_decision_is_recorded() -> None:
    """A new input must be recorded (`DecisionInputs`) and given back (`recomputation.made_again`)."""
    of_the_referral = {"referral_id", "sender", "facts"}
    of_the_decision = {"now", "directory", "offers_per_sender", "full_for"}
    # Given back with what was observed.
    withdrawn = {"withdrawn"}
    recorded = {item.name for item in fields(DecisionInputs)} - {"placed_with"} - withdrawn
    needed = {item.name for item in fields(Circumstances) if item.init}
    assert needed == of_the_referral | of_the_decision | recorded
