"""Checkpoints: a log's signed size and root hash.

Source: https://c2sp.org/tlog-checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from kopuro_client.tlog import base64_text
from kopuro_client.tlog.errors import MalformedError, UntrustedError
from kopuro_client.tlog.keys import VerifierKey
from kopuro_client.tlog.note import Signed, SignedNote
from kopuro_client.tlog.tree import HASH_BYTES, MAX_SIZE

# No leading zeroes, and no more digits than MAX_SIZE has, so that `int` never parses a long text.
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A log's checkpoint.

    origin: the log's name; size: number of leaves; root: 32 bytes; extensions: further lines, uninterpreted;
    note: the whole signed note; signatures: the verified ones.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...]
    note: SignedNote
    signatures: tuple[Signed, ...] = ()

    @classmethod
    def read(cls, note: SignedNote, signatures: tuple[Signed, ...] = ()) -> Self:
        """Parse a note's text as a checkpoint, without verifying signatures. Raises MalformedError."""
        origin, *rest = note.text.removesuffix("\n").split("\n")
        if len(rest) < 2 or not all([origin, *rest]):
            raise MalformedError("a checkpoint must have a line each for origin, size and root")
        size, root, *extensions = rest
        if not _SIZE.fullmatch(size) or int(size) > MAX_SIZE:
            raise MalformedError("a checkpoint's size must be a decimal number without leading zeroes")
        digest = base64_text.decode(root, what="a checkpoint's root")
        if len(digest) != HASH_BYTES:
            raise MalformedError("a checkpoint's root must have 32 bytes")
        return cls(
            origin=origin,
            size=int(size),
            root=digest,
            extensions=tuple(extensions),
            note=note,
            signatures=signatures,
        )


def parse_checkpoint(text: str | bytes, verifiers: Iterable[VerifierKey]) -> Checkpoint:
    """Return the checkpoint in a signed note that at least one of these keys signed.

    text: the whole note. The result's `signatures` are the verified ones, one per key; compare its `origin`
    with the expected log. Raises MalformedError, or UntrustedError if none of the keys signed or if the
    signature of one is invalid.
    """
    note = SignedNote.parse(text)
    signatures = note.signatures_by(verifiers)
    if not signatures:
        raise UntrustedError("no trusted key has signed the checkpoint")
    return Checkpoint.read(note, signatures)
