"""Keys in a hub's responses."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class Jwk(TypedDict):
    """A sealing key (RFC 7517, RFC 8037). x: the public key; d: the private key; kid: the thumbprint."""

    kty: str
    crv: str
    x: str
    kid: str
    d: NotRequired[str]


# `from` is a keyword, so the class syntax cannot name it.
KeptKey = TypedDict(
    "KeptKey",
    {
        "key": Jwk,
        "from": str,
        "until": str | None,
        "manner": str,
        "by": str,
        "approved_by": str | None,
    },
)
