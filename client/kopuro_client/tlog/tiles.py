"""A log's tiles and entry bundles, read from a directory or over HTTP.

A **tile** of level `l` contains up to 256 adjacent hashes of tree level `8 * l`; an **entry bundle** contains
the leaves under one tile of level 0. The log's size determines the width of each.

Source: https://c2sp.org/tlog-tiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from kopuro_client.errors import InvalidArgumentError, RefusedError
from kopuro_client.tlog.errors import ContentError
from kopuro_client.tlog.tree import HASH_BYTES, parents
from kopuro_client.transport import HttpRequest, Transport

WIDTH: Final = 256
HEIGHT: Final = 8  # tree levels from one tile level to the next
ENTRIES: Final = -1  # pseudo-level of the entry bundles

# Bytes of a resource, at most: two bytes of length precede each entry, and a checkpoint has few signatures.
_LARGEST_BUNDLE: Final = WIDTH * (2 + 0xFFFF)
_LARGEST_TILE: Final = WIDTH * HASH_BYTES
_LARGEST_OTHER: Final = 1024 * 1024
_ABSENT: Final = frozenset({404, 410})


class Source(Protocol):
    """Access to a log's resources. Threads may share one."""

    @property
    def parallel(self) -> int:
        """The useful number of concurrent reads."""
        ...

    def read(self, path: str) -> bytes | None:
        """Return the resource below the log's prefix; None if it does not exist.

        Raises ContentError or another ClientError, also if it has more bytes than any log's: only so many
        are read.
        """
        ...


class DirectorySource:
    """A log in a directory."""

    parallel: Final = 1

    def __init__(self, root: Path) -> None:
        """Raises InvalidArgumentError if the directory does not exist."""
        if not root.is_dir():
            raise InvalidArgumentError(f"{root} is not a directory")
        self.root = root

    def read(self, path: str) -> bytes | None:
        """See `Source`."""
        largest = _largest(path)
        try:
            with (self.root / path).open("rb") as file:
                content = file.read(largest + 1)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise InvalidArgumentError(f"cannot read {self.root / path}: {error.strerror}") from error
        if len(content) > largest:
            raise ContentError(f"{path} has more than {largest:,} bytes, the limit for this file")
        return content

    def files(self) -> Iterator[str]:
        """Yield the paths of all files below `tile/`, in no particular order."""
        for file in (self.root / "tile").rglob("*"):
            if file.is_file():
                yield file.relative_to(self.root).as_posix()


class HttpSource:
    """A log at a URL."""

    parallel: Final = 8

    def __init__(self, url: str, transport: Transport) -> None:
        self._prefix = url.rstrip("/")
        self._transport = transport

    def read(self, path: str) -> bytes | None:
        """See `Source`."""
        request = HttpRequest(
            method="GET",
            url=f"{self._prefix}/{path}",
            headers={"Accept": "*/*"},
            repeatable=True,
            largest_answer=_largest(path),
        )
        try:
            return self._transport.send(request)
        except RefusedError as error:
            if error.status in _ABSENT:
                return None
            raise


def _largest(path: str) -> int:
    if path.startswith("tile/entries/"):
        return _LARGEST_BUNDLE
    return _LARGEST_TILE if path.startswith("tile/") else _LARGEST_OTHER


def tile_path(level: int, index: int, width: int = WIDTH) -> str:
    """Return a tile's path, such as `tile/0/x001/x234/067.p/12`.

    Full tiles have no suffix; the level ENTRIES is written `entries`.
    """
    groups = [f"{index % 1000:03}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03}")
    name = "entries" if level == ENTRIES else str(level)
    suffix = "" if width == WIDTH else f".p/{width}"
    return f"tile/{name}/{'/'.join(reversed(groups))}{suffix}"


def width_at(size: int, level: int, index: int) -> int:
    """Return a tile's width in a log of this size; 0 if the log has no such tile."""
    nodes = size >> HEIGHT * max(level, 0)
    return min(WIDTH, max(0, nodes - index * WIDTH))


def read_tile(source: Source, level: int, index: int, width: int) -> list[bytes]:
    """Return the first `width` hashes of a tile, 32 bytes each.

    If the partial tile no longer exists, reads the full tile. Raises ContentError, and what `read` raises.
    """
    content, path, stored = _read(source, level, index, width)
    if len(content) != stored * HASH_BYTES:
        raise ContentError(f"{path} has {len(content)} bytes instead of {stored * HASH_BYTES}")
    return [content[at : at + HASH_BYTES] for at in range(0, width * HASH_BYTES, HASH_BYTES)]


def read_entries(source: Source, index: int, width: int) -> list[bytes]:
    """Return the first `width` leaves of an entry bundle. Raises ContentError, and what `read` raises."""
    content, path, stored = _read(source, ENTRIES, index, width)
    leaves = split_entries(content, path)
    if len(leaves) != stored:
        raise ContentError(f"{path} has {len(leaves)} entries instead of {stored}")
    return leaves[:width]


def split_entries(content: bytes, path: str) -> list[bytes]:
    """Return the leaves in an entry bundle, in which two bytes of length precede each leaf.

    Raises ContentError, naming `path`, if the bundle is truncated or has more than 256 entries.
    """
    leaves: list[bytes] = []
    at, end = 0, len(content)
    while at < end:
        if len(leaves) == WIDTH:
            raise ContentError(f"{path} has more than {WIDTH} entries")
        start = at + 2
        at = start + int.from_bytes(content[at:start], "big")
        if at > end or start > end:
            raise ContentError(f"{path} ends within an entry")
        leaves.append(content[start:at])
    return leaves


def _read(source: Source, level: int, index: int, width: int) -> tuple[bytes, str, int]:
    for stored in dict.fromkeys((width, WIDTH)):
        path = tile_path(level, index, stored)
        content = source.read(path)
        if content is not None:
            return content, path, stored
    raise ContentError(f"{tile_path(level, index, width)} is missing")


class TileNodes:
    """A `NodeReader` of the tiles of a log of one size.

    The nodes are not verified; verify what you compute from them against a root.
    """

    def __init__(self, source: Source, size: int) -> None:
        self._source = source
        self._size = size
        self._read: dict[tuple[int, int], list[bytes]] = {}

    def __call__(self, level: int, index: int, /) -> bytes:
        """Return a node's hash. Raises ContentError, and what the source raises."""
        tile_level, depth = divmod(level, HEIGHT)
        first = index << depth
        tile = first // WIDTH
        if (tile_level, tile) not in self._read:
            width = width_at(self._size, tile_level, tile)
            self._read[tile_level, tile] = read_tile(self._source, tile_level, tile, width)
        hashes = self._read[tile_level, tile][first % WIDTH : first % WIDTH + (1 << depth)]
        while len(hashes) > 1:
            hashes = parents(hashes)
        return hashes[0]
