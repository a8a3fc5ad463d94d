"""The log as it is published: its checkpoint, and any node of its tree, from files and from memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from contracts.errors import Defect, Unavailable
from services.audit.log.domain.head import LogKey
from services.audit.log.domain.merkle import HASH_BYTES, Proof, prove_inclusion
from services.audit.log.domain.note import NoteError, Signature, with_signatures
from services.audit.log.domain.published import Published
from services.audit.log.domain.tiles import HEIGHT, WIDTH, Subtrees, Tile
from services.audit.log.ports import LogPublication

CHECKPOINT: Final = "checkpoint"
# The newest one that as many witnesses signed as the policy asks for.
COSIGNED: Final = "cosigned-checkpoint"
# A tile is kept in halves of four levels, some 1 kB each. An upper half is dear, for all 256 hashes of the
# tile go into it: those of eight million entries are kept. A lower half is 15 hashes and one read of a file.
KEPT_UPPER: Final = 32_768
KEPT_LOWER: Final = 4_096
_HALF: Final = HEIGHT // 2
_ROW: Final = 1 << _HALF


class PublicationDamaged(Defect):
    """What is published is not what this log says. Nothing may be published beside it."""


class PublishedLog:
    """One process's view. `current` moves on by `refresh` alone, and never backwards."""

    def __init__(self, publication: LogPublication, key: LogKey) -> None:
        self._publication = publication
        self._key = key
        self._upper: dict[tuple[int, int], Subtrees] = {}
        self._lower: dict[tuple[int, int], Subtrees] = {}
        self._edge: dict[tuple[int, int], Subtrees] = {}
        self._changing = threading.Lock()
        self.current: Published | None = None
        self.cosigned: Published | None = None

    @property
    def size(self) -> int:
        """Of the tree whose checkpoint is published; 0 when none is."""
        return 0 if self.current is None else self.current.size

    @property
    def verifier_key(self) -> str:
        """The log's public key, as signed notes write it."""
        return self._key.verifier_key

    def newest(self) -> Published:
        """The published checkpoint. Raises Unavailable until the first one is published."""
        if self.current is None:
            raise Unavailable("The log's first checkpoint is about to be published.", retry_after=1)
        return self.current

    def inclusion(self, index: int, size: int) -> Proof:
        """The proof that entry `index` is in the published tree of `size` entries."""
        return prove_inclusion(index, size, self.node)

    def refresh(self) -> None:
        """Looks at what is published now. Raises PublicationDamaged, PublicationUnavailable."""
        with self._changing:
            self._refresh()

    def advance(self, note: bytes) -> None:
        """Publishes a checkpoint of ours. Every tile of its tree must be there."""
        with self._changing:
            # Writing the tiles took its time. Where another process has published more, its word stands.
            self._refresh()
            if self.size <= self._key.read(note).size:
                self._publication.swap(CHECKPOINT, note)
                self._refresh()

    def cosign(self, size: int, signatures: Sequence[Signature], note: bytes, *, counts: bool) -> None:
        """Adds cosignatures of the tree of `size`, whose checkpoint is `note`, to what is published.

        counts: whether they fulfil the policy. A checkpoint that has been overtaken meanwhile is only
        published as the newest cosigned one.
        """
        with self._changing:
            self._refresh()
            signed = with_signatures(note, signatures)
            if counts and (self.cosigned is None or self.cosigned.size <= size):
                self._publication.swap(COSIGNED, signed)
            if self.current is not None and self.current.size == size:
                self._publication.swap(CHECKPOINT, signed)
            self._refresh()

    def covering(self, index: int) -> Published | None:
        """The checkpoint to show for an entry: the newest cosigned one, if it is old enough to have it."""
        for published in (self.cosigned, self.current):
            if published is not None and published.size > index:
                return published
        return None

    def file(self, tile: Tile) -> bytes | None:
        """A tile's content; None beyond what is published, and for a width that has been filled since."""
        if tile.stop > self.size >> max(tile.tree_level, 0):
            return None
        return self._publication.read(tile.path)

    def node(self, tree_level: int, index: int, /) -> bytes:
        """The hash of a node (a `merkle.HashReader`) within the published tree. Raises Defect."""
        half, depth = tree_level // _HALF, tree_level % _HALF
        number = index << depth >> _HALF
        key = (half, number)
        subtrees = self._lower.get(key) or self._upper.get(key) or self._edge.get(key)
        if subtrees is None:
            subtrees = self._load(half, number)
        return subtrees.node(depth, index - (number << _HALF >> depth))

    def _load(self, half: int, number: int) -> Subtrees:
        """The half of a tile over the 16 nodes of tree level `4 * half` from `16 * number` on."""
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
            raise Defect("A tile of the published log is missing or cut short.") from None
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
            # Another process has filled it meanwhile, and dropped the narrow ones.
            content = self._publication.read(Tile(level=tile.level, index=tile.index).path)
        content = (content or b"")[: tile.width * HASH_BYTES]
        return [content[at : at + _ROW * HASH_BYTES] for at in range(0, len(content), _ROW * HASH_BYTES)]

    def _refresh(self) -> None:
        self.cosigned = self._look(COSIGNED, self.cosigned)
        current = self._look(CHECKPOINT, self.current)
        if current is not None and current.size != self.size:
            # Wider tiles have taken their place.
            self._edge = {}
        self.current = current

    def _look(self, path: str, known: Published | None) -> Published | None:
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
            raise PublicationDamaged("The published checkpoint is that of another log.")
        if known is not None and checkpoint.size < known.size:
            raise PublicationDamaged("The published checkpoint has gone back.")
        return Published(note=note, checkpoint=checkpoint)
