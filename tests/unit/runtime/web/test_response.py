from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from contracts.responses.form import Page, record_json
from runtime.turn import TURN_SECONDS
from runtime.web.response import Response


def test_json_response_encodes_times_as_contracts_do() -> None:
    answer = Response.json(
        {"at": datetime(2026, 3, 21, 12, tzinfo=UTC)}, status=202, headers={"Location": "/x"}
    )
    assert answer.body == b'{"at":"2026-03-21T12:00:00Z"}'
    assert answer.headers == {"Content-Type": "application/json", "Location": "/x"}
    assert answer.status == 202


def test_ndjson_response_ends_every_line() -> None:
    answer = Response.ndjson([{"line": 1}, {"line": 2}])
    assert answer.body == b'{"line":1}\n{"line":2}\n'
    assert answer.headers["Content-Type"] == "application/x-ndjson"


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    id: str
    text: str


def test_page_is_encoded_as_a_whole_record_is() -> None:
    for items in ([], [Item(id=str(number), text="ä") for number in range(3)]):
        for following in (None, "YQ"):
            page = Page(items=items, next=following)
            assert Response.of(page).body == record_json(page)


def test_other_requests_run_between_the_items_of_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[float] = []
    monkeypatch.setattr("runtime.turn.TURN_SECONDS", 0.0)
    monkeypatch.setattr("runtime.turn.time.sleep", turns.append)
    Response.of(Page(items=[Item(id=str(number), text="x" * 10_000) for number in range(9)], next=None))
    assert turns == [0] * 9


def test_other_requests_run_between_the_lines_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    now, slept = [0.0], list[float]()
    monkeypatch.setattr("runtime.turn.time.perf_counter", lambda: now[0])
    monkeypatch.setattr("runtime.turn.time.sleep", slept.append)

    def items() -> Iterator[Item]:
        for number in range(10):
            now[0] += TURN_SECONDS
            yield Item(id=str(number), text="")

    assert Response.lines(items()).body.count(b"\n") == 10
    assert len(slept) >= 9
