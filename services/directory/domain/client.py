"""OAuth clients: who may ask for tokens, and how their secrets are kept.

A secret is 256 random bits that we (or the sandbox) drew, never a password somebody chose. Nobody can run
through so many guesses, so a slow, salted hash would buy nothing but slow tokens: plain SHA-256 is enough.
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

ClientId = Annotated[str, Pattern(r"^[A-Za-z0-9][A-Za-z0-9._-]*$", error="Not a client id."), Length(max=100)]
# An organisation's id, or the name of a person or a desk.
PrincipalId = Annotated[
    str, Pattern(r"^[a-z0-9]+([._-][a-z0-9]+)*$", error="Not the id of a principal."), Length(max=100)
]
# Long enough that nobody chose it; what it consists of cannot be checked from here.
ClientSecret = Annotated[str, Length(min=32, max=200)]


class Role(StrEnum):
    """What a token lets its holder do."""

    partner = "partner"
    coordinator = "coordinator"
    auditor = "auditor"
    operator = "operator"


Roles = Annotated[tuple[Role, ...], Length(min=1, max=len(Role))]


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """An OAuth client. principal: whom its tokens speak for; secret_sha256: hexadecimal."""

    id: str
    principal: str
    roles: tuple[Role, ...]
    secret_sha256: str

    def knows(self, secret: str) -> bool:
        """Whether it is the client's secret. Takes the same time for every wrong one."""
        return hmac.compare_digest(digest(secret), self.secret_sha256)


def client(*, client_id: str, principal: str, roles: tuple[Role, ...], secret: str) -> Client:
    """The client as it is kept: its roles in one order, its secret as a digest."""
    return Client(
        id=client_id,
        principal=principal,
        roles=tuple(sorted(set(roles))),
        secret_sha256=digest(secret),
    )


def digest(secret: str) -> str:
    """What is kept of a secret."""
    return sha256(secret.encode()).hexdigest()


# Nobody's. An unknown client id takes as long to refuse as a wrong secret.
NOBODY: Final = Client(id="", principal="", roles=(), secret_sha256="0" * 64)
