"""Parsing of preconditions from request headers or the record's `revision`."""

from __future__ import annotations

import re
from typing import Any, Final

from contracts.canonical import LARGEST_INTEGER
from contracts.errors import PointerError, Refused
from runtime.web.request import Request
from services.directory.domain.precondition import ABSENT, ANY_REVISION, Precondition, at_revision

_REVISION: Final = re.compile(r'"?(\d{1,9})"?')


def precondition_of(request: Request) -> Precondition | None:
    """Return the precondition of `If-Match` (ETags or `*`) or `If-None-Match: *`; None without either.

    An unknown tag matches nothing. Raises Refused `invalid-parameter` for both headers together and for any
    other `If-None-Match`. Source: RFC 9110 §13.1.1, §13.1.2.
    """
    match, none_match = (request.headers.get(name) for name in ("if-match", "if-none-match"))
    if none_match is not None:
        if match is not None or none_match.strip() != "*":
            raise Refused(
                "invalid-parameter", "`If-None-Match` must be `*` and cannot be combined with `If-Match`."
            )
        return ABSENT
    if match is None:
        return None
    if match.strip() == "*":
        return ANY_REVISION
    tags = (_REVISION.fullmatch(tag.strip()) for tag in match.split(","))
    return Precondition(revisions=frozenset(int(tag[1]) for tag in tags if tag is not None))


def conditional(request: Request) -> tuple[Any, Precondition | None]:
    """Return the request's JSON without its `revision`, and the precondition of headers or `revision`.

    A client can therefore edit a record and send it back as it was read. Raises Refused `invalid-submission`
    if `revision` is not a revision number or contradicts `If-Match`.
    """
    document, precondition = request.json(), precondition_of(request)
    if not isinstance(document, dict) or "revision" not in document:
        return document, precondition
    document = dict(document)
    revision = document.pop("revision")
    if (
        type(revision) is not int
        or not 0 <= revision <= LARGEST_INTEGER
        or not _agrees(revision, precondition)
    ):
        where = PointerError(pointer="/revision", detail="Must be a revision number that matches `If-Match`.")
        raise Refused("invalid-submission", "The revision is invalid.", errors=[where])
    return document, at_revision(revision)


def _agrees(revision: int, precondition: Precondition | None) -> bool:
    if precondition is None or precondition == ANY_REVISION:
        return True
    return precondition.revisions is not None and revision in precondition.revisions
