"""The comparison of SQL's answers with those of `decide()` finds each difference."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import pytest

from benchmarks import matching_databases
from benchmarks.matching_answers import OtherAnswer, compare_decided, compare_eligible
from benchmarks.matching_network import POLICY, generated_network, referrals
from benchmarks.matching_schema import rows_of
from benchmarks.matching_sql import arguments
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.decision import Decision, Trigger, decide

Answered = tuple[Circumstances, Decision, list[dict[str, Any]]]
CHANGES: dict[str, Any] = {
    "failed": lambda row: row["failed"] ^ 1,
    "score": lambda row: None if row["score"] is None else row["score"] + 0.001,
    "rank": lambda row: 99,
    "revision": lambda row: row["revision"] + 1,
    "equal": lambda row: None if row["equal"] is None else 1 - row["equal"],
    "nearness": lambda row: None if row["nearness"] is None else row["nearness"] + 0.5,
}


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Answered:
    drawn, now = random.Random(3), dt.datetime(2026, 11, 27, 12, tzinfo=dt.UTC)
    network = generated_network(600, drawn, now)
    directory, rows = network.directory(), rows_of(network)
    keys = {row["name"]: row["id"] for row in rows["org"]}
    with matching_databases.sqlite(tmp_path_factory.mktemp("matching"), rows) as database:
        for referral in referrals(300, directory, drawn, now):
            given = network.circumstances(referral, directory)
            decision = decide(referral.id, given, POLICY, Trigger.submitted)
            asked = arguments(given, referral, keys[referral.sender])
            found = database.named("decided", database.ask("decided", asked)) if decision.ranked else []
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
