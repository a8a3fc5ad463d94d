"""The mixed requests of the flood benchmark."""

from __future__ import annotations

import os

import orjson

from benchmarks.hostile import Mixed, cpu_nanoseconds, kinds_of_requests, tables_of

BODY = orjson.dumps({"needs": ["legal.wage_claim"], "case": "sealed"})


def test_only_the_submission_has_the_valid_body() -> None:
    kinds = kinds_of_requests(BODY)
    assert [name for name, kind in kinds.items() if kind.body == BODY] == ["submission"]
    assert len({(kind.path, kind.body, kind.token) for kind in kinds.values()}) == len(kinds)


def test_processor_time_grows_with_work() -> None:
    before = cpu_nanoseconds(os.getpid())
    assert sum(number * number for number in range(200_000)) > 0
    assert cpu_nanoseconds(os.getpid()) - before > 1_000_000


def test_server_errors_are_counted_and_closed_connections_named() -> None:
    mixed = Mixed(answers={0: 3, 202: 10, 500: 1, 503: 2}, cpu_ms={"list": (1.25, 7.0)})
    assert mixed.failed == 3
    (_, answers), (_, times) = tables_of(mixed)
    assert answers == [["closed", "3"], ["202", "10"], ["500", "1"], ["503", "2"], ["5xx", "3"]]
    assert times == [["list", "1.2", "7.0"]]
