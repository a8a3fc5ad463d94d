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
import typing
from collections.abc import Callable, Hashable, Mapping
from functools import cache
from typing import Any, TypeVar

import orjson
from marshmallow import Schema, ValidationError

from contracts import moments
from contracts.checked_reader import Undecided, checked_reader
from contracts.error_budget import one_document
from contracts.errors import PointerError, Refused, drop_frames, has_form_of_a_member, pointer
from contracts.field_errors import MOST_ERRORS, UNKNOWN_FIELD
from contracts.record_reader import WrongShape, reader_of
from contracts.record_schema import schema_of

R = TypeVar("R")


class Malformed(ValueError):
    """The data does not have the record's shape. The message names the place, never the value."""


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
                with one_document():
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
        record: R = reader_of(typing.cast(Hashable, cls))(data)
    except WrongShape as wrong:
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
    return child == [UNKNOWN_FIELD] and not has_form_of_a_member(str(key))


def _collect(node: Any, path: tuple[str, ...], found: list[PointerError]) -> None:
    if isinstance(node, Mapping):
        for key, child in node.items():
            if len(found) == MOST_ERRORS:
                return
            # marshmallow's key for errors of the whole record is not a member of the partner's JSON
            hidden = key == "_schema" or _is_other_text(key, child)
            _collect(child, path if hidden else (*path, str(key)), found)
    elif isinstance(node, list):
        for sentence in node:
            if len(found) == MOST_ERRORS:
                return
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


__all__ = [
    "Malformed",
    "canonical",
    "dump",
    "load",
    "plain",
    "pointer_errors",
    "read",
]
