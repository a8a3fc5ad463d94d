"""Tiles: number, paths and contents as specified, for any tree size."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kopuro_client.tlog import ContentError
from kopuro_client.tlog.tiles import split_entries
from services.audit.log.domain.merkle import Frontier, leaf_hash, node_hash
from services.audit.log.domain.tiles import ENTRIES, Subtrees, Tile, bundle, tiles_between

SIZES = st.integers(min_value=0, max_value=300_000)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(level=0, index=0), "tile/0/000"),
        (Tile(level=2, index=1_234_067), "tile/2/x001/x234/067"),
        (Tile(level=0, index=999, width=1), "tile/0/999.p/1"),
        (Tile(level=63, index=1000, width=255), "tile/63/x001/000.p/255"),
        (Tile(level=ENTRIES, index=12, width=112), "tile/entries/012.p/112"),
    ],
)
def test_tile_path_round_trips_as_specified(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert Tile.parse(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "tile/64/000",
        "tile/00/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/067",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/-1/000",
        "tile/0/../000",
        "tile/0/000/",
        "tile/0/٠٠٠",
        "tile/entries",
        "checkpoint",
        "",
    ],
)
def test_tile_path_in_another_spelling_is_refused(path: str) -> None:
    assert Tile.parse(path) is None


def test_tiles_of_70_000_leaves_match_the_specification() -> None:
    tiles = [tile for tile in tiles_between(0, 70_000) if tile.level != ENTRIES]
    full = {level: sum(t.is_full for t in tiles if t.level == level) for level in range(3)}
    partial = {t.level: t.width for t in tiles if not t.is_full}
    assert full == {0: 273, 1: 1, 2: 0}
    assert partial == {0: 112, 1: 17, 2: 1}


def test_tiles_of_256_leaves_are_one_full_and_one_of_the_next_level() -> None:
    paths = [tile.path for tile in tiles_between(0, 256)]
    assert paths == ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]


@given(SIZES, SIZES, SIZES)
def test_tiles_published_in_steps_equal_those_published_at_once(a: int, b: int, c: int) -> None:
    small, middle, large = sorted((a, b, c))
    steps = {*tiles_between(0, small), *tiles_between(small, middle), *tiles_between(middle, large)}
    assert set(tiles_between(0, large)) <= steps
    assert list(tiles_between(large, large)) == []
    # No tile is repeated: each name is written once.
    assert not set(tiles_between(0, small)) & set(tiles_between(small, middle))


@given(st.integers(min_value=1, max_value=256))
def test_subtrees_of_a_tile_equal_the_tree_nodes(width: int) -> None:
    leaves = [sha256(bytes([n])).digest() for n in range(width)]
    tree = Subtrees(b"".join(leaves))
    _, rows = Frontier().grow(leaves)
    for row in rows:
        for at, digest in enumerate(row.hashes):
            assert tree.node(row.level, at) == digest


def test_subtree_node_beyond_the_tile_raises_index_error() -> None:
    tree = Subtrees(leaf_hash(b"a") + leaf_hash(b"b") + leaf_hash(b"c"))
    assert tree.node(1, 0) == node_hash(leaf_hash(b"a"), leaf_hash(b"b"))
    with pytest.raises(IndexError):
        tree.node(0, 3)
    with pytest.raises(IndexError):
        tree.node(1, 1)


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33, b"x" * 32 * 257])
def test_malformed_row_of_hashes_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="between 1 and 256"):
        Subtrees(content)


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_entry_bundle_round_trips(leaves: list[bytes]) -> None:
    assert split_entries(bundle(leaves), "entries") == leaves


def test_entry_bundle_has_length_prefixes() -> None:
    assert bundle([b"ab", b"", b"c" * 258]) == b"\x00\x02ab\x00\x00\x01\x02" + b"c" * 258
    with pytest.raises(ValueError, match="65,535"):
        bundle([b"x" * 65_536])


def test_truncated_entry_bundle_is_refused() -> None:
    whole = bundle([b"first", b"second"])
    for end in range(1, len(whole)):
        if end != len(bundle([b"first"])):
            with pytest.raises(ContentError, match="within an entry"):
                split_entries(whole[:end], "entries")
