"""The fast reader of a record: it checks types, not validators, and drops unknown members."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing
from collections.abc import Callable, Hashable, Mapping
from enum import StrEnum
from functools import cache
from typing import Any

from contracts.record_schema import bare_type
from contracts.rfc3339 import in_utc

_Reader = Callable[[Any], Any]


class WrongShape(Exception):
    """A value of the wrong shape. The pointer is built while the exception propagates: success is free."""

    def __init__(self, what: str, pointer: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.pointer = pointer

    def at(self, step: str | int) -> WrongShape:
        """Return the same error with its pointer extended by the parent's step."""
        return WrongShape(self.what, f"/{step}{self.pointer}")


@cache
def reader_of(cls: Any) -> _Reader:
    """Return the reader of a record class, which raises WrongShape."""
    hints = typing.get_type_hints(cls, include_extras=True)
    plan: list[tuple[str, _Reader, bool]] = []
    for item in dataclasses.fields(cls):
        required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        plan.append((item.name, _value_reader(hints[item.name]), required))

    def read_record(data: Any) -> Any:
        if not isinstance(data, dict):
            raise WrongShape("not an object")
        values = {}
        for name, convert, required in plan:
            if name in data:
                try:
                    values[name] = convert(data[name])
                except WrongShape as wrong:
                    raise wrong.at(name) from None
            elif required:
                raise WrongShape("missing", f"/{name}")
        return cls(**values)

    return read_record


def _value_reader(hint: Any) -> _Reader:
    bare, optional = bare_type(hint, [])
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
        return reader_of(typing.cast(Hashable, hint))
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
            raise WrongShape("not a list")
        found = []
        try:
            for item in value:
                found.append(inner(item))  # one by one: on failure, len(found) is the item's index
        except WrongShape as wrong:
            raise wrong.at(len(found)) from None
        return tuple(found)

    return read_tuple


def _made(make: Callable[[Any], Any], name: str) -> _Reader:
    def read_text(value: Any) -> Any:
        try:
            return make(value)
        except (TypeError, ValueError, KeyError):
            raise WrongShape(f"not a {name}") from None

    return read_text


def _moment(text: str) -> dt.datetime:
    return in_utc(dt.datetime.fromisoformat(text))  # our own text: it needs no check of its form


def _typed(kind: type | tuple[type, ...]) -> _Reader:
    def read_typed(value: Any) -> Any:
        if not isinstance(value, kind) or (kind is int and value.__class__ is bool):
            raise WrongShape("wrong type")
        return value

    return read_typed
