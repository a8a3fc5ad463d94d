"""The refusals that a resource can meet because of what it is, before its handler runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from contracts.errors import PROBLEMS

# Refusals of any request: its head, its path, its parameters, and faults of ours.
_ANY: Final = frozenset(
    {
        "malformed-request",
        "head-too-large",
        "duplicate-header",
        "misspelt-header",
        "invalid-path",
        "invalid-parameter",
        "expectation-failed",
        "too-many-requests",
        "unavailable",
        "internal",
    }
)
_TOKEN: Final = frozenset({"missing-token", "invalid-token", "expired-token", "forbidden"})
# The router reads the body of every request, even where the handler needs none.
_BODY: Final = frozenset({"body-too-large", "unsupported-content-encoding"})
_JSON_BODY: Final = frozenset(
    {"malformed-json", "duplicate-name", "invalid-submission", "unsupported-media-type"}
)
# Statuses of a problem besides its usual one.
_MORE_STATUSES: Final[Mapping[str, tuple[int, ...]]] = {
    "malformed-request": (408, 505),
    "head-too-large": (414,),
    "clock-skew": (403,),  # the clock of a proof; the client is known
}
# Problems whose status depends on the resource: at public ones, at the others.
_BY_ACCESS: Final[Mapping[str, tuple[int, int]]] = {"clock-skew": (401, 403)}


def refusals_of(
    *, method: str, url: str, public: bool, takes_key: bool, has_json: bool, own: frozenset[str]
) -> frozenset[str]:
    """Return the slugs of every problem that a resource can return. own: those of its handler."""
    found = _ANY | own | _BODY
    if not public:
        found |= _TOKEN
    if "<" in url:
        found |= {"not-found"}
    if has_json:
        found |= _JSON_BODY
    if takes_key:
        found |= {"idempotency-conflict"}
    elif method != "GET":
        found |= {"idempotency-key-unsupported"}
    return found


def statuses_of(slug: str) -> tuple[int, ...]:
    """Return the statuses that a problem can have, its usual one first."""
    return (PROBLEMS[slug][1], *_MORE_STATUSES.get(slug, ()))


def statuses_at(slug: str, *, public: bool) -> tuple[int, ...]:
    """Return the statuses that a problem can have at one resource. public: it takes no token."""
    if slug in _BY_ACCESS:
        at_public, at_others = _BY_ACCESS[slug]
        return (at_public if public else at_others,)
    return statuses_of(slug)
