"""Checkpoints: the signed statement of a log's size and root hash.

Source: https://c2sp.org/tlog-checkpoint (v1.0.0).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from contracts import base64_text
from services.audit.log.domain.merkle import HASH_BYTES, MAX_SIZE
from services.audit.log.domain.note import NoteError

# No leading zeroes, and no more digits than MAX_SIZE has, so that `int` is never given a long text.
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_CONTROL = re.compile(r"[\x00-\x1f]")


class MalformedCheckpoint(NoteError):
    """The text is not a checkpoint, or the values cannot form one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """Size and root hash of a log. Raises MalformedCheckpoint.

    origin: the name of the log, usually its URL prefix without a scheme; its key has the same name.
    root: 32 bytes. extensions: opaque lines, best left empty because nobody audits them.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if any(not line or _CONTROL.search(line) for line in (self.origin, *self.extensions)):
            raise MalformedCheckpoint("lines must not be empty or contain control characters")
        if not 0 <= self.size <= MAX_SIZE:
            raise MalformedCheckpoint("a tree has between 0 and 2**63 - 1 leaves")
        if len(self.root) != HASH_BYTES:
            raise MalformedCheckpoint("a root has 32 bytes")

    def format(self) -> str:
        """Return the text to sign: origin, size, root in base64, extensions, one per line."""
        root = base64_text.encoded(self.root)
        return "".join(f"{line}\n" for line in (self.origin, self.size, root, *self.extensions))

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Parse the output of `format`, and no other spelling. Raises MalformedCheckpoint.

        Does not verify the author: open the note first, then compare the origin.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() != "":
            raise MalformedCheckpoint("a checkpoint has an origin, a size and a root, a line each")
        origin, size, encoded, *extensions = lines
        if not _SIZE.fullmatch(size):
            raise MalformedCheckpoint("the size is a decimal number without leading zeroes")
        try:
            root = base64_text.decoded(encoded)
        except ValueError:
            raise MalformedCheckpoint("the root is not in canonical base64") from None
        return cls(origin=origin, size=int(size), root=root, extensions=tuple(extensions))
