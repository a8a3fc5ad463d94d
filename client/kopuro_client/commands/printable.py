"""Text made safe to print, so that no name or note can control the terminal."""

from __future__ import annotations

import json
import re
from typing import Final

# C0 controls except tab and newline, DEL, C1 controls, line separators, bidirectional overrides, lone
# surrogates.
_UNSAFE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
REPLACEMENT: Final = "\ufffd"


def printable(value: object) -> str:
    """Return the value as text, possibly of several lines: "" for None, lists joined by commas."""
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
    """Return the value as text on one line."""
    return " ".join(printable(value).split())


def moment(text: object) -> str:
    """Return an RFC 3339 time to the second, with a space for the T. The offset stays."""
    return re.sub(r"^(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(\.\d+)?", r"\1 \2", one_line(text))


def day_or_moment(text: object) -> str:
    """Return a time as `moment` does; of one at midnight in UTC only the day.

    The hub states only the day where a time would reveal another referral.
    """
    shown = moment(text)
    return shown.removesuffix(" 00:00:00Z")


def json_text(value: object, *, indent: int | None = None) -> str:
    """Return the value as JSON with unsafe characters escaped and all others verbatim."""
    # json.dumps has escaped newlines and tabs in the data; the remaining ones are indentation.
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)
