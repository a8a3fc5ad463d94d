"""Each invalid value gets one sentence, which states the rule."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import orjson
import pytest
from marshmallow import fields
from marshmallow.validate import Length, Range

from contracts.canonical import Count
from contracts.errors import PointerError, Refused
from contracts.field_errors import field_messages
from contracts.moments import AnyDate, PastDate, PastMoment, PastYear
from contracts.records import load

NOW = dt.datetime(2026, 5, 1, 8, 30, tzinfo=dt.UTC)


class Colour(StrEnum):
    red = "red"
    green = "green"


@dataclass(frozen=True, kw_only=True)
class Inner:
    name: str


@dataclass(frozen=True, kw_only=True)
class Probe:
    inner: Inner | None = None
    text: Annotated[str, Length(max=3)] = ""
    bounded: Annotated[str, Length(min=2, max=3)] = "ab"
    flag: bool = False
    whole: int = 0
    count: Count = 0
    share: Annotated[float, Range(min=0.0, max=1.0)] = 0.0
    least: Annotated[float, Range(min=1.0)] = 1.0
    colour: Colour = Colour.red
    many: Annotated[tuple[str, ...], Length(min=1)] = ("a",)
    free: Mapping[str, Any] | None = None
    moment: dt.datetime | None = None
    past: PastMoment | None = None
    day: PastDate | None = None
    planned: AnyDate | None = None
    year: PastYear | None = None


TIME = "Must be an RFC 3339 time with an offset, such as 2026-05-01T08:30:00Z."


def errors(document: object, now: dt.datetime | None = NOW) -> tuple[PointerError, ...]:
    with pytest.raises(Refused) as caught:
        load(Probe, document, now=now)
    return caught.value.errors


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("inner", 1, "Must be an object."),
        ("text", 1, "Must be a string."),
        ("text", "long", "Must have at most 3 characters."),
        ("bounded", "a", "Must have from 2 to 3 characters."),
        ("flag", 1, "Must be `true` or `false`."),
        ("flag", None, "Must not be null."),
        ("whole", "x", "Must be an integer."),
        ("whole", 2**53, "Must be from -9007199254740991 to 9007199254740991."),
        ("whole", 1.5, "Must be an integer."),
        ("whole", orjson.loads(b"1" + b"0" * 20), "Must be an integer of fewer digits."),
        ("whole", orjson.loads(b"-1" + b"0" * 40), "Must be an integer of fewer digits."),
        ("count", orjson.loads(b"18446744073709551616"), "Must be an integer of fewer digits."),
        ("count", -1, "Must be from 0 to 9007199254740991."),
        ("share", "x", "Must be a number."),
        ("share", "nan", "Must be a finite number."),
        ("share", 2, "Must be from 0.0 to 1.0."),
        ("least", 0, "Must be at least 1.0."),
        ("colour", "blue", "Must be one of: red, green."),
        ("many", "x", "Must be a list."),
        ("many", [], "Must have at least 1 item."),
        ("free", [], "Must be an object."),
        ("moment", "soon", TIME),
        ("moment", "2026-05-01T08:30:00", TIME),
        ("past", "1999-01-01T00:00:00Z", "Must not be before 2000-01-01."),
        ("past", "2026-06-01T00:00:00Z", "Must not be in the future."),
        ("past", "2300-01-01T00:00:00Z", "Must not be in the future."),
        ("day", "soon", "Must be a date such as 2026-05-01."),
        ("day", "1999-12-31", "Must not be before 2000-01-01."),
        ("planned", "2300-01-01", "Must be from 1900-01-01 to 2200-12-31."),
        ("year", 1, "Must not be before 1800."),
        ("year", 2027, "Must not be in the future."),
        ("year", 2201, "Must not be in the future."),
        ("year", 2**60, "Must not be in the future."),
        ("extra", 1, "This field is not in the contract."),
    ],
)
def test_invalid_value_gets_one_sentence_that_states_the_rule(
    name: str, value: object, sentence: str
) -> None:
    assert errors({name: value}) == (PointerError(pointer=f"/{name}", detail=sentence),)


def test_missing_member_and_body_of_another_type_get_the_rule() -> None:
    assert errors({"inner": {}}) == (PointerError(pointer="/inner/name", detail="This field is required."),)
    assert errors([]) == (PointerError(pointer="", detail="Must be an object."),)


@pytest.mark.parametrize("year", [1799, 2201])
def test_year_is_bounded_without_a_clock(year: int) -> None:
    assert [error.pointer for error in errors({"year": year}, now=None)] == ["/year"]


@pytest.mark.parametrize(
    "kind",
    [
        fields.String,
        fields.Boolean,
        fields.Integer,
        fields.Float,
        fields.AwareDateTime,
        fields.Date,
        fields.Nested,
        fields.List,
        fields.Dict,
    ],
)
def test_every_sentence_of_marshmallow_for_input_is_replaced(kind: type[fields.Field[Any]]) -> None:
    own = field_messages(kind)
    stated = {key for base in kind.__mro__ for key in getattr(base, "default_error_messages", {})}
    assert stated - own.keys() <= {"format"}  # `format` concerns output
