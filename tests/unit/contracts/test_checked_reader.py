"""The fast path of `load` agrees with the marshmallow schema; test_loggable.py shows it for every record."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
from marshmallow import ValidationError
from marshmallow.validate import Length, Range

from contracts.checked_reader import Undecided
from contracts.codes import Urgency
from contracts.errors import Refused
from contracts.identifiers import Country
from contracts.records import load
from tests.unit.contracts.both_readers import by_reader, by_schema, reader_for


@dataclass(frozen=True, kw_only=True, slots=True)
class Inner:
    """A nested record."""

    count: Annotated[int, Range(min=0, max=9)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outer:
    """One member of each kind that a reader treats in its own way."""

    text: Annotated[str, Length(max=3)]
    flag: bool
    urgency: Urgency
    inner: Inner
    many: Annotated[tuple[Inner, ...], Length(max=2)]
    countries: tuple[Country, ...] = ()
    at: dt.datetime | None = None
    free: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def rules(data: Any) -> None:
        """Refuse one combination."""
        if data["flag"] and data["text"] == "no":
            raise ValidationError({"text": ["Not with a flag."]})


VALID: dict[str, Any] = {
    "text": "a",
    "flag": True,
    "urgency": next(iter(Urgency)).value,
    "inner": {"count": 1},
    "many": [{"count": 2}],
    "countries": ["KG"],
    "at": "2026-01-01T00:00:00Z",
    "free": {"x": [1]},
}


def test_valid_document_needs_no_schema() -> None:
    minimal = {name: VALID[name] for name in ("text", "flag", "urgency", "inner", "many")}
    for document in (VALID, minimal):
        record = by_reader(Outer, document)
        assert isinstance(record, Outer)
        assert record == by_schema(Outer, document)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"text": "long"}, "/text"),
        ({"text": "\ud800"}, "/text"),
        ({"text": b"a"}, ""),
        ({"text": None}, "/text"),
        ({"text": "no"}, "/text"),
        ({"flag": 1}, "/flag"),
        ({"urgency": "tomorrow"}, "/urgency"),
        ({"urgency": []}, "/urgency"),
        ({"inner": {"count": 10}}, "/inner/count"),
        ({"inner": {"count": True}}, "/inner/count"),
        ({"inner": {"count": 1.0}}, "/inner/count"),
        ({"inner": {"count": 1, "x": 1}}, "/inner/x"),
        ({"inner": {}}, "/inner/count"),
        ({"inner": []}, "/inner"),
        ({"many": [{"count": 1}] * 3}, "/many"),
        ({"many": [{"count": 1}, {"count": -1}]}, "/many/1/count"),
        ({"many": {"count": 1}}, "/many"),
        ({"countries": ["KG", "kg"]}, "/countries/1"),
        ({"countries": [None]}, "/countries/0"),
        ({"at": "2026-01-01T00:00:00"}, "/at"),
        ({"free": {"x": 2**53}}, "/free"),
        ({"other": 1}, "/other"),
    ],
)
def test_reader_is_undecided_about_an_invalid_document_and_load_points_at_the_error(
    change: dict[str, Any], pointer: str
) -> None:
    document = {**VALID, **change}
    with pytest.raises(Undecided):
        reader_for(Outer)(document)
    if pointer:
        with pytest.raises(Refused) as caught:
            load(Outer, document)
        assert [error.pointer for error in caught.value.errors] == [pointer]


@pytest.mark.parametrize("document", [None, [], "x", 1, [VALID]])
def test_reader_is_undecided_about_a_document_that_is_not_an_object(document: Any) -> None:
    with pytest.raises(Undecided):
        reader_for(Outer)(document)
