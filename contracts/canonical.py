"""Values that have canonical JSON (RFC 8785): only what has one can become an entry of the log.

A number beyond 2^53 or half a surrogate pair is valid JSON for many parsers, and no two of them need agree on
what it says. Every record refuses both, so that whatever is admitted can be logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, cast

import orjson
import rfc8785
from marshmallow import ValidationError, fields
from marshmallow.validate import Range

from contracts.errors import Defect

# RFC 7493 §2.2: every integer up to here is exact in every JSON implementation.
LARGEST_INTEGER: Final = 2**53 - 1
EXACT_INTEGER: Final = Range(min=-LARGEST_INTEGER, max=LARGEST_INTEGER)
# How many there are of something, or at which place it stands.
Count = Annotated[int, Range(min=0, max=LARGEST_INTEGER)]


class NotCanonical(Defect):
    """A value without canonical JSON. Its message repeats nothing of the value."""


class Text(fields.String):
    """A text that UTF-8 can hold: no half of a surrogate pair."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not is_unicode(text):
            raise ValidationError("Holds half of a surrogate pair.")
        return text


class JsonObject(fields.Dict):
    """An object of any members, each of which has canonical JSON."""

    def __init__(self, **options: Any) -> None:
        super().__init__(keys=Text(), **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        members = super()._deserialize(value, attr, data, **kwargs)  # type: ignore[no-untyped-call]
        if not is_canonical(members):
            raise ValidationError("Holds a value that has no canonical JSON (RFC 8785).")
        return members


def is_unicode(text: str) -> bool:
    """Whether the text is free of halves of surrogate pairs."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_canonical(value: Any) -> bool:
    """Whether plain JSON values have RFC 8785 bytes, and orjson can write them too."""
    try:
        rfc8785.dumps(value)
        orjson.dumps(value)
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def canonical_json(value: Mapping[str, Any]) -> bytes:
    """The value's RFC 8785 bytes. Raises NotCanonical for one that has none."""
    try:
        # Several times faster, and the same bytes wherever `_is_simple` says so.
        if _is_simple(value):
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        return rfc8785.dumps(cast("dict[str, Any]", value))
    except (ValueError, TypeError, RecursionError):
        # `from None`: the library's messages may quote the content.
        raise NotCanonical("no canonical JSON (RFC 8785)") from None


def _is_simple(value: object) -> bool:
    """Whether sorted compact JSON is canonical: no fractions, and ASCII keys.

    RFC 8785 writes numbers as ECMAScript does and sorts keys by UTF-16 units; for integers within
    2**53 and ASCII keys that is what everybody does. Exact types: nothing is converted on the way.
    """
    kind = type(value)
    if kind is dict:
        for key, inner in cast("dict[object, object]", value).items():
            if type(key) is not str or not key.isascii():
                return False
            # Most values are texts, and a call costs more than all the rest.
            if type(inner) is not str and not _is_simple(inner):
                return False
        return True
    if kind is str or value is None or kind is bool:
        return True
    if kind is int:
        return -LARGEST_INTEGER <= cast("int", value) <= LARGEST_INTEGER
    return kind is list and all(map(_is_simple, cast("list[object]", value)))
