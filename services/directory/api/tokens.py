"""Tokens, the keys that verify them, and proofs of changes."""

from __future__ import annotations

from contracts.responses.directory import AccessToken
from runtime.access.signer import LIFETIME_SECONDS
from runtime.web.request import Request
from runtime.web.response import Response
from services.directory.client_authentication import PROOF_HEADER, SignedAssertion, credentials_of, provable
from services.directory.handlers import DirectoryHandlers


def token(handlers: DirectoryHandlers, request: Request) -> Response:
    """Issue a token. Source: RFC 6749 §5.1."""
    credentials = credentials_of(request)
    if isinstance(credentials, SignedAssertion):
        issued = handlers.tokens.issue_for(credentials.assertion, credentials.client_id)
    else:
        issued = handlers.tokens.issue(credentials.client_id, credentials.secret)
    return Response.of(
        AccessToken(
            access_token=issued,
            token_type="Bearer",  # noqa: S106 - the name of a kind of token
            expires_in=LIFETIME_SECONDS,
        ),
        headers={"Pragma": "no-cache"},
    )


def token_keys(handlers: DirectoryHandlers) -> Response:
    """Return the public keys that verify tokens. Source: RFC 7517 §8.5.1."""
    return Response.json(handlers.server.keys(), headers={"Content-Type": "application/jwk-set+json"})


def proved(handlers: DirectoryHandlers, request: Request) -> Request:
    """Return the request once its proof is checked. Every change of the directory passes here.

    Raises Refused `proof-required`, `invalid-proof` and `clock-skew`.
    """
    handlers.proofs.check(request.principal, provable(request), request.headers.get(PROOF_HEADER))
    return request
