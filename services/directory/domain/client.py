"""OAuth clients and the storage of their secrets.

A secret is 256 random bits, never a chosen password. It cannot be guessed by brute force, so plain SHA-256 is
enough; a slow, salted hash would only slow down the token endpoint. The hub sees only a digest of a secret
that its owner made. So it refuses the digests of texts that everybody knows. At the token endpoint it refuses
every secret that is too short.
"""

from __future__ import annotations

import datetime as dt
import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from secrets import randbelow
from typing import Annotated, Final

from marshmallow.validate import Length

from contracts.base64_text import decoded
from contracts.identifiers import Pattern
from services.directory.domain.client_key import ClientKey

SECRET_BYTES: Final = 32
# Characters. Long enough to rule out chosen passwords; randomness cannot be checked here.
MINIMUM_SECRET: Final = 32
# Removed keys that are remembered until their tokens have expired.
MOST_ENDED_KEYS: Final = 20
# The largest step from one epoch of tokens to the next: nobody guesses it within a token's validity.
EPOCH_STEPS: Final = 2**32
# How long a rotated secret is still accepted: enough for a partner to change it everywhere.
OVERLAP: Final = dt.timedelta(hours=24)

ClientId = Annotated[
    str,
    Pattern(
        r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        error="Must consist of letters, digits, `.`, `_` and `-`, and begin with a letter or digit.",
    ),
    Length(max=100),
]
# An organisation's id, or the name of a person or a team.
PrincipalId = Annotated[
    str,
    Pattern(
        r"^[a-z0-9]+([._-][a-z0-9]+)*$",
        error="Must consist of lower-case letters and digits in parts separated by one `.`, `_` or `-`.",
    ),
    Length(max=100),
]
# RabbitMQ's `rabbit_password_hashing_sha256`: base64 of four bytes of salt and a digest.
AmqpPasswordHash = Annotated[
    str, Pattern(r"^[A-Za-z0-9+/]{48}$", error="Must be base64 of four bytes of salt and a SHA-256 digest.")
]
ClientSecret = Annotated[str, Length(min=MINIMUM_SECRET, max=200)]
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
class RetiringSecret:
    """A secret that was replaced without an outage: it is accepted until that time."""

    sha256: str
    until: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class EndedKey:
    """A key that was removed, by its thumbprint. Tokens that it got are refused; until: they have expired."""

    key: str
    until: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """An OAuth client. principal: the subject of its tokens; secret_sha256: hexadecimal.

    secret_sha256 is empty for a client that has keys only. live: it may get tokens; a revoked client is not
    live and keeps its entry. keys: with which the client signs instead of showing a secret.
    secret_expires_at: None for no end. retiring: the secret before the present one, which is still accepted.
    token_epoch: it grows by a random step when its tokens are revoked; those of another epoch are refused. A
    number, not a time: neither a token request during the revocation nor a wrong clock escapes it.
    not_before: the time of the last revocation, in whole seconds, which its notice names; None: never.
    ended_keys: removed keys whose tokens may not have expired, at most MOST_ENDED_KEYS.
    amqp_password_hash: of a client of the gateway, the password at the partners' broker that waits for the
    gateway; empty: none waits. amqp_password_by: the client that asked for the last one; empty: none did.
    root: operators have named it the organisation's first client, whatever the order of registration; of one
    client of an organisation at most.
    """

    id: str
    principal: str
    roles: tuple[Role, ...]
    secret_sha256: str
    live: bool = True
    keys: tuple[ClientKey, ...] = ()
    secret_expires_at: dt.datetime | None = None
    retiring: RetiringSecret | None = None
    not_before: dt.datetime | None = None
    token_epoch: int = 0
    amqp_password_hash: str = ""
    ended_keys: tuple[EndedKey, ...] = ()
    amqp_password_by: str = ""
    root: bool = False

    def secret_known(self, secret: str, now: dt.datetime) -> str | None:
        """Return the digest of the client's own secret that this is, in constant time; else None.

        None also for a client that is not live, and for a secret that has expired or is too short.
        """
        shown = digest(secret)
        retiring = self.retiring or RetiringSecret(sha256="", until=now)
        is_present = hmac.compare_digest(shown, self.secret_sha256)
        is_retiring = hmac.compare_digest(shown, retiring.sha256)
        expired = self.secret_expires_at is not None and now >= self.secret_expires_at
        valid = (is_present and not expired) or (is_retiring and now < retiring.until)
        return shown if valid and self.live and len(secret) >= MINIMUM_SECRET else None

    def secrets(self, now: dt.datetime) -> tuple[str, ...]:
        """Return the digests of the secrets that are accepted, the present one first."""
        expired = self.secret_expires_at is not None and now >= self.secret_expires_at
        present = (self.secret_sha256,) if self.secret_sha256 and not expired else ()
        retiring = self.retiring
        return present if retiring is None or now >= retiring.until else (*present, retiring.sha256)

    def rotated(self, secret_sha256: str, now: dt.datetime, *, expires_at: dt.datetime | None) -> Client:
        """Return the client with a new secret; the present one is accepted for OVERLAP.

        While an earlier secret is accepted, that one keeps its time, and the present one ends at once.
        Otherwise an attacker that rotates twice would end the owner's. A repetition changes nothing.
        """
        if secret_sha256 == self.secret_sha256:
            return self
        retiring = self.retiring if self.retiring is not None and now < self.retiring.until else None
        if retiring is None and self.secret_sha256:
            ends = [moment for moment in (self.secret_expires_at, now + OVERLAP) if moment is not None]
            retiring = RetiringSecret(sha256=self.secret_sha256, until=min(ends))
        return replace(self, secret_sha256=secret_sha256, secret_expires_at=expires_at, retiring=retiring)

    def without_tokens(self, now: dt.datetime, draw: Callable[[int], int] = randbelow) -> Client:
        """Return the client whose tokens up to now are refused.

        draw: returns a number from 0 and below another one, random by default. The new epoch is not the next
        number, so that nobody forges tokens of it beforehand.
        """
        end = next_second(now)
        # Also if the clock was set back.
        not_before = end if self.not_before is None else max(end, self.not_before)
        return replace(
            self, not_before=not_before, token_epoch=self.token_epoch + 1 + draw(EPOCH_STEPS), ended_keys=()
        )

    def with_keys(self, keys: tuple[ClientKey, ...], now: dt.datetime, *, lifetime: dt.timedelta) -> Client:
        """Return the client with another set of keys. The tokens that a removed key got are refused.

        Other tokens stay valid, also those of a key that had expired: they have expired too, or will soon.
        All tokens are refused if a key returns whose tokens were, or if more keys were removed at once than
        are remembered. lifetime: of tokens.
        """
        if keys == self.keys:
            return self
        present = {key.thumbprint for key in keys}
        removed = {key.thumbprint for key in self.keys if key.is_valid(now)} - present
        ended = {each.key: each for each in self.ended_keys if each.until > now}
        changed = replace(self, keys=keys)
        if present & ended.keys():
            return changed.without_tokens(now)
        ended |= {key: EndedKey(key=key, until=now + lifetime) for key in removed}
        if len(ended) > MOST_ENDED_KEYS:
            return changed.without_tokens(now)
        return replace(changed, ended_keys=tuple(ended[key] for key in sorted(ended)))

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
    *,
    client_id: str,
    principal: str,
    roles: tuple[Role, ...],
    secret_sha256: str,
    keys: tuple[ClientKey, ...] = (),
    secret_expires_at: dt.datetime | None = None,
) -> Client:
    """Return a client with sorted roles whose secret and private keys only its owner knows."""
    return Client(
        id=client_id,
        principal=principal,
        roles=tuple(sorted(set(roles))),
        secret_sha256=secret_sha256,
        keys=keys,
        secret_expires_at=secret_expires_at,
    )


