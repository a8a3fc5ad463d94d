"""Records: frozen dataclasses from which a marshmallow schema and a fast reader are derived.

A field's Python type selects the marshmallow field; marshmallow validators in `Annotated` narrow it:

    Needs = Annotated[tuple[NeedCode, ...], Length(min=1, max=10)]

Decoding and encoding:

* `load(cls, data)` reads partners' input: it checks every rule, refuses unknown fields and reports each error
  with its pointer. Its records have canonical JSON (RFC 8785) and can be logged: integers stay below 2^53.
  Valid input takes a fast path through the same fields and validators (`contracts/checked_reader.py`).
* `read(cls, data)` reads what our own services wrote: it checks types, not vocabularies, and drops unknown
  fields (a newer writer may send more). An order of magnitude faster.
* `dump(record)` returns JSON bytes: RFC 3339 times in UTC with `Z`, enumerations by value.
* `canonical(record)` returns bytes for comparison: equal for all bodies that `load` reads as equal records.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
import types
import typing
from collections.abc import Callable, Hashable, Mapping
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

import orjson
from marshmallow import RAISE, Schema, ValidationError, fields, post_load, validates_schema
from marshmallow.validate import Length, OneOf, Range, Validator

from contracts import moments
from contracts.canonical import EXACT_INTEGER, JsonObject, Text
from contracts.checked_reader import Undecided, checked_reader
from contracts.errors import PointerError, Refused, drop_frames, pointer
from contracts.field_errors import RECORD, UNKNOWN_FIELD, field_messages, with_sentences
from contracts.rfc3339 import in_utc, parse_date, parse_time

R = TypeVar("R")

# A body of one megabyte can contain hundreds of thousands of errors, but a caller fixes a few at a time and
# the response must not be larger than the request.
MOST_ERRORS = 50


class Malformed(ValueError):
    """The data does not have the record's shape. The message names the place, never the value."""


class StrictBoolean(fields.Boolean):
    """`true` or `false`; not 1, not "yes"."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if value is True or value is False:
            return value
        raise self.make_error("invalid", input=value)


class UtcDateTime(fields.AwareDateTime):
    """An RFC 3339 time with an offset, converted to UTC on input, so that equal times have equal text."""

    DESERIALIZATION_FUNCS: dict[str, Callable[[str], dt.datetime]] = {"iso": parse_time}  # noqa: RUF012


class CalendarDate(fields.Date):
    """An RFC 3339 date."""

    DESERIALIZATION_FUNCS: dict[str, Callable[[str], dt.date]] = {"iso": parse_date}  # noqa: RUF012


def load(
    cls: type[R], data: object, *, slug: str = "invalid-submission", now: dt.datetime | None = None
) -> R:
    """Return a record from a partner's JSON. Raises Refused(slug) with an RFC 6901 pointer for each error.

    now: the latest value of fields that must be in the past (`contracts/moments.py`); None: not checked.
    """
    try:
        with moments.at(now):
            try:
                record: R = _checked_reader(typing.cast(Hashable, cls))(data)
            except Undecided:
                record = _schema(typing.cast(Hashable, cls)).load(data)  # type: ignore[arg-type]
    except ValidationError as error:
        errors = pointer_errors(error.normalized_messages())  # type: ignore[no-untyped-call]
        drop_frames(error)  # marshmallow's frame has the error in a variable
        places = ", ".join(e.pointer or "the body" for e in errors[:3])
        more = f" and {len(errors) - 3} more" if len(errors) > 3 else ""
        raise Refused(slug, f"Correct {places}{more}.", errors=errors) from None
    return record


def read(cls: type[R], data: Any) -> R:
    """Return a record from JSON that one of our own services wrote. Raises Malformed."""
    try:
        record: R = _reader(typing.cast(Hashable, cls))(data)
    except _Wrong as wrong:
        raise Malformed(f"{wrong.pointer or '/'}: {wrong.what}") from None
    return record


def dump(record: Any) -> bytes:
    """Return the record as JSON. Datetimes must be aware; records refuse naive ones."""
    return orjson.dumps(record, default=_encoded, option=orjson.OPT_UTC_Z)


# A part of a record whose JSON is kept.
Encoded = orjson.Fragment


def _encoded(value: object) -> Encoded:
    """Encode a part of a record that makes its own JSON with a method `encoded`, faster than `dump` would."""
    encode: Callable[[], bytes] | None = getattr(value, "encoded", None)
    if encode is None:
        raise TypeError
    return Encoded(encode())


def plain(record: Any) -> Any:
    """Return the record as plain JSON values, equal to the output of `dump`."""
    return orjson.loads(dump(record))


def canonical(record: Any) -> bytes:
    """Return the record as JSON with members sorted by name and defaults omitted.

    Key order, white space, the format of a time and an explicit default make no difference. A new optional
    member does not change the bytes of records that do not set it, so the bytes (or their digest) may be kept
    across versions. This is not RFC 8785: only our own code compares the result.
    """
    return orjson.dumps(_stated(record), option=orjson.OPT_UTC_Z | orjson.OPT_SORT_KEYS)


def pointer_errors(messages: Mapping[Any, Any]) -> list[PointerError]:
    """Return marshmallow's nested messages with RFC 6901 pointers, sorted; at most MOST_ERRORS."""
    found: list[PointerError] = []
    _collect(messages, (), found)
    return sorted(found, key=lambda e: e.pointer)


