"""Checks of what a caller hands to the library: a wrong type is named before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kopuro_client.errors import InvalidArgumentError


def mapping(value: object, what: str) -> Mapping[str, Any]:
    """The value, where it is a mapping with text keys. what: for the message. Raises InvalidArgumentError."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise InvalidArgumentError(f"{what} must be a mapping with text keys, not {type(value).__name__}")
    return value


def text(value: object, what: str) -> str:
    """The value, where it is a text. Raises InvalidArgumentError."""
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{what} must be a text, not {type(value).__name__}")
    return value


def entries(value: object, what: str) -> list[Any]:
    """The entries of an iterable that is no single text or mapping. Raises InvalidArgumentError."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise InvalidArgumentError(f"{what} must be a list, not {type(value).__name__}")
    return list(value)


def texts(value: object, what: str) -> list[str]:
    """The same, of texts. Raises InvalidArgumentError."""
    return [text(entry, f"each of {what}") for entry in entries(value, what)]


def number(value: object, what: str) -> float:
    """The value, where it is a finite number. Raises InvalidArgumentError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1e9 < value < 1e9:
        raise InvalidArgumentError(f"{what} must be a number, not {type(value).__name__}")
    return value
