"""Query parameters and headers that several resources take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from contracts.errors import PointerError, Refused, pointer
from contracts.identifiers import ORGANIZATION_PATTERN
from runtime.web.operation import Parameter
from runtime.web.path import ID_FORMS

_CURSOR: Final = "The `next` of an earlier page of the same list; empty or absent for the first page."

AFTER: Final = Parameter(name="after", schema={"type": "string"}, description=_CURSOR)


def limit(*, default: int = 50, maximum: int = 200) -> Parameter:
    """Return the declaration of a page's size."""
    schema = {"type": "integer", "minimum": 1, "maximum": maximum, "default": default}
    return Parameter(name="limit", schema=schema, description="The most items of a page.")


LIMIT: Final = limit()
PAGED: Final = (AFTER, LIMIT)

ORGANIZATION: Final = Parameter(
    name="organization",
    schema={"type": "string", "pattern": ORGANIZATION_PATTERN, "maxLength": 100},
    description="The id of an organisation, such as `kg.osh-legal-aid`.",
)
SINCE: Final = Parameter(
    name="from",
    schema={"type": "string", "format": "date-time"},
    description="The earliest time, inclusive: RFC 3339 with an offset.",
)
UNTIL: Final = Parameter(
    name="to",
    schema={"type": "string", "format": "date-time"},
    description="The latest time, exclusive: RFC 3339 with an offset.",
)
IDEMPOTENCY_KEY: Final = Parameter(
    name="Idempotency-Key",
    schema={"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    description="Identifies the request for 30 days: the same content under the same key takes effect once.",
)
IF_MATCH: Final = Parameter(
    name="If-Match",
    schema={"type": "string"},
    description='The revision to change, such as `"7"`; `*` for any.',
)
IF_NONE_MATCH: Final = Parameter(
    name="If-None-Match", schema={"type": "string", "const": "*"}, description="`*`: only if it is new."
)


def wants_csv(query: Mapping[str, str]) -> bool:
    """Return whether the request asks for CSV: see JSON_OR_CSV. Raises Refused `invalid-parameter`."""
    form = query.get("format", "json")
    if form not in ("json", "csv"):
        raise invalid_parameter("format", "must be `json` or `csv`.")
    return form == "csv"


def organization_of(query: Mapping[str, str]) -> str | None:
    """Return the query's organisation, None if there is none. Raises Refused `invalid-parameter`."""
    organization = query.get(ORGANIZATION.name)
    form = ID_FORMS["organization"]
    if organization is not None and not form.fits(organization):
        raise invalid_parameter(ORGANIZATION.name, f"must be {form.expected}.")
    return organization


def coded(name: str, codes: Iterable[str], description: str, *, required: bool = False) -> Parameter:
    """Return the declaration of a parameter that takes one of these codes."""
    return Parameter(
        name=name,
        schema={"type": "string", "enum": sorted(codes)},
        description=description,
        required=required,
    )


def flag(name: str, description: str) -> Parameter:
    """Return the declaration of a parameter that is `true` or `false`."""
    return Parameter(name=name, schema={"type": "string", "enum": ["false", "true"]}, description=description)


def matching(name: str, pattern: str, description: str, **more: Any) -> Parameter:
    """Return the declaration of a parameter whose whole text matches a pattern."""
    return Parameter(
        name=name, schema={"type": "string", "pattern": pattern, **more}, description=description
    )


JSON_OR_CSV: Final = coded("format", ("csv", "json"), "`json` by default.")


def invalid_parameter(name: str, what: str) -> Refused:
    """Return the refusal of a query parameter, with a pointer to its name.

    what: the rest of the sentence that begins with the name, such as "must be true or false."
    """
    where = PointerError(pointer=pointer((name,)), detail=what[0].upper() + what[1:])
    return Refused("invalid-parameter", f"`{name}` {what}", errors=(where,))
