"""The benchmark of matching: SQL and `decide()` answer the same question."""

from __future__ import annotations

from benchmarks.matching import ANSWERED, DECIDE, RECORDED, measure_matching
from tests.long_run import times

SERVICES = times(500, 2_000)


def test_sql_gives_the_same_order_scores_turns_and_evidence(postgres_database: str) -> None:
    """`measure_matching` raises if one answer differs."""
    databases = {"SQLite", "SQLite, normalised", "PostgreSQL", "PostgreSQL, normalised"}
    found = measure_matching(SERVICES, decisions=times(30, 60), postgresql=postgres_database)
    assert found.services > SERVICES
    assert found.candidates[0] >= 1
    for asked in (found.explained, found.eligible):
        assert set(asked) == databases
        assert all(0 < p50 <= p99 for p50, p99 in [(found.p50, found.p99), found.recorded, *asked.values()])
    for cpu in (found.cpu, found.in_a_row):
        assert set(cpu) == {DECIDE, ANSWERED, RECORDED, *databases}
        assert cpu[DECIDE][0] < cpu[ANSWERED][0] < cpu[RECORDED][0]
