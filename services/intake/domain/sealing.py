"""Checks that a text is a JWE sealed to the right key. Only the header is read; intake has no private key."""

from __future__ import annotations

from collections.abc import Collection

from contracts.sealed_text import not_sealed, require_sealed

__all__ = ["require_note_sealed_to", "require_sealed", "require_sealed_to"]


def require_sealed_to(jwe: str, kids: Collection[str], pointer: str) -> str:
    """Return the id of the key. Raises Refused `case-not-sealed` with the pointer for another key."""
    kid = require_sealed(jwe, pointer)
    if kid not in kids:
        raise not_sealed(pointer, "The JWE is not sealed to the receiver's current key.")
    return kid


def require_note_sealed_to(jwe: str, kids: Collection[str]) -> str:
    """Return the id of the key. Raises Refused `case-not-sealed` with the pointer /note for another key."""
    kid = require_sealed(jwe, "/note")
    if kid not in kids:
        raise not_sealed("/note", "The JWE is not sealed to a key of the note's receiver.")
    return kid
