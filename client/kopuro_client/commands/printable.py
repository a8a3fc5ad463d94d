"""Making other people's text safe to show: no name and no note may steer a terminal."""

from __future__ import annotations

import json
import re
from typing import Final

# C0, DEL and C1 controls (but tab and newline), line separators, bidirectional overrides, lone
# surrogates.
_UNSAFE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
REPLACEMENT: Final = "\ufffd"


def printable(value: object) -> str:
    """The value as text of possibly several lines; nothing for None; lists with commas."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(printable(entry) for entry in value)
    if isinstance(value, dict):
        return ", ".join(f"{printable(key)}={printable(entry)}" for key, entry in value.items())
    return _UNSAFE.sub(REPLACEMENT, str(value))


def one_line(value: object) -> str:
    """The same on one line."""
    return " ".join(printable(value).split())


def moment(text: object) -> str:
    """An RFC 3339 time to the second, as people read it; UTC stays UTC."""
    return re.sub(r"^(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(\.\d+)?", r"\1 \2", one_line(text))


def json_text(value: object, *, indent: int | None = None) -> str:
    """The value as JSON, with what could steer a terminal escaped and the rest as it is."""
    # json.dumps has escaped the data's own newlines and tabs; those left are the indentation's.
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)
