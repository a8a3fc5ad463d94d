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


def commitment_to(content: bytes, salt: bytes, *, domain: bytes = b"") -> str:
    """Return `sha256:` and the hex SHA-256 of the domain, the salt and the content, concatenated.

    salt: 32 random bytes, unique to this content. domain: a fixed text of what is committed to, so that a
    commitment of one kind never opens as another. Raises ValueError for a salt of another length.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError("a salt has 32 bytes")
    return "sha256:" + sha256(domain + salt + content).hexdigest()
