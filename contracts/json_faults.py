"""The refusal of a text that is not JSON in UTF-8, with the place of the fault.

Many programs write `NaN`, `Infinity`, numbers beyond a double's range, and halves of surrogate pairs. There
the path of the value helps more than a line and a column.
"""

from __future__ import annotations

import json
import math
from typing import Any

import orjson

from contracts.errors import PointerError, Refused, error_at
from contracts.json_limits import is_too_deep
from contracts.json_names import find


def malformed_json(
    text: bytes,
    fault: orjson.JSONDecodeError,
    *,
    called: str,
    lines_before: int = 0,
    finds_value: bool = True,
) -> Refused:
    """Return the refusal `malformed-json` of a text that `orjson` has not parsed.

    called: what the detail calls it. lines_before: how many lines of the whole are before it. finds_value:
    whether to name the first number that is not finite, or text that is not valid Unicode, in `errors`; this
    parses the text again. Neither detail repeats a value.
    """
    try:
        written = text.decode()
    except UnicodeDecodeError as error:
        before = text[: error.start].decode()
        line = lines_before + before.count("\n") + 1
        column = len(before) - before.rfind("\n")
        return Refused("malformed-json", f"{called} is not UTF-8 at line {line}, column {column}.")
    where = _impossible_value(written) if finds_value else None
    return Refused(
        "malformed-json",
        f"{called} has malformed JSON at line {lines_before + fault.lineno}, column {fault.colno}.",
        errors=() if where is None else (where,),
    )


def _impossible_value(text: str) -> PointerError | None:
    """Return the first value that JSON or UTF-8 does not have; None if the text has another fault.

    A document nested more than MAXIMUM_DEPTH levels deep has one: its pointers would be as long as it is.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = None if is_too_deep(document) else find(document, _fault)
    if found is None:
        return None
    path, (value, inside) = found
    return error_at(path, value=value, inside=inside)


def _fault(value: Any) -> tuple[str, str] | None:
    """Return what is wrong with a value, and how to say it at the pointer of what contains the value."""
    if isinstance(value, float) and not math.isfinite(value):
        return "Must be a finite number.", "A number in this value is not finite."
    if isinstance(value, str) and not _is_unicode(value):
        return "Must be valid Unicode.", "A text in this value is not valid Unicode."
    if isinstance(value, dict) and not all(map(_is_unicode, value)):
        return (inside := "A name in this value is not valid Unicode."), inside
    return None


def _is_unicode(text: str) -> bool:
    # `json` parses half of a surrogate pair, which UTF-8 cannot encode.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
