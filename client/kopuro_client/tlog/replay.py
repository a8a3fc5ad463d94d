"""Replay of a log: every leaf is hashed, and every tile and the root are recomputed.

If earlier checkpoints of the log are known, replay starts at the oldest of them instead of the first leaf. It
takes the tiles to the left from the log, and verifies them by computing the known root. Replay must pass
through every known root, which proves consistency without a consistency proof.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from kopuro_client.tlog.checkpoint import Checkpoint
from kopuro_client.tlog.errors import ContentError, ForkError, RollbackError
from kopuro_client.tlog.tiles import (
    ENTRIES,
    HEIGHT,
    WIDTH,
    DirectorySource,
    Source,
    read_entries,
    read_tile,
    split_entries,
    tile_path,
    width_at,
)
from kopuro_client.tlog.tree import EMPTY_ROOT, node_hash, parents

Progress = Callable[[int], None]
Visitor = Callable[[int, bytes], None]

_TILE_FILE: Final = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """The extent of a replay. first: index of the first leaf read; entries: number of leaves hashed."""

    first: int
    entries: int


class Growth:
    """A tree that grows tile by tile. Holds at most one unfinished tile of each level."""

    def __init__(self, size: int = 0, rows: Iterable[Sequence[bytes]] = ()) -> None:
        """size: a multiple of 256; rows: the hashes of each level's unfinished tile, from level 0."""
        self.size = size
        self._rows = [list(row) for row in rows] or [[]]

    def add(self, hashes: Sequence[bytes]) -> list[tuple[int, int, list[bytes]]]:
        """Add the leaf hashes of one tile: 256, or fewer for the last tile.

        Returns the tiles that this completed: level, index, hashes.
        """
        finished: list[tuple[int, int, list[bytes]]] = []
        self._rows[0] = list(hashes)
        self.size += len(hashes)
        level = 0
        while len(row := self._rows[level]) == WIDTH:
            finished.append((level, (self.size >> HEIGHT * level) // WIDTH - 1, row))
            self._rows[level] = []
            while len(row) > 1:
                row = parents(row)
            level += 1
            if level == len(self._rows):
                self._rows.append([])
            self._rows[level].append(row[0])
        return finished

    def unfinished(self) -> Iterator[tuple[int, int, list[bytes]]]:
        """Yield the log's partial tiles: level, index, hashes."""
        for level, row in enumerate(self._rows):
            if row:
                yield level, (self.size >> HEIGHT * level) // WIDTH, row

    def root(self, more: Sequence[bytes] = ()) -> bytes:
        """Return the root. more: leaf hashes to count in; level 0 must have none yet."""
        digest: bytes | None = None
        for level, row in enumerate(self._rows):
            rest = list(more) if level == 0 and more else list(row)
            for subtree in reversed(_perfect_subtrees(rest)):
                digest = subtree if digest is None else node_hash(subtree, digest)
        return EMPTY_ROOT if digest is None else digest


def replay(
    source: Source,
    checkpoint: Checkpoint,
    *,
    known: Iterable[Checkpoint] = (),
    whole: bool = False,
    progress: Progress = lambda _: None,
    visit: Visitor | None = None,
) -> Replayed:
    """Verify that the log's entries and tiles match the checkpoint.

    checkpoint: verified; known: earlier verified checkpoints of the same log; whole: start at the first leaf
    even if there are known checkpoints; progress: called with the number of leaves read since the last call;
    visit: called with the index and bytes of each leaf, before the root is verified. Raises ContentError,
    RollbackError, ForkError, and what `source.read` raises.
    """
    waiting = deque(sorted(known, key=lambda seen: seen.size))
    for seen in waiting:
        _check_heads(seen, checkpoint)
    start = 0 if whole or not waiting else waiting[0].size // WIDTH * WIDTH
    growth = _grown(source, start, checkpoint.size)
    _pass_known(growth, [], waiting, checkpoint)
    tiles = range(start // WIDTH, -(-checkpoint.size // WIDTH))
    for index, (leaves, stored) in zip(tiles, _pieces(source, tiles, checkpoint.size), strict=True):
        hashes = [sha256(b"\x00" + leaf).digest() for leaf in leaves]
        if hashes != stored:
            wrong = next(at for at, pair in enumerate(zip(hashes, stored, strict=True)) if len({*pair}) > 1)
            raise ContentError(
                f"entry {index * WIDTH + wrong} does not match its hash in {tile_path(0, index, len(hashes))}"
            )
        if visit is not None:
            for at, leaf in enumerate(leaves):
                visit(index * WIDTH + at, leaf)
        _pass_known(growth, hashes, waiting, checkpoint)
        for level, number, row in growth.add(hashes):
            _check_tile(source, level, number, row)
        progress(len(leaves))
    for level, number, row in growth.unfinished():
        _check_tile(source, level, number, row)
    if growth.root() != checkpoint.root:
        raise ContentError(f"the {checkpoint.size} entries do not match the signed root")
    return Replayed(first=start, entries=checkpoint.size - start)


def check_spare_files(source: DirectorySource, size: int) -> int:
    """Return the number of files below `tile/` that a log of this size does not need. Call after `replay`.

    A log may keep partial tiles of its earlier sizes, and may have written beyond its checkpoint. Raises
    ContentError if such a file contradicts the verified log.
    """
    unneeded = 0
    for path in source.files():
        match = _TILE_FILE.fullmatch(path)
        if match is None:
            unneeded += 1
            continue
        level = ENTRIES if match["level"] == "entries" else int(match["level"])
        index = int(match["index"].replace("x", "").replace("/", ""))
        needed = width_at(size, level, index)
        width = int(match["width"] or WIDTH)
        if width == needed and path == tile_path(level, index, needed):
            continue
        unneeded += 1
        shared = min(width, needed)
        if shared:
            _check_spare(source, path, level, index, width=width, needed=needed, shared=shared)
    return unneeded


def _check_spare(
    source: DirectorySource, path: str, level: int, index: int, *, width: int, needed: int, shared: int
) -> None:
    verified: list[bytes]
    content = source.read(path) or b""
    if level == ENTRIES:
        verified = read_entries(source, index, needed)
        found = split_entries(content, path)
    else:
        verified = read_tile(source, level, index, needed)
        found = [content[at : at + 32] for at in range(0, len(content), 32)]
    if len(found) != width or found[:shared] != verified[:shared]:
        raise ContentError(f"{path} contradicts the verified log")


def _check_heads(seen: Checkpoint, checkpoint: Checkpoint) -> None:
    evidence = (str(seen.note), str(checkpoint.note))
    if seen.size > checkpoint.size:
        raise RollbackError(
            f"the log has {checkpoint.size} entries, but signed {seen.size} before", evidence=evidence
        )
    if seen.size == checkpoint.size and seen.root != checkpoint.root:
        raise ForkError(f"the log has signed two different trees of size {seen.size}", evidence=evidence)


def _pass_known(
    growth: Growth, hashes: Sequence[bytes], waiting: deque[Checkpoint], checkpoint: Checkpoint
) -> None:
    """Check the roots of the known checkpoints between the tree as it is and with these leaves."""
    while waiting and waiting[0].size <= growth.size + len(hashes):
        seen = waiting.popleft()
        if growth.root(hashes[: seen.size - growth.size]) != seen.root:
            raise ForkError(
                f"the log no longer begins with the {seen.size} entries that it signed before",
                evidence=(str(seen.note), str(checkpoint.note)),
            )


def _grown(source: Source, start: int, size: int) -> Growth:
    rows: list[list[bytes]] = [[]]
    for level in range(1, start.bit_length() // HEIGHT + 1):
        index, width = divmod(start >> HEIGHT * level, WIDTH)
        hashes = read_tile(source, level, index, width_at(size, level, index)) if width else []
        rows.append(hashes[:width])
    return Growth(start, rows)


def _check_tile(source: Source, level: int, index: int, hashes: Sequence[bytes]) -> None:
    # Level 0 tiles have already been compared with the leaves.
    if level and read_tile(source, level, index, len(hashes)) != hashes:
        path = tile_path(level, index, len(hashes))
        raise ContentError(f"{path} does not match the tiles below it")


def _pieces(source: Source, tiles: range, size: int) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """Yield leaves and level 0 hashes, tile by tile. Reads ahead if the source benefits from it."""

    def piece(index: int) -> tuple[list[bytes], list[bytes]]:
        width = width_at(size, 0, index)
        return read_entries(source, index, width), read_tile(source, 0, index, width)

    if source.parallel == 1:
        yield from map(piece, tiles)
        return
    with ThreadPoolExecutor(max_workers=source.parallel) as pool:
        ahead: deque[Future[tuple[list[bytes], list[bytes]]]] = deque()
        try:
            for index in tiles:
                ahead.append(pool.submit(piece, index))
                if len(ahead) >= 2 * source.parallel:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def _perfect_subtrees(hashes: list[bytes]) -> list[bytes]:
    """Return the roots of the perfect subtrees over these adjacent hashes, largest first."""
    found: list[bytes] = []
    while hashes:
        width = 1 << len(hashes).bit_length() - 1
        row, hashes = hashes[:width], hashes[width:]
        while len(row) > 1:
            row = parents(row)
        found.append(row[0])
    return found
