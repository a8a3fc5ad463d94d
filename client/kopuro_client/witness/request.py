"""The body of an add-checkpoint request. Source: https://c2sp.org/tlog-witness."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

from kopuro_client.tlog import base64_text
from kopuro_client.tlog.errors import MalformedError
from kopuro_client.tlog.note import SignedNote
from kopuro_client.tlog.tree import HASH_BYTES, MAX_SIZE

_OLD: Final = re.compile(r"old (0|[1-9][0-9]{0,18})")
MAX_PROOF: Final = 63


@dataclass(frozen=True, kw_only=True, slots=True)
class AddCheckpoint:
    """A request for a cosignature.

    old_size: size that the requester believes the witness last cosigned; proof: consistency proof from there
    to the note's tree.
    """

    old_size: int
    proof: tuple[bytes, ...]
    note: SignedNote

    def __str__(self) -> str:
        lines = [f"old {self.old_size}", *map(base64_text.encode, self.proof), "", str(self.note)]
        return "\n".join(lines)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Parse a request body, as `str` writes it. Raises MalformedError."""
        try:
            head, separator, note = body.decode().partition("\n\n")
        except UnicodeDecodeError:
            raise MalformedError("the request is not UTF-8 text") from None
        first, *hashes = head.split("\n")
        old = _OLD.fullmatch(first)
        if old is None or not separator or int(old[1]) > MAX_SIZE:
            raise MalformedError("the request must be `old <size>`, a proof, an empty line and a checkpoint")
        if len(hashes) > MAX_PROOF:
            raise MalformedError(f"the proof has more than {MAX_PROOF} hashes")
        proof = tuple(base64_text.decode(line, what="a line of the proof") for line in hashes)
        if any(len(digest) != HASH_BYTES for digest in proof):
            raise MalformedError("a line of the proof is not a hash of 32 bytes")
        return cls(old_size=int(old[1]), proof=proof, note=SignedNote.parse(note))
