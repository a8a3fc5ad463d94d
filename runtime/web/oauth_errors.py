"""Errors of the token endpoint: what an OAuth library reads and what a reader of problems reads, in one body.

`error` and `error_description` are those of RFC 6749 §5.2; the other members are the problem of RFC 9457 that
every other resource answers with. OAuth libraries look for `application/json` and ignore other members.
"""

from __future__ import annotations

from typing import Final

import orjson

from contracts.errors import Refused, problem
from runtime.web import problems
from runtime.web.response import Response

# The codes of RFC 6749 §5.2; every other refusal is an `invalid_request`.
_CODES: Final = {
    "invalid-client": "invalid_client",
    "clock-skew": "invalid_client",
    "unsupported-grant-type": "unsupported_grant_type",
    "invalid-scope": "invalid_scope",
    "forbidden": "unauthorized_client",
}
_MALFORMED: Final = "invalid_request"
# RFC 6749 §5.2: the characters that `error_description` must not have, besides controls and non-ASCII.
_REPLACED: Final = str.maketrans({'"': "'", "\\": "/"})


def response_for(exception: Exception) -> Response:
    """Return the response to a token request that raised `exception`. RFC 6749 §5.2 has no server faults."""
    response = problems.response_for(exception)
    if not isinstance(exception, Refused):
        return response
    # RFC 6749 §5.2: 400, also for a client that may not have a token.
    status = 400 if exception.status == 403 else exception.status
    body = {
        "error": _CODES.get(exception.slug, _MALFORMED),
        "error_description": described(exception.detail),
        **problem(exception.slug, exception.detail, status=status, errors=exception.errors),
    }
    headers = {**response.headers, "Content-Type": "application/json", "Pragma": "no-cache"}
    return Response(status, orjson.dumps(body), headers)


def described(detail: str) -> str:
    """Return a sentence with only the characters that `error_description` may have."""
    return detail.translate(_REPLACED).encode("ascii", "replace").decode()
