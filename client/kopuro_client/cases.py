"""Validation of a case.

A hub cannot validate a sealed case, so the client validates it before sealing.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kopuro_client.arguments import mapping
from kopuro_client.errors import CaseError, FieldError, UnreadableError

E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")

CASE_FIELDS: Final = ("name", "phones", "safe_contact", "narrative", "documents")
_DOCUMENT_FIELDS: Final = ("name", "media_type", "content")


def check_case(case: Mapping[str, Any]) -> None:
    """Refuse a case that does not follow the contract.

    case: {"name": str, "phones": [E.164], "safe_contact": str | null, "narrative": str,
    "documents": [{"name", "media_type", "content" (base64, RFC 4648 §4)}]}; only the name is required.
    Raises CaseError with a pointer to every invalid member; its messages never quote values.
    """
    errors = tuple(_case_errors(mapping(case, "a case")))
    if errors:
        raise CaseError(errors)


def check_readable(case: Mapping[str, Any]) -> None:
    """Refuse an opened case whose members have wrong types.

    Accepts values that are longer than the contract allows and fields of later versions, because the reader
    can still use them. Raises UnreadableError, whose message never quotes values.
    """
    kinds: dict[str, tuple[type, ...]] = {
        "phones": (list,),
        "safe_contact": (str, type(None)),
        "narrative": (str,),
        "documents": (list,),
    }
    name = case.get("name")
    wrong = [field for field, kind in kinds.items() if field in case and not isinstance(case[field], kind)]
    if not isinstance(name, str) or not name:
        wrong.insert(0, "name")
    if not wrong:
        wrong += ["phones"] if not all(isinstance(phone, str) for phone in case.get("phones", ())) else []
        wrong += ["documents"] if not all(isinstance(d, dict) for d in case.get("documents", ())) else []
    if wrong:
        raise UnreadableError(
            f"the sealed content is not a case: {', '.join(wrong)} missing or of another type",
            reason="not_understood",
        )


def _case_errors(case: Mapping[str, Any]) -> Iterator[FieldError]:
    yield from _unknown(case, CASE_FIELDS, "")
    yield from _text(case.get("name"), "/name", 1, 300)
    yield from _text(case.get("narrative", ""), "/narrative", 0, 20_000)
    if case.get("safe_contact") is not None:
        yield from _text(case["safe_contact"], "/safe_contact", 0, 1000)
    for index, phone in enumerate(_entries(case, "phones")):
        if not isinstance(phone, str) or not E164.fullmatch(phone):
            yield _wrong(f"/phones/{index}", "Must be an E.164 number such as +996700000000.")
    yield from _list(case, "phones", 10)
    for index, document in enumerate(_entries(case, "documents")):
        yield from _document_errors(document, f"/documents/{index}")
    yield from _list(case, "documents", 20)


def _document_errors(document: object, at: str) -> Iterator[FieldError]:
    if not isinstance(document, Mapping):
        yield _wrong(at, "Must be an object.")
        return
    yield from _unknown(document, _DOCUMENT_FIELDS, at)
    yield from _text(document.get("name"), f"{at}/name", 1, 200)
    yield from _text(document.get("media_type"), f"{at}/media_type", 3, 100)
    try:
        base64.b64decode(document.get("content", ""), validate=True)
    except (ValueError, TypeError):
        yield _wrong(f"{at}/content", "Must be base64.")


def _unknown(fields: Mapping[str, Any], known: tuple[str, ...], at: str) -> Iterator[FieldError]:
    for name in fields:
        if name not in known:
            pointer = str(name).replace("~", "~0").replace("/", "~1")
            yield _wrong(f"{at}/{pointer}", "This field is not in the contract.")


def _text(value: object, pointer: str, shortest: int, longest: int) -> Iterator[FieldError]:
    if not isinstance(value, str) or not shortest <= len(value) <= longest:
        yield _wrong(pointer, f"Must be a string of {shortest} to {longest} characters.")


def _entries(case: Mapping[str, Any], name: str) -> list[Any]:
    entries = case.get(name)
    return list(entries) if isinstance(entries, (list, tuple)) else []


def _list(case: Mapping[str, Any], name: str, longest: int) -> Iterator[FieldError]:
    entries = case.get(name, [])
    if not isinstance(entries, (list, tuple)) or len(entries) > longest:
        yield _wrong(f"/{name}", f"Must be a list of at most {longest} items.")


def _wrong(pointer: str, detail: str) -> FieldError:
    return FieldError(pointer=pointer, detail=detail)
