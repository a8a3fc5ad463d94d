from __future__ import annotations

import dataclasses
import datetime as dt
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any

import orjson
import pytest
from hypothesis import given
from marshmallow import ValidationError
from marshmallow.validate import Length, Range, Validator

from contracts.errors import PointerError, Refused
from contracts.organization import Organization
from contracts.records import Malformed, canonical, dump, load, plain, pointer_errors, read
from contracts.referral import Consent, ReferralFacts
from tests.golden_messages.examples import FACTS, ORGANIZATION
from tests.unit.contracts.drawn_records import records_of


class Colour(StrEnum):
    red = "red"
    green = "green"


@dataclass(frozen=True, kw_only=True, slots=True)
class Inner:
    name: Annotated[str, Length(min=1, max=5)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """Every kind of field, required and with every kind of default."""

    text: Annotated[str, Length(max=5)]
    number: Annotated[int, Range(min=0, max=9)]
    flag: bool
    moment: dt.datetime
    day: dt.date
    colour: Colour
    inner: Inner
    inners: Annotated[tuple[Inner, ...], Length(min=1)]
    free: Mapping[str, Any]
    maybe: str | None
    maybe_too: str | None = None
    colours: tuple[Colour, ...] = (Colour.red,)
    made: Inner = field(default_factory=lambda: Inner(name="made"))


GOOD: dict[str, Any] = {
    "text": "abc",
    "number": 3,
    "flag": True,
    "moment": "2026-03-01T12:00:00Z",
    "day": "2026-03-01",
    "colour": "red",
    "inner": {"name": "x"},
    "inners": [{"name": "y"}, {"name": "z"}],
    "free": {"a": [1, None]},
    "maybe": None,
}
SAMPLE = Sample(
    text="abc",
    number=3,
    flag=True,
    moment=dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC),
    day=dt.date(2026, 3, 1),
    colour=Colour.red,
    inner=Inner(name="x"),
    inners=(Inner(name="y"), Inner(name="z")),
    free={"a": [1, None]},
    maybe=None,
)
REQUIRED = sorted(GOOD)


def refusal(data: object, cls: type = Sample) -> Refused:
    with pytest.raises(Refused) as caught:
        load(cls, data)
    return caught.value


def malformed(data: object, cls: type = Sample) -> str:
    with pytest.raises(Malformed) as caught:
        read(cls, data)
    return str(caught.value)


# --- load: partner input -----------------------------------------------------------------------------


def test_load_returns_the_record_with_defaults() -> None:
    assert load(Sample, GOOD) == SAMPLE
    assert SAMPLE.maybe_too is None
    assert SAMPLE.colours == (Colour.red,)
    assert SAMPLE.made == Inner(name="made")


def test_lists_load_as_tuples() -> None:
    record = load(Sample, {**GOOD, "colours": ["green", "red"]})
    assert record.colours == (Colour.green, Colour.red)
    assert isinstance(record.inners, tuple)
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.number = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"text": 1}, "/text"),
        ({"text": None}, "/text"),
        ({"text": "longer than five"}, "/text"),
        ({"number": "3"}, "/number"),
        ({"number": True}, "/number"),
        ({"number": 3.0}, "/number"),
        ({"number": 10}, "/number"),
        ({"number": -1}, "/number"),
        ({"flag": 1}, "/flag"),
        ({"flag": 0}, "/flag"),
        ({"flag": "true"}, "/flag"),
        ({"flag": None}, "/flag"),
        ({"moment": "2026-03-01T12:00:00"}, "/moment"),
        ({"moment": "2026-03-01"}, "/moment"),
        ({"moment": 1772366400}, "/moment"),
        ({"moment": "0001-01-01T00:00:00+14:00"}, "/moment"),
        ({"day": "2026-02-30"}, "/day"),
        ({"day": "2026-03-01T12:00:00Z"}, "/day"),
        ({"colour": "blue"}, "/colour"),
        ({"colour": "Red"}, "/colour"),
        ({"colour": ["red"]}, "/colour"),
        ({"colours": "red"}, "/colours"),
        ({"colours": {"0": "red"}}, "/colours"),
        ({"colours": None}, "/colours"),
        ({"colours": ["red", "blue"]}, "/colours/1"),
        ({"colours": ["red", None]}, "/colours/1"),
        ({"inner": "x"}, "/inner"),
        ({"inner": {}}, "/inner/name"),
        ({"inner": {"name": "x", "extra": 1}}, "/inner/extra"),
        ({"inners": []}, "/inners"),
        ({"inners": [{"name": "y"}, {"name": ""}]}, "/inners/1/name"),
        ({"free": []}, "/free"),
        ({"maybe": 1}, "/maybe"),
        ({"made": None}, "/made"),
        ({"extra": 1}, "/extra"),
    ],
)
def test_load_error_has_pointer_and_sentence(change: dict[str, Any], pointer: str) -> None:
    refused = refusal({**GOOD, **change})
    assert [e.pointer for e in refused.errors] == [pointer]
    assert all(e.detail for e in refused.errors)
    assert refused.slug == "invalid-submission"
    assert refused.status == 422
    assert pointer in refused.detail


