"""Commitments: salted hashes that a log keeps of content that is stored elsewhere.

Content and salt together prove that they were committed to. Without the salt nobody can guess the content.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Final

from contracts.identifiers import Pattern

SALT_BYTES: Final = 32

Commitment = Annotated[
    str, Pattern(r"^sha256:[0-9a-f]{64}$", error="Must be `sha256:` and 64 lower-case hexadecimal digits.")
]


def commitment_to(content: bytes, salt: bytes) -> str:
    """Return `sha256:` and the hex SHA-256 of the salt followed by the content.

    salt: 32 random bytes, unique to this content. Raises ValueError for a salt of another length.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError("a salt has 32 bytes")
    return "sha256:" + sha256(salt + content).hexdigest()
