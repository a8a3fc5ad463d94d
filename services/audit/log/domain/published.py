"""Published checkpoints."""

from __future__ import annotations

from dataclasses import dataclass

from services.audit.log.domain.checkpoint import Checkpoint


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedCheckpoint:
    """A published checkpoint. note: the signed note with all collected cosignatures."""

    note: bytes
    checkpoint: Checkpoint

    @property
    def size(self) -> int:
        """The number of entries in the tree."""
        return self.checkpoint.size
