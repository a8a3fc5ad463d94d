"""Decodes the path of a request target, and refuses a path that two readers could resolve differently."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from contracts.errors import Refused

# Most paths need no more than this one look.
_PLAIN: Final = re.compile(r"(?:/[A-Za-z0-9_~:@!$&'()*+,;=-][A-Za-z0-9_~:@!$&'()*+,;=.-]*)+/?|/")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SLASH: Final = re.compile(r"%2[Ff]|%5[Cc]|\\")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def decode_path(raw: str) -> str:
    """The path in Unicode. raw: as sent, in ASCII, before the question mark.

    Raises Refused `invalid-path` for an escaped slash, a backslash, a dot segment, a control character, an
    escape that is none, or bytes that are no UTF-8. Source: RFC 3986 §2.1, §3.3, §6.2.2.3.
    """
    if _PLAIN.fullmatch(raw):
        return raw
    if _BAD_ESCAPE.search(raw):
        raise _refused("holds a percent sign that no two hexadecimal digits follow")
    if _SLASH.search(raw):
        raise _refused("holds an escaped slash or a backslash")
    try:
        path = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise _refused("is not UTF-8") from None
    if _CONTROL.search(path):
        raise _refused("holds a control character")
    if any(segment in (".", "..") for segment in path.split("/")):
        raise _refused("holds a dot segment")
    return path


def _refused(what: str) -> Refused:
    return Refused("invalid-path", f"The path {what}.")
