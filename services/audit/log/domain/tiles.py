"""Tiles: the tree and its entries as files that never change once they are full.

A **tile** of level `l` holds up to 256 adjacent nodes of tree level `8 * l`; an **entry bundle** holds the
leaves under one tile of level 0. A partial tile is published again as it grows, each width under its own
path, so that the content of a path never changes. The size of the tree determines the width of every tile.

Source: https://c2sp.org/tlog-tiles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from services.audit.log.domain.leaf import MAX_LEAF_BYTES
from services.audit.log.domain.merkle import HASH_BYTES, MAX_SIZE, node_hash

WIDTH: Final = 256
HEIGHT: Final = 8  # tree levels between two tile levels: 2**8 hashes become one
MAX_LEVEL: Final = 63
# The pseudo level of entry bundles.
ENTRIES: Final = -1

_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """A tile or entry bundle. level: or `ENTRIES`; index: within the level; width: 1 to 256."""

    level: int
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """The path without a leading slash: `tile/0/x001/067`, `tile/entries/000.p/12`."""
        suffix = "" if self.is_full else f".p/{self.width}"
        return f"{self._full_path()}{suffix}"

    @property
    def partial_folder(self) -> str:
        """The folder of the partial versions of this tile."""
        return f"{self._full_path()}.p"

    @property
    def is_full(self) -> bool:
        return self.width == WIDTH

    @property
    def start(self) -> int:
        """The index of the first node within its level, or of the first entry."""
        return self.index * WIDTH

    @property
    def stop(self) -> int:
        """The index after the last node or entry."""
        return self.start + self.width

    @property
    def tree_level(self) -> int:
        """The tree level of the nodes."""
        return self.level * HEIGHT

    def _full_path(self) -> str:
        level = "entries" if self.level == ENTRIES else str(self.level)
        groups = [f"{self.index % 1000:03}"]
        rest = self.index // 1000
        while rest:
            groups.append(f"x{rest % 1000:03}")
            rest //= 1000
        return "/".join(["tile", level, *reversed(groups)])

    @classmethod
    def parse(cls, path: str) -> Tile | None:
        """Return the tile of a path; None for any other path, including alternative spellings."""
        match = _PATH.fullmatch(path)
        if match is None:
            return None
        tile = cls(
            level=ENTRIES if match["level"] == "entries" else int(match["level"]),
            index=int(match["index"].replace("x", "").replace("/", "")),
            width=int(match["width"] or WIDTH),
        )
        # Rejects alternative spellings: partial width 256, leading groups of zeroes.
        known = tile.level <= MAX_LEVEL and tile.stop <= MAX_SIZE
        return tile if known and tile.path == path else None


def tiles_between(from_size: int, to_size: int) -> Iterator[Tile]:
    """Yield every tile of a log of `to_size` that a log of `from_size` lacks in this width."""
    for level in (ENTRIES, *range(MAX_LEVEL + 1)):
        shift = HEIGHT * max(level, 0)
        before, after = from_size >> shift, to_size >> shift
        if after == 0:
            return
        for index in range(before // WIDTH, -(-after // WIDTH)):
            tile = Tile(level=level, index=index, width=min(WIDTH, after - index * WIDTH))
            if tile.stop > before:
                yield tile


def shortened(tile: Tile, content: bytes) -> bytes:
    """Return the content of a tile, cut from that of a wider version of it."""
    if tile.level != ENTRIES:
        return content[: tile.width * HASH_BYTES]
    end = 0
    for _ in range(tile.width):
        end += 2 + int.from_bytes(content[end : end + 2], "big")
    return content[:end]


class Subtrees:
    """The perfect subtrees over a row of up to 256 adjacent nodes, 32 bytes each."""

    __slots__ = ("_nodes", "_width")

    def __init__(self, row: bytes) -> None:
        """row: the concatenated hashes of a tile or a part of it. Raises ValueError."""
        if not row or len(row) % HASH_BYTES or len(row) > WIDTH * HASH_BYTES:
            raise ValueError("a tile has between 1 and 256 hashes of 32 bytes")
        self._width = len(row) // HASH_BYTES
        line = [row[at : at + HASH_BYTES] for at in range(0, len(row), HASH_BYTES)]
        nodes = [row]
        while len(line) > 1:
            line = [node_hash(left, right) for left, right in zip(line[0::2], line[1::2], strict=False)]
            nodes += line
        self._nodes = b"".join(nodes)

    def node(self, depth: int, index: int) -> bytes:
        """Return node `index` of the level `depth` above the row. Raises IndexError."""
        width, at = self._width, 0
        for _ in range(depth):
            at, width = at + width, width >> 1
        if not 0 <= index < width:
            raise IndexError("the row does not contain that node")
        at += index
        return self._nodes[at * HASH_BYTES : (at + 1) * HASH_BYTES]


def bundle(leaves: Sequence[bytes]) -> bytes:
    """Return an entry bundle: each leaf prefixed with its length in two bytes, big-endian."""
    if any(len(leaf) > MAX_LEAF_BYTES for leaf in leaves):
        raise ValueError("an entry has at most 65,535 bytes")
    return b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)
