"""The comparison of SQL's answers with those of `decide()` finds each difference."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks import matching_databases
from benchmarks.matching_answers import OtherAnswer, compare_decided, compare_eligible
from benchmarks.matching_databases import SqliteDatabase
from benchmarks.matching_layouts import LAYOUTS, Layout
from benchmarks.matching_network import POLICY, AskedReferral, GeneratedNetwork, generated_network, referrals
from benchmarks.matching_parameters import arguments
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.decision import Decision, Trigger, decide
from services.routing.domain.directory import Directory

Answered = tuple[Circumstances, Decision, list[dict[str, Any]]]
CHANGES: dict[str, Any] = {
    "failed": lambda row: row["failed"] ^ 1,
    "score": lambda row: None if row["score"] is None else row["score"] + 0.001,
    "rank": lambda row: 99,
    "revision": lambda row: row["revision"] + 1,
    "equal": lambda row: None if row["equal"] is None else 1 - row["equal"],
    "nearness": lambda row: None if row["nearness"] is None else row["nearness"] + 0.5,
}


NOW = dt.datetime(2026, 11, 27, 12, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def asked() -> tuple[GeneratedNetwork, Directory, list[AskedReferral]]:
    drawn = random.Random(3)
    network = generated_network(600, drawn, NOW)
    directory = network.directory()
    return network, directory, list(referrals(300, directory, drawn, NOW))


@pytest.fixture(scope="module", params=LAYOUTS, ids=lambda layout: layout.schema)
def layout(request: pytest.FixtureRequest) -> Layout:
    chosen: Layout = request.param
    return chosen


@pytest.fixture(scope="module")
def database(
    layout: Layout,
    asked: tuple[GeneratedNetwork, Directory, list[AskedReferral]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SqliteDatabase]:
    folder = tmp_path_factory.mktemp("matching")
    with matching_databases.sqlite(folder, layout, layout.rows_of(asked[0])) as database:
        yield database


@pytest.fixture(scope="module")
def answered(
    database: SqliteDatabase, asked: tuple[GeneratedNetwork, Directory, list[AskedReferral]]
) -> Answered:
    network, directory, given_referrals = asked
    keys = {name: key for key, name in enumerate(sorted(one.id for one in network.organizations), 1)}
    for referral in given_referrals:
        given = network.circumstances(referral, directory)
        decision = decide(referral.id, given, POLICY, Trigger.submitted)
        question = arguments(given, referral, keys[referral.sender])
        found = database.named("decided", database.ask("decided", question)) if decision.ranked else []
        if len(found) > 2:
            return given, decision, found
    raise AssertionError("no referral has candidates")


def test_equal_answers_pass(answered: Answered) -> None:
    given, decision, rows = answered
    compare_decided("SQLite", decision, given, rows)
    compare_eligible("SQLite", decision, [row for row in rows if row["score"] is not None])


@pytest.mark.parametrize("column", CHANGES)
def test_changed_column_of_the_first_candidate_is_found(answered: Answered, column: str) -> None:
    given, decision, rows = answered
    changed = [{**rows[0], column: CHANGES[column](rows[0])}, *rows[1:]]
    with pytest.raises(OtherAnswer):
        compare_decided("SQLite", decision, given, changed)


def test_other_order_and_missing_candidates_are_found(answered: Answered) -> None:
    given, decision, rows = answered
    for changed in (rows[::-1], rows[1:]):
        with pytest.raises(OtherAnswer):
            compare_decided("SQLite", decision, given, changed)
    with pytest.raises(OtherAnswer):
        compare_eligible("SQLite", decision, [])


@pytest.mark.parametrize("statement", ["decided", "eligible"])
def test_sqlite_scans_no_table_but_the_vocabulary_of_needs(database: SqliteDatabase, statement: str) -> None:
    assert database.scanned(statement) <= {"need"}
