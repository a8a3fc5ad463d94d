"""Errors of the token endpoint: one body for OAuth libraries and for readers of problems.

`error` and `error_description` are those of RFC 6749 §5.2; the other members are the problem of RFC 9457 that
every other resource returns. OAuth libraries look for `application/json` and ignore other members.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import orjson

from contracts.errors import Refused, Unavailable
from runtime.web import problems
from runtime.web.response import Response

# The codes of RFC 6749 §5.2; every other refusal is an `invalid_request`.
_CODES: Final = {
    "invalid-client": "invalid_client",
    "clock-skew": "invalid_client",
    "unsupported-grant-type": "unsupported_grant_type",
    "invalid-scope": "invalid_scope",
    "unauthorized-client": "unauthorized_client",
}
_HEADERS: Final = {"Content-Type": "application/json", "Pragma": "no-cache"}
_MALFORMED: Final = "invalid_request"
# Registered for the authorization endpoint; the token endpoint has no code of its own for it.
_UNAVAILABLE: Final = "temporarily_unavailable"
_TEMPORARY: Final = frozenset({"unavailable", "too-many-requests"})
# RFC 6749 §5.2: the characters that `error_description` must not have, besides controls and non-ASCII.
_REPLACED: Final = str.maketrans({'"': "'", "\\": "/"})


def response_for(exception: Exception) -> Response:
    """Return the response to a token request that raised `exception`. A defect stays a bare problem."""
    response = problems.response_for(exception)
    if isinstance(exception, Unavailable):
        body = {
            "error": _UNAVAILABLE,
            "error_description": described(exception.detail),
            **exception.problem(),
        }
        return replace(response, body=orjson.dumps(body), headers={**response.headers, **_HEADERS})
    if not isinstance(exception, Refused):
        return response
    body = {
        "error": code_of(exception.slug),
        "error_description": described(exception.detail),
        **exception.problem(),
    }
    return replace(response, body=orjson.dumps(body), headers={**response.headers, **_HEADERS})


def code_of(slug: str) -> str | None:
    """Return the `error` beside a problem; None for a defect, which has none."""
    if slug == "internal":
        return None
    return _UNAVAILABLE if slug in _TEMPORARY else _CODES.get(slug, _MALFORMED)


def described(detail: str) -> str:
    """Return a sentence with only the characters that `error_description` may have."""
    return detail.translate(_REPLACED).encode("ascii", "replace").decode()
