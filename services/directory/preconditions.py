"""Parsing of preconditions from request headers or the record's `revision`."""

from __future__ import annotations

import re
from typing import Any, Final

from contracts.canonical import LARGEST_INTEGER
from contracts.errors import PointerError, Refused
from runtime.web.request import Request
from services.directory.domain.precondition import ABSENT, ANY_REVISION, Precondition, at_revision

# An ETag of the directory, which may lack its quotes; and any other one (RFC 9110 §8.8.3).
_REVISION: Final = re.compile(r'"([0-9]{1,9})"|([0-9]{1,9})')
_ETAG: Final = re.compile(r'(W/)?"[!#-~\x80-\xff]*"')


def precondition_of(request: Request) -> Precondition | None:
    """Return the precondition of `If-Match` (ETags or `*`) or `If-None-Match: *`; None if there is neither.

    An unknown tag matches nothing. Raises Refused `invalid-parameter` for both headers together and for any
    other value, and `precondition-failed` for weak tags alone, which match no record, however often it is
    read. Source: RFC 9110 §13.1.1, §13.1.2.
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
    return Precondition(revisions=_revisions_of(match))


def _revisions_of(match: str) -> frozenset[int]:
    revisions = set[int]()
    others: list[re.Match[str]] = []
    for tag in filter(None, map(str.strip, match.split(","))):
        if (revision := _REVISION.fullmatch(tag)) is not None:
            revisions.add(int(revision[1] or revision[2]))
        elif (other := _ETAG.fullmatch(tag)) is not None:
            others.append(other)
        else:
            raise _malformed()
    if not revisions and not others:
        raise _malformed()
    if not revisions and all(other[1] for other in others):
        raise Refused("precondition-failed", 'A weak ETag matches no record: send `"7"`, not `W/"7"`.')
    return frozenset(revisions)


def _malformed() -> Refused:
    return Refused("invalid-parameter", '`If-Match` must be `*`, or the ETag of the record, such as `"7"`.')


def conditional(request: Request) -> tuple[Any, Precondition | None]:
    """Return the request's JSON without its `revision`, and the precondition of headers or `revision`.

    A client can therefore edit a record and send it back as it was read. Raises Refused `invalid-submission`
    if `revision` is not a revision number or contradicts the headers.
    """
    document, precondition = request.json(), precondition_of(request)
    if not isinstance(document, dict) or "revision" not in document:
        return document, precondition
    document = dict(document)
    revision = document.pop("revision")
    if type(revision) is not int or not 0 <= revision <= LARGEST_INTEGER:
        raise _refused_revision("The revision is invalid.", "Must be a revision number, as in the record.")
    if precondition == ABSENT:
        raise _refused_revision(
            "The record has a revision, but `If-None-Match` says that it is new.",
            "Leave it out beside `If-None-Match`.",
        )
    if not _agrees(revision, precondition):
        raise _refused_revision(
            "The record's `revision` and `If-Match` name different revisions.",
            "Must be a revision that `If-Match` names: send one of the two, or the same in both.",
        )
    return document, at_revision(revision)


def _refused_revision(detail: str, place: str) -> Refused:
    return Refused("invalid-submission", detail, errors=[PointerError(pointer="/revision", detail=place)])


def _agrees(revision: int, precondition: Precondition | None) -> bool:
    if precondition is None or precondition == ANY_REVISION:
        return True
    return precondition.revisions is not None and revision in precondition.revisions
