"""A sealed case as the vault stores it: a compact JWE (RFC 7516 §7.1), split into its key and its content.

The sender's library generated a random key for this case, encrypted the content with it (A256GCM) and wrapped
it for the custody key (ECDH-ES+A256KW; RFC 7518 §4.6). Each JWE thus contains its own wrapped data key, and
the vault does not need another one. `ciphertext` is useless without `wrapped_key`, so deleting `wrapped_key`
erases the case even if copies of `ciphertext` remain.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from contracts.errors import Refused
from contracts.jose import CONTENT_ENCRYPTION, HEADER_MEMBERS, KEY_MANAGEMENT, LONGEST_HEADER, decoded
from contracts.quick_init import quick_init


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class SealedCase:
    """A split JWE.

    wrapped_key: `<protected header>.<encrypted key>`; ciphertext: `<iv>.<ciphertext>.<tag>`.
    """

    wrapped_key: str
    ciphertext: str

    @classmethod
    def split(cls, compact: str) -> SealedCase:
        """Split a compact JWE. Raises Refused `case-unreadable` unless it has five parts."""
        parts = compact.split(".", 5)
        if len(parts) != 5 or not all(parts):
            raise unreadable("The case is not a JWE in compact serialisation with a wrapped key.")
        return cls(wrapped_key=".".join(parts[:2]), ciphertext=".".join(parts[2:]))

    def whole(self) -> str:
        """Return the original compact JWE."""
        return f"{self.wrapped_key}.{self.ciphertext}"

    def kid(self) -> str:
        """Return the id of the recipient's key. Raises Refused `case-unreadable`, as `header` does."""
        kid: str = self.header()["kid"]
        return kid

    def header(self) -> dict[str, Any]:
        """Return the protected header. Raises Refused `case-unreadable` if it is invalid or has no `kid`."""
        header = _header(self.wrapped_key.partition(".")[0])
        if (header.get("alg"), header.get("enc")) != (KEY_MANAGEMENT, CONTENT_ENCRYPTION):
            raise unreadable(f"The case must be sealed with {KEY_MANAGEMENT} and {CONTENT_ENCRYPTION}.")
        if "zip" in header:
            raise unreadable("The case must not be compressed.")
        if not header.keys() <= HEADER_MEMBERS:
            raise unreadable("The header of the sealed case has unsupported members.")
        if not isinstance(header.get("kid"), str):
            raise unreadable("The header of the sealed case must name its key (`kid`).")
        return header


def unreadable(detail: str) -> Refused:
    """Return the refusal of a case. detail: must not quote the case."""
    return Refused("case-unreadable", detail)


@lru_cache(maxsize=256)  # a release reads it twice, and it is public
def _header(segment: str) -> dict[str, Any]:
    """Return the header, which nobody may change."""
    if len(segment) > LONGEST_HEADER:
        raise unreadable(f"The header of the sealed case is longer than {LONGEST_HEADER} characters.")
    try:
        header = orjson.loads(decoded(segment))
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise unreadable("The header of the sealed case cannot be read.")
    return header
