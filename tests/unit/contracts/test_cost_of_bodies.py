"""No body takes 50 ms of processor time to be refused: the process serves nobody else meanwhile."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Final, cast

import orjson
import pytest
from marshmallow import Schema, fields
from marshmallow.validate import Length

from contracts.errors import Refused
from contracts.json_limits import MOST_VALUES
from contracts.record_schema import schema_of
from contracts.records import load
from runtime.web.body import DEFAULT_LIMIT
from tests.unit.contracts.test_bounds import ADMITTED

AIM: Final = 0.05  # seconds of processor time
# The sandbox has it for itself; the gateway writes the other one.
_NOT_OF_PARTNERS: Final = {"TriggeredMessage.data", "SubmissionAnswerList.answers[].problem"}
# A document of as many values as a body may have.
_VALUES: Final = MOST_VALUES - 100
_LONG: Final = DEFAULT_LIMIT - 1000
_UNKNOWN: Final = {f"a{number:x}": 0 for number in range(_VALUES)}
Wrap = Callable[[Any], Any]


def _unknown(count: int) -> dict[str, int]:
    return {f"a{number:x}": 0 for number in range(count)}


def _bodies(schema: Schema, wrap: Wrap, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the place of each costly value in a document of the schema, and the document."""
    yield f"{path}.*", wrap(_UNKNOWN)
    for name, field in schema.load_fields.items():

        def within(value: Any, name: str = field.data_key or name) -> Any:
            return wrap({name: value})

        yield from _values(field, within, f"{path}.{name}")


def _values(field: fields.Field[Any], wrap: Wrap, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(field, fields.Nested):
        yield from _bodies(field.schema, wrap, path)
    elif isinstance(field, fields.List):
        yield f"{path}[numbers]", wrap([0] * _VALUES)
        yield f"{path}[objects]", wrap([{} for _ in range(_VALUES)])
        yield f"{path}[texts]", wrap(["x" * (_LONG // _VALUES - 3)] * _VALUES)
        for length in _lengths(field):
            yield f"{path}[{length} objects]", wrap([_unknown(_VALUES // length)] * length)
            yield f"{path}[{length} texts]", wrap(["x" * (_LONG // length - 3)] * length)
    elif isinstance(field, fields.Mapping):
        yield f"{path}{{}}", wrap(_UNKNOWN)
    else:
        for kind, piece in (("letters", "x"), ("digits", "9"), ("words", "a b"), ("Cyrillic", "ж ")):
            yield f"{path} {kind}", wrap(piece * (_LONG // len(piece.encode())))


def _lengths(field: fields.List[Any]) -> set[int]:
    found = {rule.max for rule in field.validators if isinstance(rule, Length) and rule.max}
    return {length for length in found if length <= _VALUES}


def _most(field: fields.List[Any]) -> int:
    return min((rule.max for rule in field.validators if isinstance(rule, Length) and rule.max), default=1000)


def _full(schema: Schema, item: Any, length: int, unknown: int) -> dict[str, Any]:
    """Return an object of every member: invalid values, and lists as long as they may be, up to a length."""

    def value(field: fields.Field[Any]) -> Any:
        if isinstance(field, fields.Nested):
            return _full(field.schema, item, length, unknown) | _unknown(unknown)
        if isinstance(field, fields.List):
            return [value(field.inner) for _ in range(min(_most(field), length))]
        return item

    return {field.data_key or name: value(field) for name, field in schema.load_fields.items()}


def _values_of(document: Any) -> int:
    if isinstance(document, dict):
        return 1 + sum(map(_values_of, document.values()))
    if isinstance(document, list):
        return 1 + sum(map(_values_of, document))
    return 1


def _full_documents(schema: Schema) -> Iterator[tuple[str, Any]]:
    """Yield the largest admitted documents of which every value is invalid."""
    for name, item, unknown in (("numbers", 7, 0), ("texts", "9 " * 40, 0), ("objects", {}, 49)):
        largest = None
        for length in (1, 5, 10, 20, 28, 50, 200, 1000):
            document = _full(schema, item, length, unknown)
            if _values_of(document) > MOST_VALUES or len(orjson.dumps(document)) > DEFAULT_LIMIT:
                break
            largest = document
        if largest is not None:
            yield name, largest


def _seconds(kind: type[Any], body: Any) -> float:
    """Return the processor time of loading the body, the least of three if the first is long."""
    least = float("inf")
    for _ in range(3):
        started = time.thread_time()
        with contextlib.suppress(Refused):
            load(kind, body)
        least = min(least, time.thread_time() - started)
        if least < AIM:
            break
    return least


@pytest.mark.parametrize("kind", ADMITTED, ids=lambda kind: kind.__name__)
def test_no_body_takes_50_ms_of_processor_time_to_be_refused(kind: type[Any]) -> None:
    schema = schema_of(cast("Hashable", kind))()
    found = {
        place: seconds
        for place, body in _bodies(schema, lambda value: value, kind.__name__)
        if place.removesuffix("{}") not in _NOT_OF_PARTNERS and (seconds := _seconds(kind, body)) >= AIM
    }
    assert found == {}


@pytest.mark.parametrize("kind", ADMITTED, ids=lambda kind: kind.__name__)
def test_no_document_full_of_faults_takes_50_ms_of_processor_time_to_be_refused(kind: type[Any]) -> None:
    schema = schema_of(cast("Hashable", kind))()
    found = {
        place: seconds for place, body in _full_documents(schema) if (seconds := _seconds(kind, body)) >= AIM
    }
    assert found == {}
