"""Checks that a text is a JWE sealed to the right key. Only the header is read; intake has no private key."""

from __future__ import annotations

from collections.abc import Collection

from contracts.sealed_text import not_sealed, require_sealed

__all__ = ["require_note_sealed_to", "require_sealed", "require_sealed_to"]


def require_sealed_to(jwe: str, kids: Collection[str], pointer: str) -> None:
    """Raises Refused `case-not-sealed` with the pointer unless the JWE is sealed to one of the keys."""
    if require_sealed(jwe, pointer) not in kids:
        raise not_sealed(pointer, "The JWE is not sealed to the receiver's current key.")


def require_note_sealed_to(jwe: str, kids: Collection[str]) -> None:
    """Raises Refused `case-not-sealed` with the pointer /note unless it is sealed to one of the keys."""
    if require_sealed(jwe, "/note") not in kids:
        raise not_sealed("/note", "The JWE is not sealed to a key of the note's receiver.")
