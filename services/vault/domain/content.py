"""Whether an opened case can be understood. It is looked at here and forgotten here."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

import orjson

from contracts.case import Case, Document
from contracts.errors import PointerError, Refused
from contracts.json_names import repeated_name
from contracts.records import load
from services.vault.domain.sealed import unreadable

_OUR_NAMES: Final = frozenset(field.name for record in (Case, Document) for field in fields(record))


def check_content(plaintext: bytes) -> None:
    """Raises Refused `case-unreadable` unless the bytes are a case as the contract describes it.

    Pointers name only the contract's own fields: an unknown field's name is the sender's text, and may
    be anything, the person's name included.
    """
    try:
        document = orjson.loads(plaintext)
    except orjson.JSONDecodeError:
        raise unreadable("The case was opened, and it is not JSON.") from None
    try:
        load(Case, document, slug="case-unreadable")
    except Refused as refused:
        errors = [PointerError(pointer=_known(e.pointer), detail=e.detail) for e in refused.errors]
    else:
        if repeated_name(plaintext, document) is not None:
            raise unreadable("The case was opened, and an object in it names a member more than once.")
        return
    # Not chained: the cause's own text names fields as the sender wrote them.
    raise Refused(
        "case-unreadable",
        "The case was opened, and it does not follow the contract; `errors` says where.",
        errors=errors,
    )


def _known(pointer: str) -> str:
    known = ""
    for part in pointer.split("/")[1:]:
        if part not in _OUR_NAMES and not (part.isascii() and part.isdigit() and len(part) <= 2):
            break
        known += f"/{part}"
    return known
