"""Type checks of arguments, made before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kopuro_client.errors import InvalidArgumentError


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
