"""The marshmallow schema of a record, derived from its fields and validators (`contracts/records.py`)."""

from __future__ import annotations

import dataclasses
import datetime as dt
import types
import typing
from collections.abc import Callable, Hashable, Mapping
from enum import StrEnum
from functools import cache
from itertools import islice
from typing import Any, Final

from marshmallow import RAISE, Schema, ValidationError, fields, post_load, validates_schema
from marshmallow.validate import Length, OneOf, Range, Validator

from contracts import error_budget
from contracts.canonical import EXACT_INTEGER, JsonObject, Text
from contracts.checked_reader import Reader, Undecided, value_reader
from contracts.field_errors import MOST_ERRORS, RECORD, UNKNOWN_FIELD, field_messages, with_sentences
from contracts.rfc3339 import parse_date, parse_time

_BEYOND_64_BITS: Final = 2.0**63
_NOT_NULL: Final = "not_null"
# The metadata of a field that partners may leave out but not send as null. None: it was left out.
NOT_NULL: Final[Mapping[str, Any]] = {_NOT_NULL: True}


class StrictBoolean(fields.Boolean):
    """`true` or `false`; not 1, not "yes"."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if value is True or value is False:
            return value
        raise self.make_error("invalid", input=value)


class WholeNumber(fields.Integer):
    """An integer. orjson reads one beyond 64 bits as a float."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, float) and abs(value) >= _BEYOND_64_BITS:
            raise self.make_error("too_large", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class UtcDateTime(fields.AwareDateTime):
    """An RFC 3339 time with an offset, converted to UTC on input, so that equal times have equal text."""

    DESERIALIZATION_FUNCS: dict[str, Callable[[str], dt.datetime]] = {"iso": parse_time}  # noqa: RUF012


class CalendarDate(fields.Date):
    """An RFC 3339 date."""

    DESERIALIZATION_FUNCS: dict[str, Callable[[str], dt.date]] = {"iso": parse_date}  # noqa: RUF012


class RecordSchema(Schema):
    """The base of each record's schema, of an inner record's too: it bounds what an invalid object costs."""

    def load(self, data: Any, **options: Any) -> Any:
        """Refuse an object for its unknown members alone, if they are more than the errors that are shown.

        marshmallow would collect an error for each of them, which costs ten times what reading the object
        does.
        """
        budget = error_budget.current()
        try:
            if isinstance(data, dict) and len(data) > MOST_ERRORS + len(self.load_fields):
                known = {one.data_key or name for name, one in self.load_fields.items()}
                unknown = islice((name for name in data if name not in known), MOST_ERRORS)
                raise ValidationError({name: [UNKNOWN_FIELD] for name in unknown})
            return super().load(data, **options)
        except ValidationError as error:
            budget.spend(error.messages)
            raise


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
        if item.metadata.get(_NOT_NULL, False):
            options["allow_none"] = False
        members[item.name] = _field(hints[item.name], options)

    def make(self: Schema, data: dict[str, Any], **kwargs: Any) -> Any:
        return cls(**data)

    members["make"] = post_load(make)
    # A record's own cross-field rules: `rules(data) -> None` raising ValidationError with field names.
    rules = getattr(cls, "rules", None)
    if rules is not None:
        members["rules"] = _schema_validator(rules)
    members["Meta"] = type("Meta", (Schema.Meta,), {"unknown": RAISE})
    return type(f"{cls.__name__}Schema", (RecordSchema,), members)


def _schema_validator(rules: Callable[[Mapping[str, Any]], None]) -> Any:
    def check(self: Schema, data: Mapping[str, Any], **kwargs: Any) -> None:
        rules(data)

    return validates_schema(check, skip_on_field_errors=True)


def _field(hint: Any, options: dict[str, Any]) -> fields.Field[Any]:
    validators: list[Validator] = []
    hint, optional = bare_type(hint, validators)
    if optional:
        options = {"allow_none": True, **options}
    origin = typing.get_origin(hint)
    # The length first: of a text longer than it may be, nothing else is examined (`canonical.Text`).
    validators.sort(key=lambda one: not isinstance(one, Length))
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
        return make(WholeNumber, strict=True)
    return make(simple[hint])


class _TupleOf(fields.List[Any]):
    """A list of items. marshmallow reads only the items that the checked reader leaves undecided.

    A document with one fault would otherwise cost what marshmallow takes for every other value.
    """

    _read_item: Reader | None = None

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, list):
            raise self.make_error("invalid")
        # Check the length before the items: a list can be as long as the body allows.
        for validator in self.validators:
            if isinstance(validator, Length):
                validator(value)
        budget = error_budget.current()
        read_item = self._read_item
        if read_item is None:
            read_item = self._read_item = value_reader(self.inner)
        items: list[Any] = []
        errors: dict[int, Any] = {}
        for index, item in enumerate(value):
            if budget.left <= 0:  # no more errors of the document are shown
                raise ValidationError(errors)
            try:
                items.append(read_item(item))
                continue
            except (Undecided, ValidationError):
                pass
            try:
                items.append(self.inner.deserialize(item, **kwargs))
            except ValidationError as error:
                errors[index] = error.messages
                if not isinstance(error.messages, dict):
                    budget.spend(error.messages)
        if errors:
            raise ValidationError(errors)
        return tuple(items)


def bare_type(hint: Any, validators: list[Validator]) -> tuple[Any, bool]:
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
