from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from contracts.errors import Defect
from runtime.telemetry import trace
from runtime.telemetry.logs import FIELDS, JsonFormatter

PERSON = "Aigerim Toktogulova"


def line(
    message: object, *args: object, extra: dict[str, Any] | None = None, exc_info: Any = None
) -> dict[str, Any]:
    logger = logging.getLogger("test")
    record = logger.makeRecord("test", logging.ERROR, __file__, 1, message, args, exc_info, extra=extra)
    formatted = JsonFormatter("intake", {"runtime", "contracts", "tests"}).format(record)
    assert "\n" not in formatted
    read: dict[str, Any] = json.loads(formatted)
    return read


def caught(exception: Exception) -> Any:
    try:
        raise exception
    except Exception:
        return sys.exc_info()


def test_a_line_says_who_when_and_what() -> None:
    read = line("published %d", 3)
    assert read["message"] == "published 3"
    assert (read["service"], read["level"], read["logger"]) == ("intake", "error", "test")
    assert read["time"].endswith("+00:00")


def test_a_line_carries_the_trace_at_hand() -> None:
    at = trace.continued(None)
    with trace.attached(at, correlation="018f"):
        read = line("x")
    assert (read["trace_id"], read["correlation_id"]) == (at.trace_id, "018f")
    assert "trace_id" not in line("x")


def test_only_known_fields_leave_the_process() -> None:
    read = line("x", extra={"queue": "routing.0", "narrative": PERSON, "count": 2})
    assert (read["queue"], read["count"]) == ("routing.0", 2)
    assert PERSON not in json.dumps(read)


def test_a_known_field_cannot_smuggle_an_object() -> None:
    assert line("x", extra={"reason": {"name": PERSON}})["reason"] == "dict"


def test_an_exceptions_text_is_left_out_and_its_causes_too() -> None:
    fault = ValueError(PERSON)
    fault.__cause__ = KeyError(PERSON)
    read = line("failed", exc_info=caught(fault))
    assert [link["class"] for link in read["exception"]] == ["ValueError", "KeyError"]
    assert PERSON not in json.dumps(read)


def test_only_our_own_frames_are_shown() -> None:
    try:
        json.loads("{")
    except ValueError:
        read = line("failed", exc_info=sys.exc_info())
    (link,) = read["exception"]
    assert link["class"] == "json.decoder.JSONDecodeError"
    assert [frame.rpartition(" ")[2] for frame in link["frames"]] == ["test_only_our_own_frames_are_shown"]


def test_our_own_errors_keep_their_text() -> None:
    read = line("failed", exc_info=caught(Defect("the outbox row has no type")))
    assert read["exception"][0]["class"] == "contracts.errors.Defect: the outbox row has no type"


@pytest.mark.parametrize(
    ("message", "args"),
    [("killing %s due to %s", ("x", ValueError(PERSON))), (ValueError(PERSON), ())],
)
def test_an_exception_among_the_arguments_is_only_named(message: object, args: tuple[object, ...]) -> None:
    read = line(message, *args)
    assert "ValueError" in read["message"]
    assert PERSON not in json.dumps(read)


def test_no_field_of_a_log_record_is_overwritten() -> None:
    assert not FIELDS & set(logging.makeLogRecord({}).__dict__)
