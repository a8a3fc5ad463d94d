"""A checkpoint that has been published."""

from __future__ import annotations

from dataclasses import dataclass

from services.audit.log.domain.checkpoint import Checkpoint


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A checkpoint as it can be fetched. note: with every cosignature it has gathered."""

    note: bytes
    checkpoint: Checkpoint

    @property
    def size(self) -> int:
        """The number of entries in the tree."""
        return self.checkpoint.size