def _is_other_text(key: object, child: object) -> bool:
    """Return whether an unknown member's name has no form of the contract's: it may be a person's."""
    return child == [UNKNOWN_FIELD] and re.fullmatch(r"[a-z][a-z0-9_]{0,39}", str(key)) is None


def _collect(node: Any, path: tuple[str, ...], found: list[PointerError]) -> None:
    if len(found) == MOST_ERRORS:
        return
    if isinstance(node, Mapping):
        for key, child in node.items():
            # marshmallow's key for errors of the whole record is not a member of the partner's JSON
            hidden = key == "_schema" or _is_other_text(key, child)
            _collect(child, path if hidden else (*path, str(key)), found)
    elif isinstance(node, list):
        for sentence in node:
            _collect(sentence, path, found)
    else:
        found.append(PointerError(pointer=pointer(path)[:200], detail=str(node)))


_SIMPLE = frozenset({str, int, bool, float, type(None)})


def _stated(value: Any) -> Any:
    """Return the value with every record in it as a dict of its non-default members."""
    kind = value.__class__
    if kind is tuple:
        return [item if item.__class__ in _SIMPLE else _stated(item) for item in value]
    defaults = _defaults(kind)
    if defaults is None:
        return value
    members = {}
    for name, default in defaults:
        member = getattr(value, name)
        if member is not default and member != default:
            members[name] = member if member.__class__ in _SIMPLE else _stated(member)
    return members


@cache
def _defaults(cls: Any) -> tuple[tuple[str, Any], ...] | None:
    """Return each member of a record class with its default; None for any other class."""
    if not dataclasses.is_dataclass(cls):
        return None
    return tuple(
        (item.name, item.default if item.default_factory is dataclasses.MISSING else item.default_factory())
        for item in dataclasses.fields(cls)
    )


@cache
def _schema(cls: Hashable) -> Schema:
    # Creating a schema copies every field, so one instance serves every load.
    return schema_of(cls)()


@cache
def _checked_reader(cls: Hashable) -> Callable[[Any], Any]:
    return checked_reader(_schema(cls))


@cache
def schema_of(cls: Any) -> type[Schema]:
    """Return the marshmallow schema class of a record; its `load` returns the record itself."""
    hints = typing.get_type_hints(cls, include_extras=True)
    members: dict[str, Any] = {"record_class": cls, "error_messages": RECORD}
    for item in dataclasses.fields(cls):
        options: dict[str, Any] = {"required": True}
        if item.default is not dataclasses.MISSING:
            options = {"load_default": item.default}
        elif item.default_factory is not dataclasses.MISSING:
            options = {"load_default": item.default_factory}
        members[item.name] = _field(hints[item.name], options)

    def make(self: Schema, data: dict[str, Any], **kwargs: Any) -> Any:
        return cls(**data)

    members["make"] = post_load(make)
    # A record's own cross-field rules: `rules(data) -> None` raising ValidationError with field names.
    rules = getattr(cls, "rules", None)
    if rules is not None:
        members["rules"] = _schema_validator(rules)
    members["Meta"] = type("Meta", (Schema.Meta,), {"unknown": RAISE})
    return type(f"{cls.__name__}Schema", (Schema,), members)


def _schema_validator(rules: Callable[[Mapping[str, Any]], None]) -> Any:
    def check(self: Schema, data: Mapping[str, Any], **kwargs: Any) -> None:
        rules(data)

    return validates_schema(check, skip_on_field_errors=True)


def _field(hint: Any, options: dict[str, Any]) -> fields.Field[Any]:
    validators: list[Validator] = []
    hint, optional = _strip(hint, validators)
    if optional:
        options = {**options, "allow_none": True}
    origin = typing.get_origin(hint)
    validators = with_sentences(validators, "items" if origin is tuple else "characters")
    if validators:
        options = {**options, "validate": validators}

    def make(kind: type[fields.Field[Any]], *given: Any, **more: Any) -> fields.Field[Any]:
        return kind(*given, **options, **more, error_messages=field_messages(kind))

    if origin is tuple:
        return make(_TupleOf, _field(typing.get_args(hint)[0], {}))
    if origin in (dict, Mapping) or hint is Mapping:
        return make(JsonObject)
    if dataclasses.is_dataclass(hint):
        return make(fields.Nested, schema_of(typing.cast(Hashable, hint)))
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        made = make(fields.Enum, hint, by_value=True)
        for allowed in validators:
            if isinstance(allowed, OneOf):  # fewer codes than the enumeration has, for an unknown code too
                made.error_messages["unknown"] = allowed.error
        return made
    simple: dict[Any, type[fields.Field[Any]]] = {
        str: Text,
        bool: StrictBoolean,
        float: fields.Float,
        dt.datetime: UtcDateTime,
        dt.date: CalendarDate,
    }
    if hint is int:
        # Every integer is bounded, even when its field declares no bounds.
        ranges = [validator for validator in validators if isinstance(validator, Range)]
        if all(r.min is None for r in ranges) or all(r.max is None for r in ranges):
            options = {**options, "validate": with_sentences([EXACT_INTEGER, *validators], "")}
        return make(fields.Integer, strict=True)
    return make(simple[hint])


