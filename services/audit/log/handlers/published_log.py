"""The published log: its checkpoints, and the nodes of its tree from files and a cache."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from contracts.errors import Defect, Unavailable
from services.audit.log.domain.head import CheckpointKeys
from services.audit.log.domain.merkle import HASH_BYTES, Proof, prove_inclusion
from services.audit.log.domain.note import NoteError, Signature, with_signatures
from services.audit.log.domain.published import PublishedCheckpoint
from services.audit.log.domain.tiles import HEIGHT, WIDTH, Subtrees, Tile, shortened
from services.audit.log.ports import LogPublication

CHECKPOINT: Final = "checkpoint"
# The newest checkpoint with as many cosignatures as the policy requires.
COSIGNED: Final = "cosigned-checkpoint"
# Tiles are cached in halves of four levels, about 1 kB each. An upper half is expensive because it is
# computed from all 256 hashes of a tile: the cache holds those of eight million entries. A lower half costs
# 15 hashes and one file read.
KEPT_UPPER: Final = 32_768
KEPT_LOWER: Final = 4_096
_HALF: Final = HEIGHT // 2
_ROW: Final = 1 << _HALF


class PublicationDamaged(Defect):
    """The published log contradicts this log. Nothing more may be published."""


class PublishedLog:
    """The view of one process. Only `refresh` updates `current`, and its size never decreases."""

    def __init__(self, publication: LogPublication, key: CheckpointKeys) -> None:
        self._publication = publication
        self._key = key
        self._upper: dict[tuple[int, int], Subtrees] = {}
        self._lower: dict[tuple[int, int], Subtrees] = {}
        self._edge: dict[tuple[int, int], Subtrees] = {}
        self._changing = threading.Lock()
        self.current: PublishedCheckpoint | None = None
        self.cosigned: PublishedCheckpoint | None = None

    @property
    def size(self) -> int:
        """The size of the published tree; 0 before the first checkpoint."""
        return 0 if self.current is None else self.current.size

    @property
    def verifier_key(self) -> str:
        """The newest public key that has signed what is published, as signed notes write it."""
        published = (self.current, self.cosigned)
        return self._key.verifier_key_of([one.note for one in published if one is not None])

    def newest(self) -> PublishedCheckpoint:
        """Return the published checkpoint. Raises Unavailable until the first one is published."""
        if self.current is None:
            raise Unavailable("The log's first checkpoint is not published yet.", retry_after=1)
        return self.current

    def inclusion(self, index: int, size: int) -> Proof:
        """Return the inclusion proof of entry `index` in the published tree of `size` entries."""
        return prove_inclusion(index, size, self.node)

    def refresh(self) -> None:
        """Read the published checkpoints. Raises PublicationDamaged, PublicationUnavailable."""
        with self._changing:
            self._refresh()

    def advance(self, note: bytes) -> None:
        """Publish a checkpoint of this log, after all tiles of its tree have been published."""
        with self._changing:
            # Another process may have published a larger checkpoint meanwhile, which then stays.
            self._refresh()
            if self.size <= self._key.read(note).size:
                self._publication.swap(CHECKPOINT, note)
                self._refresh()

    def cosign(self, size: int, signatures: Sequence[Signature], note: bytes, *, counts: bool) -> None:
        """Publish cosignatures of checkpoint `note`, whose tree has `size` entries.

        counts: whether they satisfy the policy. If a larger checkpoint has been published meanwhile, this one
        is published only as the newest cosigned checkpoint.
        """
        with self._changing:
            self._refresh()
            signed = with_signatures(note, signatures)
            if counts and (self.cosigned is None or self.cosigned.size <= size):
                self._publication.swap(COSIGNED, signed)
            if self.current is not None and self.current.size == size:
                self._publication.swap(CHECKPOINT, signed)
            self._refresh()

    def covering(self, index: int) -> PublishedCheckpoint | None:
        """Return the newest cosigned checkpoint that covers the entry, else the published one, else None."""
        for published in (self.cosigned, self.current):
            if published is not None and published.size > index:
                return published
        return None

    def file(self, tile: Tile) -> bytes | None:
        """Return a tile's content; None beyond the published size and for partial tiles that are full now.

        Every narrower version of a partial tile exists, cut from the present one. Otherwise, the widths that
        exist would show everybody how many entries each publication had.
        """
        nodes = self.size >> max(tile.tree_level, 0)
        if tile.stop > nodes:
            return None
        stored = Tile(level=tile.level, index=tile.index, width=min(WIDTH, nodes - tile.start))
        if stored.is_full and not tile.is_full:
            return None
        content = self._publication.read(stored.path)
        return content if content is None or tile == stored else shortened(tile, content)

    def node(self, tree_level: int, index: int, /) -> bytes:
        """Return the hash of a node of the published tree (a `merkle.HashReader`). Raises Defect."""
        half, depth = tree_level // _HALF, tree_level % _HALF
        number = index << depth >> _HALF
        key = (half, number)
        subtrees = self._lower.get(key) or self._upper.get(key) or self._edge.get(key)
        if subtrees is None:
            subtrees = self._load(half, number)
        return subtrees.node(depth, index - (number << _HALF >> depth))

    def _load(self, half: int, number: int) -> Subtrees:
        """Load the half of a tile over the 16 nodes of tree level `4 * half` from `16 * number` on."""
        level, is_upper = divmod(half, 2)
        tile_number = number if is_upper else number // _ROW
        nodes = self.size >> level * HEIGHT
        tile = Tile(level=level, index=tile_number, width=max(1, min(WIDTH, nodes - tile_number * WIDTH)))
        rows = self._rows(tile)
        try:
            if is_upper:
                full = [row for row in rows if len(row) == _ROW * HASH_BYTES]
                subtrees = Subtrees(b"".join([Subtrees(row).node(_HALF, 0) for row in full]))
            else:
                subtrees = Subtrees(rows[number % _ROW])
        except (ValueError, IndexError):
            raise Defect("A tile of the published log is missing or truncated.") from None
        if not tile.is_full:
            self._edge[half, number] = subtrees
            return subtrees
        kept, most = (self._upper, KEPT_UPPER) if is_upper else (self._lower, KEPT_LOWER)
        while len(kept) >= most:
            kept.pop(next(iter(kept)), None)
        kept[half, number] = subtrees
        return subtrees

    def _rows(self, tile: Tile) -> list[bytes]:
        content = self._publication.read(tile.path)
        if content is None and not tile.is_full:
            # Another process has published the full tile meanwhile and removed the partial ones.
            content = self._publication.read(Tile(level=tile.level, index=tile.index).path)
        content = (content or b"")[: tile.width * HASH_BYTES]
        return [content[at : at + _ROW * HASH_BYTES] for at in range(0, len(content), _ROW * HASH_BYTES)]

    def _refresh(self) -> None:
        self.cosigned = self._read(COSIGNED, self.cosigned)
        current = self._read(CHECKPOINT, self.current)
        if current is not None and current.size != self.size:
            # Wider tiles have replaced the partial ones.
            self._edge = {}
        self.current = current

    def _read(self, path: str, known: PublishedCheckpoint | None) -> PublishedCheckpoint | None:
        note = self._publication.read(path)
        if note is None:
            if known is not None:
                raise PublicationDamaged("The published checkpoint has disappeared.")
            return None
        if known is not None and known.note == note:
            return known
        try:
            checkpoint = self._key.read(note)
        except NoteError:
            raise PublicationDamaged("The published checkpoint was not signed with this log's key.") from None
        if checkpoint.origin != self._key.origin:
            raise PublicationDamaged("The published checkpoint belongs to another log.")
        if known is not None and checkpoint.size < known.size:
            raise PublicationDamaged("The published checkpoint is smaller than before.")
        return PublishedCheckpoint(note=note, checkpoint=checkpoint)
