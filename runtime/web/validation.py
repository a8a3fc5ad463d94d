"""From marshmallow's nested messages to JSON pointers (RFC 6901), without the values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from contracts.errors import PointerError, Refused

_MAXIMUM_ERRORS: Final = 50  # a caller mends a few at a time; the answer stays small
_MAXIMUM_SEGMENT: Final = 64  # an unknown field's name is the caller's own text
_OF_THE_WHOLE: Final = "_schema"  # marshmallow's key for what concerns an object, not one field


def pointer(path: Sequence[str | int]) -> str:
    """A path into a document as an RFC 6901 pointer; `()` is the whole document, `""`."""
    return "".join(f"/{_segment(part)}" for part in path)


def pointer_errors(messages: Mapping[Any, Any] | Sequence[Any]) -> tuple[PointerError, ...]:
    """`{"needs": {0: ["..."]}}` → `PointerError("/needs/0", "...")`, in the messages' order."""
    errors: list[PointerError] = []
    for path, detail in _leaves((), messages):
        if len(errors) == _MAXIMUM_ERRORS:
            break
        errors.append(PointerError(pointer=pointer(path), detail=detail))
    return tuple(errors)


def invalid(messages: Mapping[Any, Any] | Sequence[Any], *, slug: str = "invalid-submission") -> Refused:
    """The refusal that tells a caller what marshmallow found: `raise invalid(error.messages)`."""
    errors = pointer_errors(messages)
    things = "One thing does" if len(errors) == 1 else f"{len(errors)} things do"
    return Refused(slug, f"{things} not follow the contract; `errors` says where.", errors=errors)


def _leaves(path: tuple[str | int, ...], messages: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            yield from _leaves(path if key == _OF_THE_WHOLE else (*path, key), inner)
    elif isinstance(messages, list | tuple):
        for inner in messages:
            yield from _leaves(path, inner)
    else:
        yield path, str(messages)


def _segment(part: str | int) -> str:
    return str(part)[:_MAXIMUM_SEGMENT].replace("~", "~0").replace("/", "~1")
