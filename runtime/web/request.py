"""Validated HTTP requests: the parts of a request that handlers need."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from contracts.errors import Defect, PointerError, Refused, error_at, path_to_show, pointer
from contracts.json_faults import malformed_json
from contracts.json_limits import (
    MAXIMUM_DEPTH,
    MOST_ESCAPES,
    MOST_VALUES,
    SEPARATORS_PER_VALUE,
    has_too_many_escapes,
    is_too_deep,
    is_too_large,
    separators,
)
from contracts.json_names import find, repeated_name
from runtime.access.tokens import Principal

_MAXIMUM_PARAMETERS: Final = 64
_BACKSLASH: Final = ord("\\")
_LONGEST_NAME: Final = 64  # characters of a parameter's name that a problem repeats


def _nothing() -> None:
    """Permit: a request without a gate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request with its body and its authenticated caller.

    route: the template, e.g. `/v1/referrals/<id>`; path_params: its decoded values;
    query_params and form(): a repeated name is refused; headers: by lower-case name. reauthorize: checks
    again that the caller may make the request, raising Refused; call it after an intentional wait. origin:
    the client's address or network (`client_address`), which is a proxy's where the settings do not name it.
    """

    method: str
    route: str
    path_params: Mapping[str, str] = field(default_factory=dict)
    query_params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    caller: Principal | None = None
    reauthorize: Callable[[], object] = _nothing
    origin: str = ""

    @property
    def principal(self) -> Principal:
        """Return the caller. Raises Defect on public routes, which have no caller."""
        if self.caller is None:
            raise Defect(f"{self.method} {self.route} is public and has no principal")
        return self.caller

    def json(self) -> Any:
        """Return the body as JSON (RFC 8259). Raises what `parse_json` raises."""
        return parse_json(self.body)

    def form(self) -> dict[str, str]:
        """Return the body as application/x-www-form-urlencoded. Raises Refused `invalid-parameter`."""
        try:
            text = self.body.decode("ascii")
        except UnicodeDecodeError:
            raise Refused("invalid-parameter", "The form must be URL-encoded.") from None
        return parse_parameters(text)


def parse_json(
    body: bytes,
    *,
    most_values: int | None = MOST_VALUES,
    lines_before: int = 0,
    called: str = "The body",
) -> Any:
    """Parse JSON nested at most MAXIMUM_DEPTH deep and without NUL characters (PostgreSQL cannot store them).

    most_values: in all its arrays and objects together; None for a file of the operator's own. lines_before:
    how many lines of the whole body are before this document. called: what a problem calls the document.
    Raises Refused `malformed-json`, `duplicate-name`, and `body-too-large` for too many values, before they
    are parsed if the commas and brackets show it, and for more than MOST_ESCAPES backslashes; the detail
    never repeats a part of the body. Unless the document is nested deeper or has more values, `errors` names
    a number that is not finite, and text that is not valid Unicode (`\\ud800`), which `orjson` refuses.
    """
    marks = separators(body)
    if most_values is not None and marks > (most := most_values * SEPARATORS_PER_VALUE):
        raise Refused("body-too-large", f"A document has at most {most} commas and opening brackets.")
    if most_values is not None and has_too_many_escapes(body):
        raise Refused("body-too-large", f"A document has at most {MOST_ESCAPES} backslashes.")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        # A document with too many values is refused for that, and is not worth a slower parser.
        is_small = most_values is None or marks <= most_values
        raise malformed_json(
            body, fault, called=called, lines_before=lines_before, finds_value=is_small
        ) from None
    if most_values is not None and marks >= most_values and is_too_large(document, most_values):
        raise Refused("body-too-large", f"A document has at most {most_values} values.")
    # A document with at most MAXIMUM_DEPTH brackets cannot be too deep.
    if marks > MAXIMUM_DEPTH and is_too_deep(document):
        raise Refused("malformed-json", f"{called} is nested more than {MAXIMUM_DEPTH} levels deep.")
    # Most bodies contain no escape at all, and one byte is found much faster than several.
    if _BACKSLASH in body and b"\\u0000" in body:
        found = find(document, lambda value: True if _has_nul(value) else None)
        if found is not None:
            where = error_at(
                found[0],
                value="Must not contain a NUL character.",
                inside="A text in this value must not contain a NUL character.",
            )
            raise Refused("malformed-json", "A text contains a NUL character.", errors=(where,))
    repeated = repeated_name(body, document)
    if repeated is not None:
        *parents, name = repeated
        shown = path_to_show(parents)
        if len(shown) < len(parents):
            where = PointerError(
                pointer=pointer(shown), detail="A name in this value appears more than once."
            )
        else:
            where = PointerError(pointer=pointer((*parents, name)), detail="Appears more than once.")
        raise Refused("duplicate-name", "`errors` says which name appears twice.", errors=(where,))
    return document


def parse_parameters(query: str) -> dict[str, str]:
    """Parse a query string or a form. Raises Refused `invalid-parameter`."""
    if not query:
        return {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_MAXIMUM_PARAMETERS)
    except ValueError:
        raise Refused("invalid-parameter", "The parameters must be URL-encoded UTF-8.") from None
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        where = PointerError(pointer=pointer((repeated,)), detail="Appears more than once.")
        raise Refused("invalid-parameter", f"{_named(repeated)} appears more than once.", errors=(where,))
    if "\0" in query or "%00" in query:
        # The name without its own NUL characters: the refusal must not contain any.
        name = next(name for name, value in pairs if "\0" in name or "\0" in value).replace("\0", "")
        where = PointerError(pointer=pointer((name,)), detail="Must not contain a NUL character.")
        raise Refused("invalid-parameter", f"{_named(name)} contains a NUL character.", errors=(where,))
    return parameters


def require_known(parameters: Mapping[str, str], known: Collection[str]) -> None:
    """Raises Refused `invalid-parameter` for an unknown name: a misspelt filter must not match all."""
    for name in parameters:
        if name not in known:
            takes = ", ".join(f"`{one}`" for one in sorted(known)) or "no parameters"
            detail = f"{_named(name)} is not a parameter of this resource. It takes {takes}."
            where = PointerError(pointer=pointer((name,)), detail="Is not a parameter of this resource.")
            raise Refused("invalid-parameter", detail, errors=(where,))


def _named(name: str) -> str:
    return f"`{name[:_LONGEST_NAME]}`"


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    return isinstance(value, dict) and any("\0" in name for name in value)
