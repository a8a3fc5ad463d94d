"""OAuth clients and the storage of their secrets.

A secret is 256 random bits, never a chosen password. It cannot be guessed by brute force, so plain SHA-256 is
enough; a slow, salted hash would only slow down the token endpoint.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Final

from marshmallow.validate import Length

from contracts.identifiers import Pattern

SECRET_BYTES: Final = 32

ClientId = Annotated[
    str,
    Pattern(
        r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        error="Must be letters, digits, `.`, `_` or `-`, and begin with a letter or digit.",
    ),
    Length(max=100),
]
# An organisation's id, or the name of a person or a team.
PrincipalId = Annotated[
    str,
    Pattern(
        r"^[a-z0-9]+([._-][a-z0-9]+)*$",
        error="Must be lower-case letters and digits in parts separated by a single `.`, `_` or `-`.",
    ),
    Length(max=100),
]
# Long enough to rule out chosen passwords; randomness cannot be checked here.
ClientSecret = Annotated[str, Length(min=32, max=200)]
SecretDigest = Annotated[
    str, Pattern(r"^[0-9a-f]{64}$", error="Must be a SHA-256 digest in lower-case hexadecimal.")
]


class Role(StrEnum):
    """The roles of a principal."""

    partner = "partner"
    coordinator = "coordinator"
    auditor = "auditor"
    operator = "operator"


Roles = Annotated[tuple[Role, ...], Length(min=1, max=len(Role))]


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """An OAuth client. principal: the subject of its tokens; secret_sha256: hexadecimal.

    live: it may get tokens; a revoked client is not live and keeps its entry.
    """

    id: str
    principal: str
    roles: tuple[Role, ...]
    secret_sha256: str
    live: bool = True

    def knows(self, secret: str) -> bool:
        """Return whether the client is live and the secret is its own, in constant time."""
        return hmac.compare_digest(digest(secret), self.secret_sha256) and self.live

    @property
    def organization(self) -> str | None:
        """Return the organisation that the client acts as; None for a client of the hub's staff."""
        return self.principal if Role.partner in self.roles else None


def client(*, client_id: str, principal: str, roles: tuple[Role, ...], secret: str) -> Client:
    """Return a client with sorted roles and the digest of its secret."""
    return client_with_digest(
        client_id=client_id, principal=principal, roles=roles, secret_sha256=digest(secret)
    )


def client_with_digest(
    *, client_id: str, principal: str, roles: tuple[Role, ...], secret_sha256: str
) -> Client:
    """Return a client with sorted roles whose secret only its owner knows."""
    return Client(
        id=client_id,
        principal=principal,
        roles=tuple(sorted(set(roles))),
        secret_sha256=secret_sha256,
    )


def digest(secret: str) -> str:
    """Return the stored digest of a secret."""
    return sha256(secret.encode()).hexdigest()


# A placeholder, so that refusing an unknown client id takes as long as refusing a wrong secret.
NOBODY: Final = Client(id="", principal="", roles=(), secret_sha256="0" * 64)
