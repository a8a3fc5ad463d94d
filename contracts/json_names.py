"""Detection of duplicate member names, which JSON parsers interpret differently (RFC 8259 §4)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import orjson

_BACKSLASH = ord("\\")

Path = tuple[str | int, ...]
T = TypeVar("T")


def repeated_name(text: bytes, document: Any) -> Path | None:
    """Return the path of a duplicate member; None when every name is unique within its object.

    document: the value that orjson parsed from `text`; orjson silently keeps the last duplicate. Raises
    ValueError for a document nested more than 250 levels deep.
    """
    # Encode the parsed document again and compare the number of colons: one for each member, plus those in
    # texts. A dropped duplicate lowers the second count. Only an escaped colon can raise it, so texts with
    # one take the slow path. Counting is ten times faster than comparing every name.
    try:
        is_plain = _BACKSLASH not in text or b"\\u003" not in text
        if is_plain and text.count(b":") == orjson.dumps(document).count(b":"):
            return None
        orjson.dumps(
            document
        )  # refuses what is nested too deep; the limit of `json` depends on Python's version
        parsed = json.loads(text, object_pairs_hook=_object)
    except (TypeError, RecursionError):
        raise ValueError("the document is nested too deep") from None
    found = find(parsed, lambda value: value if isinstance(value, _Repeated) else None)
    return None if found is None else found[0]


def find(document: Any, judge: Callable[[Any], T | None]) -> tuple[Path, T] | None:
    """Return the path of the first value for which `judge` does not return None, and what it returns.

    The order is that of the document, a container before its values. The time is that of one call for each
    value, however deep the values are: a path is built only for the one that is found.
    """
    if (found := judge(document)) is not None:
        return (), found
    path: list[str | int] = []
    open_containers = [_members(document)]
    while open_containers:
        for name, value in open_containers[-1]:
            if (found := judge(value)) is not None:
                return (*path, name), found
            if value and isinstance(value, dict | list):
                path.append(name)
                open_containers.append(_members(value))
                break
        else:
            open_containers.pop()
            if path:
                path.pop()
    return None


def _members(value: Any) -> Iterator[tuple[str | int, Any]]:
    """Return the names and values in an object, the indexes and values in an array; nothing for a scalar."""
    if isinstance(value, dict):
        return iter(value.items())
    return enumerate(value if isinstance(value, list) else ())


class _Repeated:
    """Marks the value of a duplicate member."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        members[name] = _Repeated() if name in members else value
    return members
