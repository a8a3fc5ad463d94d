"""Input files and stdin: UTF-8 text with or without a byte order mark."""

from __future__ import annotations

import codecs
import json
import sys
from pathlib import Path
from typing import Any, Final

from kopuro_client.errors import InvalidArgumentError
from kopuro_client.json_values import json_fault, unique_members

# Marks of UTF-16 and UTF-32, neither of which is accepted. UTF-32-LE's begins with UTF-16-LE's.
_OTHER_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


def read_bytes(file: Path) -> bytes:
    """Return the content without a byte order mark. Raises InvalidArgumentError if the file is unreadable."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InvalidArgumentError(f"cannot read {file}: {error.strerror}") from error
    return _without_mark(content, str(file))


def read_text(file: Path) -> str:
    """Return the text. Raises InvalidArgumentError if the file is unreadable or not UTF-8."""
    try:
        return read_bytes(file).decode()
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(f"{file} is not UTF-8 text") from error


def read_json(file: Path) -> dict[str, Any]:
    """Return the JSON object in a file. Raises InvalidArgumentError, whose message quotes no value of it."""
    return _json_object(read_bytes(file), str(file))


def read_json_or_stdin(file: str) -> dict[str, Any]:
    """Return the JSON object in a file, or on stdin for `-`. Raises as `read_json`."""
    return _json_from_stdin() if file == "-" else read_json(Path(file))


def _json_from_stdin() -> dict[str, Any]:
    try:
        # A stream without a buffer is a text stream, such as a test's or the stand-in for a closed stdin.
        content = sys.stdin.buffer.read() if hasattr(sys.stdin, "buffer") else sys.stdin.read().encode()
    except OSError as error:
        raise InvalidArgumentError(f"cannot read stdin: {error.strerror}") from error
    if not content.strip():
        raise InvalidArgumentError("stdin is empty or closed; expected a JSON object")
    return _json_object(_without_mark(content, "stdin"), "stdin")


def _json_object(content: bytes, source: str) -> dict[str, Any]:
    try:
        value = json.loads(content.decode(), object_pairs_hook=unique_members)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidArgumentError(f"{source} is not JSON in UTF-8 ({where})") from error
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"{source} is not JSON in UTF-8") from error
    if not isinstance(value, dict):
        raise InvalidArgumentError(f"{source} does not contain a JSON object")
    # The hub refuses these too, but it names no place in a document that it cannot parse.
    if (fault := json_fault(value)) is not None:
        raise InvalidArgumentError(f"{source} {fault}")
    return value


def _without_mark(content: bytes, source: str) -> bytes:
    if content.startswith(_OTHER_MARKS):
        raise InvalidArgumentError(f"{source} is in UTF-16 or UTF-32: save it as UTF-8")
    return content.removeprefix(codecs.BOM_UTF8)
