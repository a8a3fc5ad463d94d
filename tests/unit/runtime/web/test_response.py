from __future__ import annotations

from datetime import UTC, datetime

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
