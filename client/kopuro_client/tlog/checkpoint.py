"""Checkpoints: what a log says of itself at one size, and who signed that.

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

# No leading zeroes, and no more digits than MAX_SIZE has: `int` is never given a long text.
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """origin: which log; size: leaves; root: 32 bytes; extensions: lines that nobody defined here.

    note: the whole signed note it was read from; signatures: those of the keys it was opened with.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...]
    note: SignedNote
    signatures: tuple[Signed, ...] = ()

    @classmethod
    def read(cls, note: SignedNote, signatures: tuple[Signed, ...] = ()) -> Self:
        """The note's text as a checkpoint. Raises MalformedError. Checks no signature."""
        origin, *rest = note.text.removesuffix("\n").split("\n")
        if len(rest) < 2 or not all([origin, *rest]):
            raise MalformedError("a checkpoint has an origin, a size and a root, a line each")
        size, root, *extensions = rest
        if not _SIZE.fullmatch(size) or int(size) > MAX_SIZE:
            raise MalformedError("a checkpoint's size is a decimal number without leading zeroes")
        digest = base64_text.decode(root, what="a checkpoint's root")
        if len(digest) != HASH_BYTES:
            raise MalformedError("a checkpoint's root has 32 bytes")
        return cls(
            origin=origin,
            size=int(size),
            root=digest,
            extensions=tuple(extensions),
            note=note,
            signatures=signatures,
        )


def parse_checkpoint(text: str | bytes, verifiers: Iterable[VerifierKey]) -> Checkpoint:
    """The checkpoint in a signed note that at least one of these keys signed.

    text: the whole note. `signatures` of the result are those of the verifiers, one for each; compare
    `origin` with the log that you mean. Raises MalformedError; UntrustedError where none of the
    verifiers signed, or where the signature of one is wrong.
    """
    note = SignedNote.parse(text)
    signatures = note.signatures_by(verifiers)
    if not signatures:
        raise UntrustedError("no key that is trusted here has signed the checkpoint")
    return Checkpoint.read(note, signatures)
