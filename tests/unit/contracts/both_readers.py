"""The two ways to read a document: the marshmallow schema, and the checked reader made from it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import cache
from typing import Any

from marshmallow import Schema, ValidationError, fields

from contracts import moments
from contracts.checked_reader import Undecided, checked_reader
from contracts.record_schema import schema_of

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


@cache
def schema_for(cls: type) -> Schema:
    """Return the schema, which reads the items of lists without the checked reader too."""
    schema = schema_of(cls)()
    _leave_undecided(schema)
    return schema


def _leave_undecided(schema: Schema) -> None:
    for field in schema.fields.values():
        while isinstance(field, fields.List):
            vars(field)["_read_item"] = _undecided
            field = field.inner
        if isinstance(field, fields.Nested):
            _leave_undecided(field.schema)


def _undecided(_value: Any) -> Any:
    raise Undecided


@cache
def reader_for(cls: type) -> Callable[[Any], Any]:
    return checked_reader(schema_for(cls))


def by_schema(cls: type, document: Any) -> Any:
    """Return the record that the schema loads, or None when it refuses."""
    try:
        with moments.at(NOON):
            return schema_for(cls).load(document)
    except ValidationError:
        return None


def by_reader(cls: type, document: Any) -> Any:
    """Return the record that the checked reader returns, or None when it is undecided."""
    try:
        with moments.at(NOON):
            return reader_for(cls)(document)
    except Undecided:
        return None
