"""Values that no hub accepts as JSON, each named by its place and never by its content."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

_LONGEST_POINTER: Final = 200

Path = tuple[str | int, ...]


class RepeatedName(dict[str, Any]):
    """A parsed JSON object that has a member twice. name: of the first such member."""

    name: str


def unique_members(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of these members, for `json.loads(..., object_pairs_hook=unique_members)`.

    An object with a member twice becomes a RepeatedName, which `json_fault` finds.
    """
    found = dict(members)
    if len(found) == len(members):
        return found
    repeated = RepeatedName(found)
    counts = Counter(name for name, _ in members)
    repeated.name = next(name for name, count in counts.items() if count > 1)
    return repeated


def json_fault(value: object) -> str | None:
    """Return what is wrong with the first value that a hub would not accept as JSON; None if nothing is.

    It continues a sentence that begins with the document: "has a number at /a/0 that is not finite".
    """
    pending: list[tuple[Path, object, frozenset[int]]] = [((), value, frozenset())]
    while pending:
        path, part, around = pending.pop()
        if (fault := _fault(part, path, around)) is not None:
            return fault
        inside = around | {id(part)}
        if isinstance(part, Mapping):
            pending += [((*path, name), item, inside) for name, item in reversed(list(part.items()))]
        elif isinstance(part, (list, tuple)):
            pending += [((*path, index), part[index], inside) for index in reversed(range(len(part)))]
    return None


def _fault(value: object, path: Path, around: frozenset[int]) -> str | None:
    """Return what is wrong with one value, without those in it. around: the ids of what contains it."""
    if isinstance(value, str):
        return None if _is_unicode(value) else f"has text at {_shown(path)} that is not valid Unicode"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"has a number at {_shown(path)} that is not finite"
    if id(value) in around:
        return f"contains itself at {_shown(path)}"
    if isinstance(value, RepeatedName):
        return f"names {_shown((*path, value.name))} twice"
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            return f"has a member name in {_shown(path)} that is not a string"
        if not all(map(_is_unicode, value)):
            return f"has a member name in {_shown(path)} that is not valid Unicode"
        return None
    if value is None or isinstance(value, (list, tuple, int)):  # True and False are integers
        return None
    return f"has a {type(value).__name__} at {_shown(path)}, which has no JSON form"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(path: Path) -> str:
    """Return the path as a pointer (RFC 6901); "the top level" for the document itself."""
    pointer = "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
    if len(pointer) > _LONGEST_POINTER:
        pointer = pointer[:_LONGEST_POINTER] + "..."
    return pointer.encode(errors="replace").decode() or "the top level"