def was_issued_again(before: Client, after: Client) -> bool:
    """Return whether a change removed a secret or key and ended all tokens: somebody else may have had it.

    An owner that rotates its secret or replaces its keys ends only the tokens of removed keys. `with_keys`
    has two exceptions: a key that returns, and too many removed keys.
    """
    had, has = (
        {*(key.thumbprint for key in one.keys), one.secret_sha256, one.retiring and one.retiring.sha256}
        - {"", None}
        for one in (before, after)
    )
    return after.token_epoch != before.token_epoch and not had <= has


def next_second(moment: dt.datetime) -> dt.datetime:
    """Return the first whole second that is not before the moment."""
    whole = moment.replace(microsecond=0)
    return whole if whole == moment else whole + dt.timedelta(seconds=1)


def digest(secret: str) -> str:
    """Return the stored digest of a secret."""
    return sha256(secret.encode()).hexdigest()


def is_known_secret(secret_sha256: str, *names: str) -> bool:
    """Return whether everybody knows the digested text: an empty one, or one of the names.

    Either may have the end of a line, which a shell or an editor adds. names: the client's public names.
    """
    return any(digest(text) == secret_sha256 for text in _known_texts(names))


def is_known_password(password_hash: AmqpPasswordHash, *names: str) -> bool:
    """Return the same for a password at the partners' broker."""
    salted = decoded(password_hash)
    salt, shown = salted[:4], salted[4:]
    return any(sha256(salt + text.encode()).digest() == shown for text in _known_texts(names))


def _known_texts(names: tuple[str, ...]) -> Iterator[str]:
    for text in ("", *names):
        for end in ("", "\n", "\r\n"):
            yield text + end


# A placeholder, so that refusing an unknown client id takes as long as refusing a wrong secret.
NOBODY: Final = Client(id="", principal="", roles=(), secret_sha256="0" * 64)
