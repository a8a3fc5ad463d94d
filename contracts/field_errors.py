"""The sentences that tell a caller why a value is refused: each states the rule and never repeats the value.

They replace marshmallow's own sentences wherever a caller can see them.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Final

from marshmallow import fields
from marshmallow.validate import Length, Range, Validator

# Errors that a refusal shows. A body of one megabyte can contain hundreds of thousands, but a caller fixes a
# few at a time and the response must not be larger than the request.
MOST_ERRORS: Final = 50

UNKNOWN_FIELD: Final = "This field is not in the contract."
MISSING_FIELD: Final = "This field is required."
NOT_AN_OBJECT: Final = "Must be an object."
NOT_A_DATE: Final = "Must be a date such as 2026-05-01."
NOT_A_TIME: Final = "Must be an RFC 3339 time with an offset, such as 2026-05-01T08:30:00Z."

# For `Schema.error_messages`.
RECORD: Final = {"unknown": UNKNOWN_FIELD, "type": NOT_AN_OBJECT}

_ANY: Final = {
    "required": MISSING_FIELD,
    "null": "Must not be null.",
    "validator_failed": "The value is invalid.",
}
# The first class that a field is an instance of decides: subclasses come before their bases.
_OF: Final[tuple[tuple[type[fields.Field[Any]], dict[str, str]], ...]] = (
    (fields.Boolean, {"invalid": "Must be `true` or `false`."}),
    (fields.DateTime, {"invalid": NOT_A_TIME, "invalid_awareness": NOT_A_TIME}),
    (fields.Date, {"invalid": NOT_A_DATE, "invalid_awareness": NOT_A_DATE}),
    (fields.Integer, {"invalid": "Must be an integer.", "too_large": "Must be an integer of fewer digits."}),
    (
        fields.Number,
        {
            "invalid": "Must be a number.",
            "too_large": "Must be a number of fewer digits.",
            "special": "Must be a finite number.",
        },
    ),
    (fields.String, {"invalid": "Must be a string.", "invalid_utf8": "Must be a string in UTF-8."}),
    (fields.Nested, {"type": NOT_AN_OBJECT}),
    (fields.List, {"invalid": "Must be a list."}),
    (fields.Mapping, {"invalid": NOT_AN_OBJECT}),
)


def field_messages(kind: type[fields.Field[Any]]) -> dict[str, str | list[Any] | dict[Any, Any]]:
    """Return the sentences of a marshmallow field class, for its option `error_messages`."""
    return {**_ANY, **next((of for base, of in _OF if issubclass(kind, base)), {})}


def with_sentences(validators: Sequence[Validator], unit: str) -> list[Validator]:
    """Return the validators; copies with a sentence replace those that have none.

    unit: what a `Length` counts, in the plural: "characters" or "items".
    """
    return [_with_sentence(one, unit) for one in validators]


def _with_sentence(validator: Validator, unit: str) -> Validator:
    if not isinstance(validator, Length | Range) or validator.error is not None:
        return validator
    named = copy.copy(validator)
    if isinstance(validator, Length):
        only_one = (validator.min if validator.max is None else validator.max) == 1
        counted = unit.removesuffix("s") if only_one else unit
        named.error = f"Must have {_bounds(validator.min, validator.max)} {counted}."
    else:
        named.error = f"Must be {_bounds(validator.min, validator.max)}."
    return named


def _bounds(least: Any, most: Any) -> str:
    if least is None:
        return f"at most {most}"
    return f"at least {least}" if most is None else f"from {least} to {most}"
