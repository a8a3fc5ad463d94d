"""Decoding of request paths. Paths that two parsers could resolve differently are refused."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from contracts.errors import Refused

# Most paths match this and need no further check.
_PLAIN: Final = re.compile(r"(?:/[A-Za-z0-9_~:@!$&'()*+,;=-][A-Za-z0-9_~:@!$&'()*+,;=.-]*)+/?|/")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SLASH: Final = re.compile(r"%2[Ff]|%5[Cc]|\\")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def decode_path(raw: str) -> str:
    """Decode the path to Unicode. raw: as sent, in ASCII, up to the question mark.

    Raises Refused `invalid-path` for an escaped slash, a backslash, an empty or dot segment, a control
    character, an invalid escape, or bytes that are not UTF-8. Source: RFC 3986 §2.1, §3.3, §6.2.2.3.
    """
    if _PLAIN.fullmatch(raw):
        return raw
    if _BAD_ESCAPE.search(raw):
        raise _refused("contains a percent sign that is not followed by two hexadecimal digits")
    if _SLASH.search(raw):
        raise _refused("contains an escaped slash or a backslash")
    try:
        path = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise _refused("is not UTF-8") from None
    if _CONTROL.search(path):
        raise _refused("contains a control character")
    if "//" in path:
        raise _refused("contains an empty segment")
    if any(segment in (".", "..") for segment in path.split("/")):
        raise _refused("contains a dot segment")
    return path


def _refused(what: str) -> Refused:
    return Refused("invalid-path", f"The path {what}.")
