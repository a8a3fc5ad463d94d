"""The refusal of a text that is not JSON in UTF-8, with the place of the fault.

Many programs write `NaN`, `Infinity`, numbers beyond a double's range, and halves of surrogate pairs. There
the path of the value helps more than a line and a column.
"""

from __future__ import annotations

import json
import math
from typing import Any

import orjson

from contracts.errors import PointerError, Refused, path_to_show, pointer
from contracts.json_names import Path, walk


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
    """Return the first value that JSON or UTF-8 does not have; None if the text has another fault."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    for path, value in walk(document):
        if isinstance(value, float) and not math.isfinite(value):
            return _error(path, "Must be a finite number.", "A number in here is not finite.")
        if isinstance(value, str) and not _is_unicode(value):
            return _error(path, "Must be valid Unicode.", "A text in here is not valid Unicode.")
        if isinstance(value, dict) and not all(map(_is_unicode, value)):
            return _error(path, in_here := "A name in here is not valid Unicode.", in_here)
    return None


def _is_unicode(text: Any) -> bool:
    # `json` parses half of a surrogate pair, which UTF-8 cannot encode.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _error(path: Path, detail: str, in_here: str) -> PointerError:
    """Return the error with as much of the path as has the form of the contract's names."""
    shown = path_to_show(path)
    return PointerError(pointer=pointer(shown), detail=detail if len(shown) == len(path) else in_here)
