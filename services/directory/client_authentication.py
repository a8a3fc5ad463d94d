"""Client authentication: by the secret at the token endpoint, and by a proof of each change.

Source: RFC 6749 §2.3.1, §4.4.2; RFC 7617.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_plus

from contracts.errors import Refused
from runtime.web.request import Request
from services.directory.domain.request_proof import ProvableRequest

PROOF_HEADER: Final = "kopuro-proof"
_VARIABLE: Final = re.compile(r"<(?:\w+:)?(\w+)>")


def client_of(request: Request) -> tuple[str, str]:
    """Return the client id and secret of a token request, from HTTP Basic or the form.

    Raises Refused: `invalid-grant` if the grant is not client credentials, `invalid-client` if the request
    has no usable credentials.
    """
    try:
        form = request.form()
    except Refused as fault:
        raise _malformed(fault.detail) from None
    if form.get("grant_type") != "client_credentials":
        raise _malformed("Send a form with `grant_type=client_credentials`; no other grant is supported.")
    authorization = request.headers.get("authorization", "")
    if not authorization:
        return _from_form(form)
    if "client_secret" in form:
        raise _malformed("Send the client's secret either by HTTP Basic or in the form, not both.")
    return _from_basic(authorization)


def provable(request: Request) -> ProvableRequest:
    """Return the parts of a request that a proof covers."""
    authorization = request.headers.get("authorization", "")
    return ProvableRequest(
        method=request.method,
        path=_VARIABLE.sub(lambda found: request.path_params[found[1]], request.route),
        token=authorization.strip().partition(" ")[2].strip(),
        body=request.body,
        if_match=request.headers.get("if-match"),
        if_none_match=request.headers.get("if-none-match"),
    )


def _from_form(form: Mapping[str, str]) -> tuple[str, str]:
    if not form.get("client_id") or not form.get("client_secret"):
        raise _unknown("Send the client's id and secret by HTTP Basic or in the form.")
    return form["client_id"], form["client_secret"]


def _from_basic(authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    try:
        pair = b64decode(encoded.strip(), validate=True).decode() if scheme.lower() == "basic" else ""
        client_id, colon, secret = pair.partition(":")
        # RFC 6749 form-encodes both before base64; RFC 7617 does not.
        client_id, secret = unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except ValueError:  # not base64, not UTF-8, or a header that is not ASCII
        raise _unknown("The Authorization header is not HTTP Basic.") from None
    # PostgreSQL text cannot contain NUL, and no client id does.
    if not colon or "\0" in client_id:
        raise _unknown("The Authorization header is not HTTP Basic.")
    return client_id, secret


def _malformed(detail: str) -> Refused:
    return Refused("invalid-grant", detail)


def _unknown(detail: str) -> Refused:
    return Refused("invalid-client", detail)
