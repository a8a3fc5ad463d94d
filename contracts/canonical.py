"""Canonical JSON (RFC 8785): only values that have it can become log entries.

Many parsers accept numbers beyond 2^53 and lone surrogates, but they do not agree on their values. Every
record refuses both, so that every accepted record can be logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Final, cast

import orjson
import rfc8785
from marshmallow import ValidationError, fields
from marshmallow.validate import Length, Range

from contracts.errors import Defect

# RFC 7493 §2.2: every integer up to here is exact in every JSON implementation.
LARGEST_INTEGER: Final = 2**53 - 1
EXACT_INTEGER: Final = Range(min=-LARGEST_INTEGER, max=LARGEST_INTEGER)
# A count or an index.
Count = Annotated[int, Range(min=0, max=LARGEST_INTEGER)]


class NotCanonical(Defect):
    """A value without canonical JSON. The message never repeats the value."""


class Text(fields.String):
    """A text that UTF-8 can encode: no lone surrogates."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not is_unicode(text):
            raise ValidationError("Must not contain a lone surrogate.")
        return text

    def _validate(self, value: Any) -> None:
        # A text that is too long gets this error alone: the other rules may take a second for a megabyte.
        for one in self.validators:
            if isinstance(one, Length):
                one(value)
        super()._validate(value)


class JsonObject(fields.Dict):
    """An object with any members that have canonical JSON."""

    def __init__(self, **options: Any) -> None:
        super().__init__(keys=Text(), **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        members = super()._deserialize(value, attr, data, **kwargs)  # type: ignore[no-untyped-call]
        if not is_canonical(members):
            raise ValidationError("Contains a value that has no canonical JSON (RFC 8785).")
        return members


def is_unicode(text: str) -> bool:
    """Return whether the text has no lone surrogates."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_canonical(value: Any) -> bool:
    """Return whether both RFC 8785 and orjson can encode the plain JSON value."""
    try:
        rfc8785.dumps(value)
        orjson.dumps(value)
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def canonical_json(value: Mapping[str, Any]) -> bytes:
    """Return the value's RFC 8785 bytes. Raises NotCanonical when it has none."""
    try:
        # orjson is several times faster and writes the same bytes for simple values.
        if _is_simple(value):
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        return rfc8785.dumps(cast("dict[str, Any]", value))
    except (ValueError, TypeError, RecursionError):
        # `from None`: the library's messages may quote the content.
        raise NotCanonical("no canonical JSON (RFC 8785)") from None


def content_digest(value: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the value's canonical JSON, hexadecimal. Raises NotCanonical."""
    return sha256(canonical_json(value)).hexdigest()


def _is_simple(value: object) -> bool:
    """Return whether sorted compact JSON is already canonical: no fractions, ASCII keys only.

    RFC 8785 writes numbers as ECMAScript does and sorts keys by UTF-16 units. Integers within 2**53 and
    ASCII keys need neither rule. Types are compared exactly, because encoders convert subclasses.
    """
    kind = type(value)
    if kind is dict:
        for key, inner in cast("dict[object, object]", value).items():
            if type(key) is not str or not key.isascii():
                return False
            # Most values are texts or null; checking here saves the call, which costs more than the check.
            if type(inner) is not str and inner is not None and not _is_simple(inner):
                return False
        return True
    if kind is str or value is None or kind is bool:
        return True
    if kind is int:
        return -LARGEST_INTEGER <= cast("int", value) <= LARGEST_INTEGER
    return kind is list and all(map(_is_simple, cast("list[object]", value)))
