"""Random valid records, derived from the annotations: a new field needs no new strategy."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import string
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, TypeVar

from hypothesis import strategies as st
from marshmallow import ValidationError
from marshmallow.validate import Equal, Length, OneOf, Range

from contracts import vocabularies
from contracts.canonical import EXACT_INTEGER
from contracts.employer import Employer
from contracts.identifiers import ORGANIZATION_PATTERN, SLUG_PATTERN, UUID_PATTERN, Pattern
from contracts.moments import PastYears, Within
from contracts.open_text import PlainText
from contracts.organization import Agreement, Organization, Service
from contracts.vocabularies import country_of

R = TypeVar("R")

# Short lists are fast and still differ from single items.
MOST_ITEMS = 3
MOST_CHARACTERS = 40

# Cross-field rules, which no annotation states.
_RULES: dict[tuple[type, str], Callable[[st.SearchStrategy[Any]], st.SearchStrategy[Any]]] = {
    (Agreement, "effective_until"): lambda _: st.none(),
    (Agreement, "parties"): lambda some: some.filter(lambda parties: len(parties) == 1 or "*" not in parties),
    (Service, "further_capacities"): lambda some: some.filter(
        lambda more: len({c.unit for c in more}) == len(more)
    ),
    (Organization, "services"): lambda some: some.filter(lambda s: len({x.id for x in s}) == len(s)),
}

_SLUGS = st.lists(
    st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=20), min_size=1, max_size=MOST_ITEMS
).map("-".join)
_COUNTRIES = st.text(string.ascii_lowercase, min_size=2, max_size=2)
_DIGESTS = st.binary(min_size=32, max_size=32).map(lambda digest: f"sha256:{digest.hex()}")
# The commonest patterns without `from_regex`, which draws every character on its own.
_BUILT: dict[str, st.SearchStrategy[str]] = {
    UUID_PATTERN: st.uuids().map(str),
    ORGANIZATION_PATTERN: st.tuples(_COUNTRIES, _SLUGS).map(".".join),
    SLUG_PATTERN: _SLUGS,
    "^[A-Z]{2}$": _COUNTRIES.map(str.upper),
    "^sha256:[0-9a-f]{64}$": _DIGESTS,
    "^[A-Za-z0-9_-]{43}$": st.text(string.ascii_letters + string.digits + "_-", min_size=43, max_size=43),
}

# Records whose fields depend on each other, made to agree.
_AGREED: dict[type, Callable[[Any], Any]] = {
    Employer: lambda one: one if one.region is None else replace(one, country=country_of(one.region)),
}
# Rules between the fields of a record.
_WHOLE: dict[type, Callable[[Any], bool]] = {
    Service: lambda one: all(more.unit != one.capacity.unit for more in one.further_capacities),
}


def records_of(cls: type[R]) -> st.SearchStrategy[R]:
    """Return a strategy for records of a class, derived from its annotations.

    The same object each time: building a strategy takes longer than drawing from it.
    """
    return typing.cast("st.SearchStrategy[R]", _records_of(typing.cast("type", cls)))


@functools.cache
def _records_of(cls: type) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls, include_extras=True)
    arguments = {}
    for name in (item.name for item in dataclasses.fields(cls)):
        value = _value(hints[name])
        rule = _RULES.get((cls, name))
        arguments[name] = rule(value) if rule else value
    made = st.builds(cls, **arguments)
    if cls in _AGREED:
        made = made.map(_AGREED[cls])
    return made.filter(_WHOLE.get(cls, lambda _: True))


def _value(hint: Any, limits: tuple[Any, ...] = ()) -> st.SearchStrategy[Any]:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _value(inner[0], inner[1:])
    if origin in (typing.Union, types.UnionType):
        (some,) = [a for a in inner if a is not type(None)]
        return st.none() | _value(some)
    if origin is tuple:
        least = max((x.min or 0 for x in limits if isinstance(x, Length)), default=0)
        return st.lists(_value(inner[0]), min_size=least, max_size=max(least, MOST_ITEMS)).map(tuple)
    if dataclasses.is_dataclass(hint):
        return records_of(typing.cast(type, hint))
    if origin is Mapping:
        return st.dictionaries(_text(()), json_values(), max_size=MOST_ITEMS)
    if issubclass(hint, StrEnum):
        (choices,) = [x.choices for x in limits if isinstance(x, OneOf)] or [hint]
        return st.sampled_from(list(choices))
    if hint is str:
        return _text(limits)
    if hint is int:
        (bounds,) = [x for x in limits if isinstance(x, Range)] or [EXACT_INTEGER]
        # A year in the future is refused where the time is known.
        return st.integers(bounds.min, 2025 if isinstance(bounds, PastYears) else bounds.max)
    if hint is bool:
        only = [x.comparable for x in limits if isinstance(x, Equal)]
        return st.sampled_from(only or [False, True])
    (within,) = [x for x in limits if isinstance(x, Within)] or [Within(dt.date.min, dt.date.max)]
    first, last = within.first, dt.date(2026, 1, 1) if within.past else within.last
    if hint is dt.date:
        return st.dates(first, last)
    midnight = dt.time()
    return st.datetimes(
        dt.datetime.combine(first, midnight), dt.datetime.combine(last, midnight), timezones=st.just(dt.UTC)
    )


@functools.cache
def json_values() -> st.SearchStrategy[Any]:
    """Return a strategy for JSON values that have canonical JSON."""
    numbers = st.integers(EXACT_INTEGER.min, EXACT_INTEGER.max) | st.floats(
        allow_nan=False, allow_infinity=False
    )
    return st.recursive(
        st.none() | st.booleans() | numbers | _text(()),
        lambda inner: (
            st.lists(inner, max_size=MOST_ITEMS) | st.dictionaries(_text(()), inner, max_size=MOST_ITEMS)
        ),
        max_leaves=5,
    )


def _text(limits: tuple[Any, ...]) -> st.SearchStrategy[str]:
    for limit in limits:
        if isinstance(limit, vocabularies.InVocabulary):
            return st.sampled_from(sorted(vocabularies.codes(limit.name)))
        if isinstance(limit, OneOf):
            return st.sampled_from(sorted(limit.choices))
        if isinstance(limit, Pattern):
            return _matches(str(limit.regex.pattern)).filter(_fits(limits))
    least = max((x.min or 0 for x in limits if isinstance(x, Length)), default=0)
    plain = next((limit for limit in limits if isinstance(limit, PlainText)), None)
    if plain is not None:
        seen = st.characters(exclude_categories=["C", "M", "N", "Z"])
        drawn = st.text(seen, min_size=least, max_size=MOST_CHARACTERS)
        return drawn.filter(lambda text: _is_plain(text, plain))
    # Records refuse lone surrogates; a text may contain every other character.
    return st.text(st.characters(exclude_categories=["Cs"]), min_size=least, max_size=MOST_CHARACTERS)


def _is_plain(text: str, plain: PlainText) -> bool:
    try:
        plain(text)
    except ValidationError:
        return False
    return True


@functools.cache
def _matches(pattern: str) -> st.SearchStrategy[str]:
    built = _BUILT.get(pattern)
    return st.from_regex(pattern, fullmatch=True) if built is None else built


def _fits(limits: tuple[Any, ...]) -> Callable[[str], bool]:
    longest = min((x.max for x in limits if isinstance(x, Length) and x.max), default=1_000)
    return lambda text: len(text) <= longest