@pytest.mark.parametrize("name", ["Aigul Isakova +996555123456", "a/b~c", "айгуль", "a" * 41])
def test_name_of_unknown_member_that_no_contract_has_is_not_repeated(name: str) -> None:
    refused = refusal({**GOOD, "inner": {"name": "x", name: 1}})
    assert [e.pointer for e in refused.errors] == ["/inner"]
    assert name not in refused.detail


@pytest.mark.parametrize("name", REQUIRED)
def test_missing_required_field_is_refused(name: str) -> None:
    data = {key: value for key, value in GOOD.items() if key != name}
    assert refusal(data).errors == (PointerError(pointer=f"/{name}", detail="This field is required."),)
    assert malformed(data) == f"/{name}: missing"


@pytest.mark.parametrize("body", [None, [], "text", 1, [GOOD]])
def test_body_that_is_not_an_object_is_refused(body: object) -> None:
    refused = refusal(body)
    assert [e.pointer for e in refused.errors] == [""]
    assert refused.detail == "Correct the body."


def test_load_reports_all_errors_in_stable_order() -> None:
    refused = refusal({**GOOD, "text": 1, "number": "x", "flag": 1, "colour": 2, "inner": {}})
    pointers = [e.pointer for e in refused.errors]
    assert pointers == ["/colour", "/flag", "/inner/name", "/number", "/text"]
    assert refused.detail == "Correct /colour, /flag, /inner/name and 2 more."


def test_load_refuses_with_the_given_slug() -> None:
    with pytest.raises(Refused) as caught:
        load(Sample, {}, slug="case-unreadable")
    assert caught.value.problem()["type"] == "urn:kopuro:problem:case-unreadable"


def test_loaded_time_is_in_utc() -> None:
    record = load(Sample, {**GOOD, "moment": "2026-03-01T18:00:00+06:00"})
    assert record == SAMPLE
    assert plain(record)["moment"] == "2026-03-01T12:00:00Z"


def failures(cls: type, data: object) -> list[Exception]:
    """Return what `load` and `read` raise for the data."""
    found: list[Exception] = []
    for way in (load, read):
        try:
            way(cls, data)
        except (Refused, Malformed) as error:
            found.append(error)
    return found


SECRET = "Айгуль Асанова +996555123456"


@pytest.mark.parametrize("cls", [ReferralFacts, Organization, Sample])
def test_error_messages_never_repeat_the_input(cls: type) -> None:
    good: dict[str, Any] = {
        ReferralFacts: plain(FACTS),
        Organization: plain(ORGANIZATION),
        Sample: GOOD,
    }[cls]
    refused = 0
    for wrong in (SECRET, [SECRET], {"name": SECRET}, [{"name": [SECRET]}]):
        for name in good:
            for error in failures(cls, {**good, name: wrong}):
                refused += 1
                said = json.dumps(error.problem(), ensure_ascii=False) if isinstance(error, Refused) else ""
                assert SECRET not in said + str(error)
                # nor may a logged traceback
                assert error.__suppress_context__ or error.__context__ is None
    assert refused > len(good)


@pytest.mark.parametrize("tail", ["\n", "\r", "\x00", " "])
def test_identifier_with_trailing_text_is_refused(tail: str) -> None:
    consent = plain(FACTS.consent)
    errors = refusal({**consent, "excluded_organizations": [f"kg.osh{tail}"]}, Consent).errors
    assert [e.pointer for e in errors] == ["/excluded_organizations/0"]
    errors = refusal({**consent, "storage_countries": [f"KG{tail}"]}, Consent).errors
    assert [e.pointer for e in errors] == ["/storage_countries/0"]


def test_nested_messages_become_pointers() -> None:
    messages = {"b": {1: {"~x/": ["One.", "Two."]}}, "_schema": ["Whole."], "a": {"_schema": ["Part."]}}
    assert pointer_errors(messages) == [
        PointerError(pointer="", detail="Whole."),
        PointerError(pointer="/a", detail="Part."),
        PointerError(pointer="/b/1/~0x~1", detail="One."),
        PointerError(pointer="/b/1/~0x~1", detail="Two."),
    ]


# --- read: what our own services wrote ------------------------------------------------------------


def test_read_and_load_return_equal_records() -> None:
    assert read(Sample, GOOD) == SAMPLE
    assert read(Sample, orjson.loads(dump(SAMPLE))) == SAMPLE


