"""Fast loading of valid input: a record's marshmallow fields and validators, without marshmallow's machinery.

Nearly all input is valid, but marshmallow spends most of its time on bookkeeping for errors. A checked reader
accepts only data that the schema accepts as well, and returns an equal record. It raises Undecided for
everything else. The caller then loads the data with the schema, which decides and reports every error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields
from marshmallow.validate import Length

from contracts.canonical import is_unicode

Reader = Callable[[Any], Any]

_ABSENT: Final = object()


class Undecided(Exception):
    """The data may be invalid; only the schema can tell."""


def checked_reader(schema: Schema) -> Reader:
    """Return the reader of a schema that `record_schema.schema_of` made. The reader raises Undecided."""
    read = _record_reader(schema)

    def read_checked(data: Any) -> Any:
        try:
            return read(data)
        except ValidationError:
            raise Undecided from None

    return read_checked


def _record_reader(schema: Schema) -> Reader:
    record_class = schema.record_class  # type: ignore[attr-defined]
    rules = getattr(record_class, "rules", None)
    plan = [(name, value_reader(field), _default(field)) for name, field in schema.fields.items()]
    names = frozenset(schema.fields)

    def read_record(data: Any) -> Any:
        if data.__class__ is not dict or not data.keys() <= names:
            raise Undecided
        values = {}
        for name, convert, default in plan:
            value = data.get(name, _ABSENT)
            values[name] = default() if value is _ABSENT else convert(value)
        if rules is not None:
            rules(values)
        return record_class(**values)

    return read_record


def _default(field: fields.Field[Any]) -> Callable[[], Any]:
    if field.required:
        return _undecided
    default = field.load_default
    return default if callable(default) else lambda: default


def _undecided() -> Any:
    raise Undecided


def value_reader(field: fields.Field[Any]) -> Reader:
    """Return the reader of one value. It raises Undecided or ValidationError."""
    convert = _tuple_reader(field) if isinstance(field, fields.List) else _validated(field)
    if not field.allow_none:
        return convert
    return lambda value: None if value is None else convert(value)


def _tuple_reader(field: fields.List[Any]) -> Reader:
    read_item = value_reader(field.inner)
    # The length first: a list can be as long as the body allows.
    before: list[Reader] = [one for one in field.validators if isinstance(one, Length)]
    after = [one for one in field.validators if not isinstance(one, Length)]

    def read_tuple(value: Any) -> Any:
        if value.__class__ is not list:
            raise Undecided
        for validate in before:
            validate(value)
        items = tuple([read_item(item) for item in value])
        for validate in after:
            validate(items)
        return items

    return read_tuple


def _validated(field: fields.Field[Any]) -> Reader:
    convert = _converter(field)
    validators = field.validators
    if not validators:
        return convert
    if len(validators) == 1:
        (only,) = validators

        def read_one_check(value: Any) -> Any:
            result = convert(value)
            only(result)
            return result

        return read_one_check

    def read_all_checks(value: Any) -> Any:
        result = convert(value)
        for validate in validators:
            validate(result)
        return result

    return read_all_checks


def _converter(field: fields.Field[Any]) -> Reader:
    """Return the field's conversion without its validators. It accepts no value that the field refuses."""
    if isinstance(field, fields.Nested):
        return _record_reader(field.schema)
    if isinstance(field, fields.String):
        return _text
    if isinstance(field, fields.Boolean):
        return _boolean
    if isinstance(field, fields.Integer):
        return _integer
    if isinstance(field, fields.Enum) and field.by_value is True:
        return _member_reader({member.value: member for member in field.enum})
    return lambda value: field._deserialize(value, None, None)


def _text(value: Any) -> Any:
    if value.__class__ is str and (value.isascii() or is_unicode(value)):
        return value
    raise Undecided


def _boolean(value: Any) -> Any:
    if value is True or value is False:
        return value
    raise Undecided


def _integer(value: Any) -> Any:
    if value.__class__ is int:
        return value
    raise Undecided


def _member_reader(members: dict[Any, Any]) -> Reader:
    def read_member(value: Any) -> Any:
        try:
            return members[value]
        except (KeyError, TypeError):
            raise Undecided from None

    return read_member
