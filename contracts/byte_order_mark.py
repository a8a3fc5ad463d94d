"""Byte order marks of operators' files, which editors write unasked."""

from __future__ import annotations

import codecs
from typing import Final

from contracts.errors import Refused

# Marks of UTF-16 and UTF-32. UTF-32-LE's begins with UTF-16-LE's.
_OTHER_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


def without_mark(content: bytes) -> bytes:
    """Return the content of a file without UTF-8's mark. Raises Refused `malformed-json` for another one."""
    if content.startswith(_OTHER_MARKS):
        raise Refused("malformed-json", "The file is in UTF-16 or UTF-32: save it as UTF-8.")
    return content.removeprefix(codecs.BOM_UTF8)
