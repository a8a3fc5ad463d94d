"""Type checks of arguments, made before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from kopuro_client.errors import InvalidArgumentError

LONGEST_KEY: Final = 255  # characters of an Idempotency-Key; a hub refuses a longer one


def mapping(value: object, what: str) -> Mapping[str, Any]:
    """Return the value. Raises InvalidArgumentError, naming `what`, unless its keys are strings."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise InvalidArgumentError(f"{what} must be a mapping with string keys, not {type(value).__name__}")
    return value


def text(value: object, what: str) -> str:
    """Return the value. Raises InvalidArgumentError unless it is a string."""
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{what} must be a string, not {type(value).__name__}")
    return value


def entries(value: object, what: str) -> list[Any]:
    """Return an iterable as a list. Raises InvalidArgumentError for a string, bytes, a mapping, a number."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise InvalidArgumentError(f"{what} must be a list, not {type(value).__name__}")
    return list(value)


def texts(value: object, what: str) -> list[str]:
    """Return an iterable of strings as a list. Raises InvalidArgumentError for anything else."""
    return [text(entry, f"each of {what}") for entry in entries(value, what)]


def number(value: object, what: str) -> float:
    """Return the value. Raises InvalidArgumentError unless it is a number between -1e9 and 1e9."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1e9 < value < 1e9:
        raise InvalidArgumentError(f"{what} must be a number, not {type(value).__name__}")
    return value


def encodable(value: object, what: str) -> str:
    """Return the value. Raises InvalidArgumentError unless it is a string that UTF-8 can encode."""
    try:
        text(value, what).encode()
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(f"{what} is not valid Unicode") from error
    return str(value)


def idempotency_key(value: object) -> str:
    """Return an Idempotency-Key. Raises InvalidArgumentError unless it can be the value of the header."""
    key = text(value, "an idempotency key")
    if not (1 <= len(key) <= LONGEST_KEY and key.isascii() and key.isprintable() and key == key.strip()):
        raise InvalidArgumentError(
            f"an idempotency key must have 1 to {LONGEST_KEY} printable ASCII characters, "
            "and must not begin or end with a space"
        )
    return key
