"""Decoding of request paths, and the forms of the ids in them.

Paths that two parsers could resolve differently are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from contracts.errors import Refused
from contracts.identifiers import ORGANIZATION_PATTERN, SLUG_PATTERN, UUID_PATTERN

# Most paths match this and need no further check.
_PLAIN: Final = re.compile(r"(?:/[A-Za-z0-9_~:@!$&'()*+,;=-][A-Za-z0-9_~:@!$&'()*+,;=.-]*)+/?|/")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SLASH: Final = re.compile(r"%2[Ff]|%5[Cc]|\\")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_VARIABLE: Final = re.compile(r"<(?:(?P<form>\w+):)?(?P<name>\w+)>")
_LONGEST_ID: Final = 100


@dataclass(frozen=True, slots=True)
class IdForm:
    """The form of an id in a path. expected: what a problem says that the id must be."""

    pattern: re.Pattern[str]
    expected: str

    def fits(self, value: str) -> bool:
        """Return whether a resource can have this id."""
        return len(value) <= _LONGEST_ID and self.pattern.fullmatch(value) is not None


# The converters of a template (`/v1/referrals/<uuid:id>`).
ID_FORMS: Final[Mapping[str, IdForm]] = {
    "uuid": IdForm(re.compile(UUID_PATTERN), "a lower-case UUID"),
    "organization": IdForm(re.compile(ORGANIZATION_PATTERN), "an organisation id such as `kg.osh-legal-aid`"),
    "slug": IdForm(re.compile(SLUG_PATTERN), "a lower-case slug"),
    "client": IdForm(
        re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*"),
        "letters, digits, `.`, `_` or `-`, beginning with a letter or digit",
    ),
    "number": IdForm(re.compile(r"0|[1-9][0-9]{0,11}"), "a whole number without leading zeros"),
}
_UNCHECKED: Final = frozenset({"string", "path"})  # werkzeug's own: the handler checks the value


def template_of(url: str) -> str:
    """Return a route's URL without the forms of its ids: `/v1/referrals/<id>`."""
    return _VARIABLE.sub(r"<\g<name>>", url)


def id_forms_of(url: str) -> tuple[tuple[str, IdForm], ...]:
    """Return the name and form of each id in a route's URL. Raises ValueError for an unknown form."""
    forms = []
    for variable in _VARIABLE.finditer(url):
        form = variable["form"]
        if form in _UNCHECKED:
            continue
        if form not in ID_FORMS:
            raise ValueError(f"the id {variable['name']} of {url} has no known form")
        forms.append((variable["name"], ID_FORMS[form]))
    return tuple(forms)


def require_id_forms(values: Mapping[str, str], forms: Iterable[tuple[str, IdForm]]) -> None:
    """Raise Refused `not-found` for an id that no resource can have.

    RFC 9110 §15.5.5: a path that identifies nothing gets the same status whatever it looks like. So a caller
    needs one branch for a wrong id, and the status reveals nothing about the ids that exist.
    """
    for name, form in forms:
        if not form.fits(values[name]):
            raise Refused("not-found", f"No resource has this path: `{name}` must be {form.expected}.")


def decode_path(raw: str) -> str:
    """Decode the path to Unicode. raw: as sent, in ASCII, up to the question mark.

    Raises Refused `invalid-path` for an escaped slash, a backslash, an empty or dot segment, a control
    character, an invalid escape, or bytes that are not UTF-8. Source: RFC 3986 §2.1, §3.3, §6.2.2.3.
    """
    if _PLAIN.fullmatch(raw):
        return raw
    if _BAD_ESCAPE.search(raw):
        raise _refused("contains a percent sign that is not followed by two hexadecimal digits")
    if _SLASH.search(raw):
        raise _refused("contains an escaped slash or a backslash")
    try:
        path = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise _refused("is not UTF-8") from None
    if _CONTROL.search(path):
        raise _refused("contains a control character")
    if "//" in path:
        raise _refused("contains an empty segment")
    if any(segment in (".", "..") for segment in path.split("/")):
        raise _refused("contains a dot segment")
    return path


def _refused(what: str) -> Refused:
    return Refused("invalid-path", f"The path {what}.")
