"""The JSON form of a response: member names that Python reserves, members that may be absent, and shapes.

@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    start: dt.datetime = field(metadata=named("from"))
    problem: Problem | None = field(default=None, metadata=OMITTED)
    counts: Annotated[Mapping[str, int], Shape({"additionalProperties": {"type": "integer"}})]
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Generic, TypeVar

import orjson

R = TypeVar("R")
T_co = TypeVar("T_co", covariant=True)

_NAME: Final = "name"
_OMITTED: Final = "omitted"
# The metadata of a field that is absent from the JSON when its value is None.
OMITTED: Final[Mapping[str, Any]] = {_OMITTED: True}


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[T_co]):
    """One page of a list. next: the cursor of the next page, null on the last."""

    items: Sequence[T_co]
    next: str | None


@dataclass(frozen=True, slots=True)
class Shape:
    """JSON Schema keywords for a member whose Python type says less than its JSON. Used in `Annotated`."""

    keywords: Mapping[str, Any]


def named(name: str) -> Mapping[str, Any]:
    """Return the metadata of a dataclass field with this name in JSON."""
    return {_NAME: name}


def json_name(item: dataclasses.Field[Any]) -> str:
    """Return a field's name in JSON."""
    return item.metadata.get(_NAME) or item.name


def is_omitted(item: dataclasses.Field[Any]) -> bool:
    """Return whether the member is absent when its value is None."""
    return bool(item.metadata.get(_OMITTED, False))


def extended(kind: type[R], record: Any, **more: Any) -> R:
    """Return a record of a class that extends another record's class by the members in `more`."""
    values = {item.name: getattr(record, item.name) for item in dataclasses.fields(record)}
    return kind(**{**values, **more})


def record_json(record: Any) -> bytes:
    """Return the JSON of a record or of a page of records. Times are RFC 3339 in UTC with `Z`."""
    kinds = set(map(type, record.items)) if isinstance(record, Page) else {type(record)}
    if any(_has_forms(kind) for kind in kinds):
        options = orjson.OPT_UTC_Z | orjson.OPT_PASSTHROUGH_DATACLASS
        return orjson.dumps(record, default=_members, option=options)
    return orjson.dumps(record, option=orjson.OPT_UTC_Z)  # several times faster


def _members(record: Any) -> dict[str, Any]:
    if not dataclasses.is_dataclass(record):
        raise TypeError(f"{type(record).__name__} has no JSON form")
    found = {}
    kind: Any = type(record)
    for attribute, name, may_be_absent in _forms(kind):
        value = getattr(record, attribute)
        if value is not None or not may_be_absent:
            found[name] = value
    return found


@cache
def _forms(kind: Any) -> tuple[tuple[str, str, bool], ...]:
    """Return of each member its attribute, its name in JSON, and whether it may be absent."""
    return tuple((item.name, json_name(item), is_omitted(item)) for item in dataclasses.fields(kind))


def records_in(kind: Any) -> frozenset[type]:
    """Return a record class and every record class in its members; nothing for any other type."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        inner = (records_in(hints[item.name]) for item in dataclasses.fields(kind))
        return frozenset[type]({kind}).union(*inner)
    return frozenset[type]().union(*map(records_in, filter(_is_type, typing.get_args(kind))))


def _is_type(argument: Any) -> bool:
    return isinstance(argument, type) or typing.get_origin(argument) is not None


@cache
def _has_forms(kind: Any) -> bool:
    return any(item.metadata for record in records_in(kind) for item in dataclasses.fields(record))
