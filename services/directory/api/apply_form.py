"""The form of an application: its fields, the application, and the field that an error is about."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from contracts.errors import PointerError
from contracts.vocabularies import rows

LANGUAGE_PREFIX: Final = "language_"
TEXTS: Final = (
    "name",
    "kind",
    "country",
    "description",
    "contact_name",
    "contact_email",
    "contact_telephone",
    "website",
    "parent",
    "proposed_id",
)
_IN_CONTACT: Final = {f"contact_{name}": name for name in ("name", "email", "telephone")}
_REFERENCE: Final = re.compile(r"[A-Za-z0-9_-]{43}")


def document(fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the application that a form states, as JSON without empty members. Other fields are ignored."""
    stated = {name: text for name in TEXTS if (text := cleaned(fields.get(name, "")))}
    contact = {member: stated.pop(name) for name, member in _IN_CONTACT.items() if name in stated}
    languages = [code for code in rows("languages") if LANGUAGE_PREFIX + code in fields]
    return {**stated, "languages": languages, "contact": contact}


def cleaned(text: str) -> str:
    """Return a field without spaces around it; a browser ends lines with CR LF (HTML, form submission)."""
    return text.replace("\r\n", "\n").strip()


def reference_of(fields: Mapping[str, str]) -> str | None:
    """Return the reference that the page sent; None if it is not a reference."""
    found = _REFERENCE.fullmatch(fields.get("reference", ""))
    return None if found is None else found[0]


def faulty(errors: Iterable[PointerError]) -> frozenset[str]:
    """Return the fields that the errors are about."""
    found = set()
    for error in errors:
        member, _, inner = error.pointer.removeprefix("/").partition("/")
        if member == "contact":
            inner = inner.partition("/")[0]
            found.add(f"contact_{inner}" if inner in ("name", "telephone") else "contact_email")
        else:
            found.add(member)
    return frozenset(found)
