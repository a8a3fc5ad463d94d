"""Validation of an opened case. The plaintext is not stored."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

import orjson

from contracts.case import Case, Document
from contracts.errors import PointerError, Refused
from contracts.json_limits import SEPARATORS_PER_VALUE, is_too_large, separators
from contracts.json_names import repeated_name
from contracts.records import load
from services.vault.domain.sealed import unreadable

_CONTRACT_NAMES: Final = frozenset(field.name for record in (Case, Document) for field in fields(record))

# The longest case has some 100 values; its narrative alone may have 20,000 commas.
_MOST_VALUES: Final = 10_000


def check_content(plaintext: bytes) -> None:
    """Raises Refused `case-unreadable` unless the bytes are a case that follows the contract.

    Pointers contain only the contract's field names: an unknown field's name is the sender's text and may
    even be the person's name.
    """
    if separators(plaintext) > _MOST_VALUES * SEPARATORS_PER_VALUE:
        raise unreadable("The opened case has too many commas and brackets.")
    try:
        document = orjson.loads(plaintext)
    except orjson.JSONDecodeError:
        raise unreadable("The opened case is not JSON.") from None
    if is_too_large(document, _MOST_VALUES):
        raise unreadable(f"The opened case has more than {_MOST_VALUES} values.")
    try:
        load(Case, document, slug="case-unreadable")
    except Refused as refused:
        errors = [PointerError(pointer=_known(e.pointer), detail=e.detail) for e in refused.errors]
    else:
        if repeated_name(plaintext, document) is not None:
            raise unreadable("An object in the opened case has a member name more than once.")
        return
    # Not chained: the cause quotes field names that the sender wrote.
    raise Refused(
        "case-unreadable",
        "The opened case does not follow the contract; `errors` says where.",
        errors=errors,
    )


def _known(pointer: str) -> str:
    known = ""
    for part in pointer.split("/")[1:]:
        if part not in _CONTRACT_NAMES and not (part.isascii() and part.isdigit() and len(part) <= 2):
            break
        known += f"/{part}"
    return known
