"""A sealed case as the vault keeps it: a compact JWE (RFC 7516 §7.1), cut between its key and its content.

The sender's library made a fresh random key for this one case, encrypted the content with it (A256GCM), and
wrapped it for the custody key (ECDH-ES+A256KW; RFC 7518 §4.6). So each JWE brings the data key of its own
referral, wrapped by the custody key: the vault need not make another. `wrapped_key` is that key, `ciphertext`
is useless without it, and whoever destroys `wrapped_key` has erased the case, wherever a copy of
`ciphertext` may still lie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from contracts.errors import Refused
from contracts.jose import CONTENT_ENCRYPTION, HEADER_MEMBERS, KEY_MANAGEMENT, decoded


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class SealedCase:
    """wrapped_key: `<protected header>.<encrypted key>`; ciphertext: `<iv>.<ciphertext>.<tag>`."""

    wrapped_key: str
    ciphertext: str

    @classmethod
    def split(cls, compact: str) -> SealedCase:
        """Cuts a compact JWE in two. Raises Refused `case-unreadable` unless it has five parts."""
        parts = compact.split(".")
        if len(parts) != 5 or not all(parts):
            raise unreadable("The case is not a JWE in compact serialisation with a wrapped key.")
        return cls(wrapped_key=".".join(parts[:2]), ciphertext=".".join(parts[2:]))

    def whole(self) -> str:
        """The JWE as it came."""
        return f"{self.wrapped_key}.{self.ciphertext}"

    def kid(self) -> str:
        """The id of the key that this is sealed to. Raises Refused `case-unreadable`, as `header` does."""
        kid: str = self.header()["kid"]
        return kid

    def header(self) -> dict[str, Any]:
        """The protected header: only what is allowed, and a `kid`. Raises Refused `case-unreadable`."""
        header = _header(self.wrapped_key.partition(".")[0])
        if (header.get("alg"), header.get("enc")) != (KEY_MANAGEMENT, CONTENT_ENCRYPTION):
            raise unreadable(f"The case must be sealed with {KEY_MANAGEMENT} and {CONTENT_ENCRYPTION}.")
        if "zip" in header:
            raise unreadable("The case must not be compressed before it is sealed.")
        if not header.keys() <= HEADER_MEMBERS:
            raise unreadable("The header of the sealed case has members that are not understood here.")
        if not isinstance(header.get("kid"), str):
            raise unreadable("The header of the sealed case does not name its key (`kid`).")
        return header


def unreadable(detail: str) -> Refused:
    """The refusal of a case; its detail never repeats anything of the case."""
    return Refused("case-unreadable", detail)


def _header(segment: str) -> dict[str, Any]:
    try:
        header = orjson.loads(decoded(segment))
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise unreadable("The header of the sealed case cannot be read.")
    return header
