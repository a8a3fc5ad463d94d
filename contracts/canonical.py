"""Values that have canonical JSON (RFC 8785): only what has one can become an entry of the log.

A number beyond 2^53 or half a surrogate pair is valid JSON for many parsers, and no two of them need agree on
what it says. Every record refuses both, so that whatever is admitted can be logged.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import orjson
import rfc8785
from marshmallow import ValidationError, fields
from marshmallow.validate import Range

# RFC 7493 §2.2: every integer up to here is exact in every JSON implementation.
LARGEST_INTEGER: Final = 2**53 - 1
EXACT_INTEGER: Final = Range(min=-LARGEST_INTEGER, max=LARGEST_INTEGER)
# How many there are of something, or at which place it stands.
Count = Annotated[int, Range(min=0, max=LARGEST_INTEGER)]


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