def test_read_ignores_fields_of_later_writers() -> None:
    later = {**GOOD, "new": 1, "inner": {"name": "x", "new": 2}}
    assert read(Sample, later) == SAMPLE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": 1}, "/text: wrong type"),
        ({"text": None}, "/text: wrong type"),
        ({"number": True}, "/number: wrong type"),
        ({"number": "3"}, "/number: wrong type"),
        ({"number": 3.0}, "/number: wrong type"),
        ({"flag": 1}, "/flag: wrong type"),
        ({"moment": "2026-03-01T12:00:00"}, "/moment: not a datetime"),
        ({"moment": 1}, "/moment: not a datetime"),
        ({"day": "yesterday"}, "/day: not a date"),
        ({"colour": "blue"}, "/colour: not a Colour"),
        ({"colours": "red"}, "/colours: not a list"),
        ({"colours": ["red", 1]}, "/colours/1: not a Colour"),
        ({"inner": None}, "/inner: not an object"),
        ({"inners": [{"name": "y"}, {}]}, "/inners/1/name: missing"),
        ({"free": []}, "/free: wrong type"),
        ({"maybe": 1}, "/maybe: wrong type"),
    ],
)
def test_read_of_wrong_shape_raises_malformed_with_pointer(change: dict[str, Any], message: str) -> None:
    assert malformed({**GOOD, **change}) == message


@pytest.mark.parametrize("body", [None, [], "text"])
def test_read_of_non_object_raises_malformed(body: object) -> None:
    assert malformed(body) == "/: not an object"


def test_read_ignores_vocabularies_and_lengths() -> None:
    data = {**plain(FACTS), "needs": ["legal.added_next_year"], "region": "XX"}
    assert read(ReferralFacts, data).needs == ("legal.added_next_year",)
    assert {e.pointer for e in refusal(data, ReferralFacts).errors} == {"/needs/0", "/region"}


# --- the round trip of any valid record ----------------------------------------------


@given(records_of(ReferralFacts))
def test_facts_round_trip_through_load_and_read(record: ReferralFacts) -> None:
    assert load(ReferralFacts, plain(record)) == record
    assert read(ReferralFacts, orjson.loads(dump(record))) == record


@given(records_of(Organization))
def test_organization_round_trips_through_load_and_read(record: Organization) -> None:
    assert load(Organization, plain(record)) == record
    assert read(Organization, orjson.loads(dump(record))) == record


# --- the canonical form ---------------------------------------------------------------------------


def test_canonical_form_is_sorted_without_defaults() -> None:
    assert canonical(SAMPLE) == (
        b'{"colour":"red","day":"2026-03-01","flag":true,"free":{"a":[1,null]},"inner":{"name":"x"},'
        b'"inners":[{"name":"y"},{"name":"z"}],"maybe":null,"moment":"2026-03-01T12:00:00Z","number":3,'
        b'"text":"abc"}'
    )
    assert canonical(dataclasses.replace(SAMPLE, made=Inner(name="own"))).count(b'"made":{"name":"own"}') == 1


@given(records_of(ReferralFacts))
def test_canonical_form_loads_as_the_same_record_and_ignores_member_order(record: ReferralFacts) -> None:
    assert load(ReferralFacts, orjson.loads(canonical(record))) == record
    reordered = dict(reversed(plain(record).items()))
    assert canonical(load(ReferralFacts, reordered)) == canonical(record)


class Refusing(Validator):
    """Refuses every value and counts them."""

    seen = 0

    def __call__(self, value: Any) -> Any:
        Refusing.seen += 1
        raise ValidationError("Is refused.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shelf:
    marks: Annotated[tuple[Annotated[str, Refusing()], ...], Length(max=40)]
    label: Annotated[str, Refusing()]


@dataclass(frozen=True, kw_only=True, slots=True)
class Store:
    shelves: Annotated[tuple[Shelf, ...], Length(max=40)]


def test_no_item_is_read_after_the_fiftieth_error_of_a_document() -> None:
    shelf = {"marks": ["x"] * 20, "label": "x"}
    for _ in range(2):  # each document has its own fifty
        Refusing.seen = 0
        with pytest.raises(Refused) as caught:
            load(Store, {"shelves": [shelf] * 40})
        # In the order of the document: two shelves of 21, the rest of the third.
        assert sorted(error.pointer for error in caught.value.errors) == sorted(
            [f"/shelves/{place}/label" for place in (0, 1)]
            + [f"/shelves/{place}/marks/{mark}" for place in (0, 1) for mark in range(20)]
            + [f"/shelves/2/marks/{mark}" for mark in range(8)]
        )
        # The fast reader gives up at the first mark of the document and of each of three shelves, and sees
        # each of the 48 marks before marshmallow does; then the labels.
        assert Refusing.seen == 1 + 3 + 2 * 48 + 3


def test_object_of_mostly_unknown_members_is_refused_without_an_error_for_each() -> None:
    body = {f"member{number}": 1 for number in range(5_000)}
    load(ReferralFacts, plain(FACTS))  # its schema is made once
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    with pytest.raises(Refused) as caught:
        sys.setprofile(count)
        try:
            load(ReferralFacts, {**plain(FACTS), **body})
        finally:
            sys.setprofile(None)
    assert len(caught.value.errors) == 50
    assert {error.detail for error in caught.value.errors} == {"This field is not in the contract."}
    assert calls < 2_000
