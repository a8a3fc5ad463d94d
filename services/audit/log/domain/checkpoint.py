"""Checkpoints: what a log says about itself at one size, as the text that is signed as a note.

Source: https://c2sp.org/tlog-checkpoint (v1.0.0).
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from services.audit.log.domain.merkle import HASH_BYTES, MAX_SIZE
from services.audit.log.domain.note import NoteError

# No leading zeroes, and no more digits than MAX_SIZE has, so that `int` is never given a long text.
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_CONTROL = re.compile(r"[\x00-\x1f]")


class MalformedCheckpoint(NoteError):
    """The text is not a checkpoint's, or the values cannot be written as one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """The head of a log: the hash over its first `size` leaves. Raises MalformedCheckpoint.

    origin: names the log, usually the address of its prefix without a scheme; the log signs under
    the same name. root: 32 bytes. extensions: opaque lines, best left empty: nobody audits them.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if any(not line or _CONTROL.search(line) for line in (self.origin, *self.extensions)):
            raise MalformedCheckpoint("a line is not empty and has no control characters")
        if not 0 <= self.size <= MAX_SIZE:
            raise MalformedCheckpoint("a tree has between 0 and 2**63 - 1 leaves")
        if len(self.root) != HASH_BYTES:
            raise MalformedCheckpoint("a root has 32 bytes")

    def format(self) -> str:
        """The text to sign: origin, size, root in base64, extensions, each on a line."""
        root = base64.b64encode(self.root).decode("ascii")
        return "".join(f"{line}\n" for line in (self.origin, self.size, root, *self.extensions))

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """What `format` wrote, accepted in that one spelling only. Raises MalformedCheckpoint.

        Says nothing of whose checkpoint it is: open the note first, then compare the origin.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() != "":
            raise MalformedCheckpoint("a checkpoint has an origin, a size and a root, a line each")
        origin, size, encoded, *extensions = lines
        if not _SIZE.fullmatch(size):
            raise MalformedCheckpoint("the size is a decimal number without leading zeroes")
        try:
            root = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise MalformedCheckpoint("the root is written in base64") from None
        checkpoint = cls(origin=origin, size=int(size), root=root, extensions=tuple(extensions))
        if checkpoint.format() != text:
            raise MalformedCheckpoint("the root is not in canonical base64")
        return checkpoint
