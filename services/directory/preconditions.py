"""The precondition of a change, from a request's headers or the record's own `revision`."""

from __future__ import annotations

import re
from typing import Any, Final

from contracts.canonical import LARGEST_INTEGER
from contracts.errors import PointerError, Refused
from runtime.web.request import Request
from services.directory.domain.precondition import ABSENT, ANY_REVISION, Precondition, at_revision

_REVISION: Final = re.compile(r'"?(\d{1,9})"?')


def precondition_of(request: Request) -> Precondition | None:
    """What `If-Match` (an ETag of ours, several, or `*`) or `If-None-Match: *` asks for; None: neither.

    A tag that is not one of ours matches nothing. Raises Refused `invalid-parameter` for both headers at
    once and for any other `If-None-Match`. Source: RFC 9110 §13.1.1, §13.1.2.
    """
    match, none_match = (request.headers.get(name) for name in ("if-match", "if-none-match"))
    if none_match is not None:
        if match is not None or none_match.strip() != "*":
            raise Refused("invalid-parameter", "`If-None-Match` must be `*`, and not come with `If-Match`.")
        return ABSENT
    if match is None:
        return None
    if match.strip() == "*":
        return ANY_REVISION
    tags = (_REVISION.fullmatch(tag.strip()) for tag in match.split(","))
    return Precondition(revisions=frozenset(int(tag[1]) for tag in tags if tag is not None))


def conditional(request: Request) -> tuple[Any, Precondition | None]:
    """The request's JSON without its `revision`, and the precondition that headers or `revision` give.

    A record can so be changed and sent back as it was read. Raises Refused `invalid-submission` for a
    revision that is none, or that `If-Match` contradicts.
    """
    document, precondition = request.json(), precondition_of(request)
    if not isinstance(document, dict) or "revision" not in document:
        return document, precondition
    document = dict(document)
    told = document.pop("revision")
    if type(told) is not int or not 0 <= told <= LARGEST_INTEGER or not _agrees(told, precondition):
        where = PointerError(pointer="/revision", detail="Not the revision that this record was read at.")
        raise Refused("invalid-submission", "The revision cannot be used.", errors=[where])
    return document, at_revision(told)


def _agrees(revision: int, precondition: Precondition | None) -> bool:
    if precondition is None or precondition == ANY_REVISION:
        return True
    return precondition.revisions is not None and revision in precondition.revisions
