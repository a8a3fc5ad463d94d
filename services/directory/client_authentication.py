"""Client authentication: by secret or assertion at the token endpoint, and by a proof of each change.

Source: RFC 6749 §2.3.1, §4.4.2; RFC 7617; RFC 7521 §4.2.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

from contracts.errors import Refused
from runtime.web.operation import FORM
from runtime.web.request import Request
from services.directory.domain.client_assertion import ASSERTION_TYPE
from services.directory.domain.request_proof import ProvableRequest

PROOF_HEADER: Final = "kopuro-proof"

_VARIABLE: Final = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedSecret:
    """A client id and its secret, as `client_secret_basic` or `client_secret_post` sends them."""

    client_id: str
    secret: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedAssertion:
    """A client assertion, as `private_key_jwt` sends it. client_id: the form's, which is optional."""

    assertion: str
    client_id: str | None = None


def credentials_of(request: Request) -> SharedSecret | SignedAssertion:
    """Return the credentials of a token request: a client assertion, HTTP Basic, or the form's.

    Raises Refused: `invalid-token-request`, `unsupported-grant-type`, `invalid-scope`, and `invalid-client`
    if the request has no usable credentials.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in ("", FORM):
        raise _malformed(f"Send a form: `Content-Type` must be {FORM}.")
    try:
        form = request.form()
    except Refused as fault:
        raise _malformed(fault.detail) from None
    grant = form.get("grant_type")
    if not grant:
        raise _malformed("Send a form with `grant_type=client_credentials`.")
    if grant != "client_credentials":
        raise Refused("unsupported-grant-type", "The only grant type is `client_credentials`.")
    if form.get("scope"):
        raise Refused("invalid-scope", "Leave `scope` out: a token has the roles of its client.")
    authorization = request.headers.get("authorization", "")
    ways = ("client_assertion" in form, "client_secret" in form, bool(authorization))
    if sum(ways) > 1:
        raise _malformed("Send one of HTTP Basic, `client_secret` and `client_assertion`, not several.")
    if "client_assertion" in form or "client_assertion_type" in form:
        return _assertion(form)
    return _from_basic(authorization) if authorization else _from_form(form)


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


def _assertion(form: Mapping[str, str]) -> SignedAssertion:
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise _malformed(f"`client_assertion_type` must be `{ASSERTION_TYPE}`.")
    if not form.get("client_assertion"):
        raise _malformed("`client_assertion` is missing.")
    return SignedAssertion(assertion=form["client_assertion"], client_id=form.get("client_id"))


def _from_form(form: Mapping[str, str]) -> SharedSecret:
    if not form.get("client_id") or not form.get("client_secret"):
        raise _unknown("Send the client's id and secret by HTTP Basic or in the form, or a client assertion.")
    return SharedSecret(client_id=form["client_id"], secret=form["client_secret"])


def _from_basic(authorization: str) -> SharedSecret:
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
    return SharedSecret(client_id=client_id, secret=secret)


def _malformed(detail: str) -> Refused:
    return Refused("invalid-token-request", detail)


def _unknown(detail: str) -> Refused:
    return Refused("invalid-client", detail)
