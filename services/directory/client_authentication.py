"""How a client says who it is at the token endpoint. Source: RFC 6749 §2.3.1, §4.4.2; RFC 7617."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from urllib.parse import unquote_plus

from contracts.errors import Refused
from runtime.web.request import Request


def client_of(request: Request) -> tuple[str, str]:
    """The id and the secret in a token request, by HTTP Basic or in the form.

    Raises Refused: `invalid-grant` for a request that is not one for client credentials, `invalid-client`
    for one that does not say who asks.
    """
    try:
        form = request.form()
    except Refused as fault:
        raise _malformed(fault.detail) from None
    if form.get("grant_type") != "client_credentials":
        raise _malformed("Send a form with `grant_type=client_credentials`: no other grant is given here.")
    authorization = request.headers.get("authorization", "")
    if not authorization:
        return _from_form(form)
    if "client_secret" in form:
        raise _malformed("Send the client's secret in one place, by HTTP Basic or in the form.")
    return _from_basic(authorization)


def _from_form(form: Mapping[str, str]) -> tuple[str, str]:
    if not form.get("client_id") or not form.get("client_secret"):
        raise _unknown("Send the client's id and secret by HTTP Basic, or in the form.")
    return form["client_id"], form["client_secret"]


def _from_basic(authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    try:
        pair = b64decode(encoded.strip(), validate=True).decode() if scheme.lower() == "basic" else ""
        client_id, colon, secret = pair.partition(":")
        # Both are form-encoded before base64, which is RFC 6749's and not RFC 7617's.
        client_id, secret = unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except (binascii.Error, UnicodeDecodeError):
        raise _unknown("The Authorization header is not HTTP Basic.") from None
    # PostgreSQL has no such text, and no client such an id.
    if not colon or "\0" in client_id:
        raise _unknown("The Authorization header is not HTTP Basic.")
    return client_id, secret


def _malformed(detail: str) -> Refused:
    return Refused("invalid-grant", detail)


def _unknown(detail: str) -> Refused:
    return Refused("invalid-client", detail)
