"""Validation of an opened case. The plaintext is not stored."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

import orjson

from contracts.case import Case, Document
from contracts.errors import PointerError, Refused
from contracts.json_names import repeated_name
from contracts.records import load
from services.vault.domain.sealed import unreadable

_CONTRACT_NAMES: Final = frozenset(field.name for record in (Case, Document) for field in fields(record))


def check_content(plaintext: bytes) -> None:
    """Raises Refused `case-unreadable` unless the bytes are a case that follows the contract.

    Pointers contain only the contract's field names: an unknown field's name is the sender's text and may
    even be the person's name.
    """
    try:
        document = orjson.loads(plaintext)
    except orjson.JSONDecodeError:
        raise unreadable("The opened case is not JSON.") from None
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
