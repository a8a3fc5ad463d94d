"""Inclusion proofs as text files that can be verified offline.

Source: https://c2sp.org/tlog-proof.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

from kopuro_client.tlog import base64_text
from kopuro_client.tlog.errors import MalformedError
from kopuro_client.tlog.policy import AcceptedCheckpoint, TrustPolicy
from kopuro_client.tlog.tree import leaf_hash, verify_inclusion

HEADER: Final = "c2sp.org/tlog-proof@v1"
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,18})")
# A tree has fewer than 2**63 leaves.
LONGEST: Final = 63


@dataclass(frozen=True, kw_only=True, slots=True)
class ProofFile:
    """A proof. hashes: the audit path; note: the checkpoint's, unverified; extra: unauthenticated bytes."""

    index: int
    hashes: tuple[bytes, ...]
    note: str
    extra: bytes | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a proof file. Raises MalformedError."""
        head, separator, note = text.partition("\n\n")
        first, *lines = head.split("\n")
        if first != HEADER or not separator:
            raise MalformedError(f"a proof must begin with {HEADER} and end with a checkpoint")
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = base64_text.decode(lines.pop(0).removeprefix("extra "), what="the proof's extra data")
        index = _INDEX.fullmatch(lines[0]) if lines else None
        if index is None or len(lines) - 1 > LONGEST:
            raise MalformedError("a proof must have an index and at most 63 hashes")
        hashes = tuple(base64_text.decode(line, what="a hash of the proof") for line in lines[1:])
        return cls(index=int(index[1]), hashes=hashes, note=note, extra=extra)

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        lines = [HEADER]
        if self.extra is not None:
            lines.append(f"extra {base64_text.encode(self.extra)}")
        lines += [f"index {self.index}", *map(base64_text.encode, self.hashes)]
        return "\n".join(lines) + f"\n\n{self.note}"

    def verify(self, leaf: bytes, policy: TrustPolicy) -> AcceptedCheckpoint:
        """Return the accepted checkpoint if its tree has the leaf at the index.

        Raises MalformedError, UntrustedError, ProofError.
        """
        accepted = policy.accept(self.note)
        head = accepted.checkpoint
        verify_inclusion(leaf_hash(leaf), self.index, head.size, self.hashes, head.root)
        return accepted