class _TupleOf(fields.List[Any]):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, list):
            # Check the length before the items: a list can be as long as the body allows.
            for validator in self.validators:
                if isinstance(validator, Length):
                    validator(value)
        return tuple(super()._deserialize(value, attr, data, **kwargs))


def _strip(hint: Any, validators: list[Validator]) -> tuple[Any, bool]:
    """Return the type without Annotated and `| None`, and whether None is allowed; collect its validators."""
    optional = False
    while True:
        origin = typing.get_origin(hint)
        if origin is typing.Annotated:
            hint, *metadata = typing.get_args(hint)
            validators[:0] = [m for m in metadata if isinstance(m, Validator)]
        elif origin in (typing.Union, types.UnionType):
            (hint,) = [a for a in typing.get_args(hint) if a is not type(None)]
            optional = True
        else:
            return hint, optional


_Reader = Callable[[Any], Any]


class _Wrong(Exception):
    """A value of the wrong shape. The pointer is built while the exception propagates: success is free."""

    def __init__(self, what: str, pointer: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.pointer = pointer

    def at(self, step: str | int) -> _Wrong:
        """Return the same error with its pointer extended by the parent's step."""
        return _Wrong(self.what, f"/{step}{self.pointer}")


@cache
def _reader(cls: Any) -> _Reader:
    hints = typing.get_type_hints(cls, include_extras=True)
    plan: list[tuple[str, _Reader, bool]] = []
    for item in dataclasses.fields(cls):
        required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        plan.append((item.name, _value_reader(hints[item.name]), required))

    def read_record(data: Any) -> Any:
        if not isinstance(data, dict):
            raise _Wrong("not an object")
        values = {}
        for name, convert, required in plan:
            if name in data:
                try:
                    values[name] = convert(data[name])
                except _Wrong as wrong:
                    raise wrong.at(name) from None
            elif required:
                raise _Wrong("missing", f"/{name}")
        return cls(**values)

    return read_record


def _value_reader(hint: Any) -> _Reader:
    bare, optional = _strip(hint, [])
    convert = _bare_reader(bare)
    if not optional:
        return convert
    return lambda value: None if value is None else convert(value)


def _bare_reader(hint: Any) -> _Reader:
    origin = typing.get_origin(hint)
    if origin is tuple:
        return _tuple_of(_value_reader(typing.get_args(hint)[0]))
    if origin in (dict, Mapping) or hint is Mapping:
        return _typed(dict)
    if dataclasses.is_dataclass(hint):
        return _reader(typing.cast(Hashable, hint))
    if hint in (dt.datetime, dt.date):
        return _made(_moment if hint is dt.datetime else dt.date.fromisoformat, hint.__name__)
    if issubclass(hint, StrEnum):
        # A dictionary look-up is much faster than calling the enumeration class.
        return _made({member.value: member for member in hint}.__getitem__, hint.__name__)
    if hint is float:
        return _typed((float, int))
    return _typed(hint)


def _tuple_of(inner: _Reader) -> _Reader:
    def read_tuple(value: Any) -> Any:
        if not isinstance(value, list):
            raise _Wrong("not a list")
        found = []
        try:
            for item in value:
                found.append(inner(item))  # one by one: on failure, len(found) is the item's index
        except _Wrong as wrong:
            raise wrong.at(len(found)) from None
        return tuple(found)

    return read_tuple


def _made(make: Callable[[Any], Any], name: str) -> _Reader:
    def read_text(value: Any) -> Any:
        try:
            return make(value)
        except (TypeError, ValueError, KeyError):
            raise _Wrong(f"not a {name}") from None

    return read_text


def _moment(text: str) -> dt.datetime:
    return in_utc(dt.datetime.fromisoformat(text))  # our own text: it needs no check of its form


def _typed(kind: type | tuple[type, ...]) -> _Reader:
    def read_typed(value: Any) -> Any:
        if not isinstance(value, kind) or (kind is int and value.__class__ is bool):
            raise _Wrong("wrong type")
        return value

    return read_typed


__all__ = [
    "Malformed",
    "canonical",
    "dump",
    "load",
    "plain",
    "pointer_errors",
    "read",
    "schema_of",
]
