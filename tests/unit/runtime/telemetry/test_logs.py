from __future__ import annotations

import ast
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import Defect
from runtime.telemetry import trace
from runtime.telemetry.logs import FIELDS, JsonFormatter

PERSON = "Aigerim Toktogulova"
ROOT = Path(__file__).parents[4]


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


def test_log_line_has_time_service_and_message() -> None:
    read = line("published %d", 3)
    assert read["message"] == "published 3"
    assert (read["service"], read["level"], read["logger"]) == ("intake", "error", "test")
    assert read["time"].endswith("+00:00")


def test_log_line_has_the_current_trace() -> None:
    at = trace.continued(None)
    with trace.attached(at, correlation="018f"):
        read = line("x")
    assert (read["trace_id"], read["correlation_id"]) == (at.trace_id, "018f")
    assert "trace_id" not in line("x")


def test_log_line_omits_unknown_fields() -> None:
    read = line("x", extra={"queue": "routing.0", "narrative": PERSON, "count": 2})
    assert (read["queue"], read["count"]) == ("routing.0", 2)
    assert PERSON not in json.dumps(read)


def _given_fields() -> Iterator[tuple[str, str]]:
    """Yield each name that the processes' code gives to a log line, with its place."""
    for package in ("contracts", "runtime", "services"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.keyword) and node.arg == "extra":
                    assert isinstance(node.value, ast.Dict), f"{file}:{node.value.lineno}"
                    for key in node.value.keys:
                        assert isinstance(key, ast.Constant), f"{file}:{node.value.lineno}"
                        yield str(key.value), f"{file.relative_to(ROOT)}:{node.value.lineno}"


def test_every_field_that_a_line_is_given_is_in_it() -> None:
    given = list(_given_fields())
    assert len(given) > 50
    assert [(name, place) for name, place in given if name not in FIELDS] == []


def test_log_field_with_object_is_replaced_by_its_class() -> None:
    assert line("x", extra={"reason": {"name": PERSON}})["reason"] == "dict"


def test_log_line_omits_texts_of_exception_and_causes() -> None:
    fault = ValueError(PERSON)
    fault.__cause__ = KeyError(PERSON)
    read = line("failed", exc_info=caught(fault))
    assert [link["class"] for link in read["exception"]] == ["ValueError", "KeyError"]
    assert PERSON not in json.dumps(read)


def test_log_line_has_only_our_own_frames() -> None:
    try:
        json.loads("{")
    except ValueError:
        read = line("failed", exc_info=sys.exc_info())
    (link,) = read["exception"]
    assert link["class"] == "json.decoder.JSONDecodeError"
    assert [frame.rpartition(" ")[2] for frame in link["frames"]] == ["test_log_line_has_only_our_own_frames"]


def test_log_line_keeps_texts_of_our_own_errors() -> None:
    read = line("failed", exc_info=caught(Defect("the outbox row has no type")))
    assert read["exception"][0]["class"] == "contracts.errors.Defect: the outbox row has no type"


@pytest.mark.parametrize(
    ("message", "args"),
    [("killing %s due to %s", ("x", ValueError(PERSON))), (ValueError(PERSON), ())],
)
def test_exception_among_log_arguments_is_only_named(message: object, args: tuple[object, ...]) -> None:
    read = line(message, *args)
    assert "ValueError" in read["message"]
    assert PERSON not in json.dumps(read)


def test_log_fields_do_not_clash_with_log_records() -> None:
    assert not FIELDS & set(logging.makeLogRecord({}).__dict__)


@pytest.mark.parametrize(
    ("message", "args"),
    [
        ("invalid request %r from %s", (f"GET /{PERSON}".encode(), PERSON)),
        ("code %d of %s", (PERSON, PERSON)),
        ("%(person)s has code %(code)d", ({"person": PERSON, "code": 3},)),
    ],
)
def test_message_of_library_omits_its_arguments(message: str, args: tuple[object, ...]) -> None:
    assert PERSON not in json.dumps(line(message, *args))


def test_message_of_library_keeps_its_numbers() -> None:
    assert line("%s: closed after %d s", PERSON, 3)["message"] == "str: closed after 3 s"
