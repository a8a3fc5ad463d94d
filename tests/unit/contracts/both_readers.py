"""The two ways to read a document: the marshmallow schema, and the checked reader made from it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import cache
from typing import Any

from marshmallow import Schema, ValidationError

from contracts import moments
from contracts.checked_reader import Undecided, checked_reader
from contracts.record_schema import schema_of

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


@cache
def schema_for(cls: type) -> Schema:
    return schema_of(cls)()


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
