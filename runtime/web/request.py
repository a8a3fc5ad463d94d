"""What a handler is asked: the parts of one HTTP request that handlers need, already checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from contracts.errors import Defect, PointerError, Refused, pointer
from contracts.json_names import repeated_name, walk
from runtime.access.tokens import Principal

MAXIMUM_DEPTH: Final = 64
_MAXIMUM_PARAMETERS: Final = 64
_LONGEST_NAME: Final = 64  # of a parameter that is told back


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request, its body read and its caller known.

    route: the template, e.g. `/v1/referrals/<id>`; path_params: what matched it, decoded;
    query_params and form(): a name given twice is refused; headers: by lower-case name.
    """

    method: str
    route: str
    path_params: Mapping[str, str] = field(default_factory=dict)
    query_params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    caller: Principal | None = None

    @property
    def principal(self) -> Principal:
        """Who asks. Raises Defect on a public route, which has nobody to tell."""
        if self.caller is None:
            raise Defect(f"{self.method} {self.route} is public and has no principal")
        return self.caller

    def json(self) -> Any:
        """The body as JSON (RFC 8259). Raises Refused `malformed-json`, `duplicate-name`."""
        return parse_json(self.body)

    def form(self) -> dict[str, str]:
        """The body as application/x-www-form-urlencoded. Raises Refused `invalid-parameter`."""
        try:
            text = self.body.decode("ascii")
        except UnicodeDecodeError:
            raise Refused("invalid-parameter", "The form is not URL-encoded.") from None
        return parse_parameters(text)


def parse_json(body: bytes) -> Any:
    """Read JSON at most MAXIMUM_DEPTH deep and without NUL characters (PostgreSQL has no such text).

    Raises Refused `malformed-json`, `duplicate-name`; a detail never repeats a part of the body.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        raise Refused(
            "malformed-json", f"The body stops being JSON at line {fault.lineno}, column {fault.colno}."
        ) from None
    # A document with fewer brackets than levels cannot be too deep: most need no walk at all.
    deep = len(body) > MAXIMUM_DEPTH and body.count(b"[") + body.count(b"{") > MAXIMUM_DEPTH
    if deep or b"\\u0000" in body:
        for path, value in walk(document):
            if len(path) >= MAXIMUM_DEPTH and isinstance(value, dict | list):
                raise Refused("malformed-json", f"The body is nested more than {MAXIMUM_DEPTH} deep.")
            if _has_nul(value):
                where = PointerError(pointer=pointer(path), detail="Holds a NUL character.")
                raise Refused("malformed-json", "A text holds a NUL character.", errors=(where,))
    repeated = repeated_name(body, document)
    if repeated is not None:
        where = PointerError(pointer=pointer(repeated), detail="Is given more than once.")
        raise Refused("duplicate-name", "An object names a member more than once.", errors=(where,))
    return document


def parse_parameters(query: str) -> dict[str, str]:
    """Read a query string or a form. Raises Refused `invalid-parameter`."""
    if not query:
        return {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_MAXIMUM_PARAMETERS)
    except ValueError:
        raise Refused("invalid-parameter", "The parameters are not URL-encoded UTF-8.") from None
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise Refused("invalid-parameter", f"{_named(repeated)} is given more than once.")
    if "\0" in query or "%00" in query:
        raise Refused("invalid-parameter", "A parameter holds a NUL character.")
    return parameters


def require_known(parameters: Mapping[str, str], known: Collection[str]) -> None:
    """Raises Refused `invalid-parameter`: a misspelt filter must not show everything instead."""
    for name in parameters:
        if name not in known:
            takes = ", ".join(f"`{one}`" for one in sorted(known)) or "no parameters"
            raise Refused(
                "invalid-parameter", f"{_named(name)} is no parameter of this resource. It takes {takes}."
            )


def _named(name: str) -> str:
    return f"`{name[:_LONGEST_NAME]}`"


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    return isinstance(value, dict) and any("\0" in name for name in value)
