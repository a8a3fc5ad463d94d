"""Seeded trials of every kind of tampering with every kind of file: the verifier detects all of them.

`make test LONG=1` runs eighty times as many trials. The trials omit what a log may do: delete partial tiles
of smaller sizes, and publish a newest checkpoint that witnesses have not signed yet beside a valid
`cosigned-checkpoint`.
"""

from __future__ import annotations

import json
import random
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kopuro_client import ClientError
from kopuro_client.tlog import (
    Bundle,
    Checkpoint,
    DirectorySource,
    ForkError,
    Memory,
    RollbackError,
    TlogError,
    TrustPolicy,
    verify_log,
)
from tests.long_run import times
from tests.unit.client.tlog.log_writer import (
    LOG,
    ORIGIN,
    WITNESSES,
    Log,
    compact,
    content,
    entries,
    entry,
    policy_text,
    with_manifest,
    write_files,
)

SEED = 4
MANY = times(1, 80)
SIZE = 600
POLICY = TrustPolicy.parse(policy_text())
LEAVES = entries(SIZE)
TRUE = Log(LEAVES)
# With the partial tiles of a smaller size, which a log may keep.
FILES = {**TRUE.files(300), **TRUE.files()}
COSIGNED = TRUE.note(550).encode()
NEEDED = [name for name in TRUE.files() if name != "checkpoint"]
SEEN = POLICY.accept(TRUE.note(400)).checkpoint

Files = dict[str, bytes]
Trial = Callable[[random.Random], Files]


class Tree:
    """The log's directory, in which each trial changes a few files and restores them afterwards."""

    def __init__(self, root: Path) -> None:
        self.root = root
        write_files(root, FILES)

    def refuses(self, changed: Files, known: list[Checkpoint]) -> bool:
        """changed: the directory's new files; files that it omits are deleted."""
        touched = {name for name in {*FILES, *changed} if FILES.get(name) != changed.get(name)}
        assert touched, "the trial changed nothing"
        try:
            self._put(touched, changed)
            verify_log(DirectorySource(self.root), POLICY, known=known, whole=True)
        except TlogError:
            return True
        finally:
            self._put(touched, FILES)
        return False

    def _put(self, names: set[str], files: Files) -> None:
        for name in names:
            if name in files:
                write_files(self.root, {name: files[name]})
            else:
                (self.root / name).unlink()


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    made = Tree(tmp_path / "log")
    assert verify_log(DirectorySource(made.root), POLICY, known=[SEEN])
    yield made
    assert verify_log(DirectorySource(made.root), POLICY, known=[SEEN], whole=True)


def flip(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    bit = chance.randrange(len(data) * 8)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def a_flipped_bit(chance: random.Random) -> Files:
    name = chance.choice(list(FILES))
    return {**FILES, name: flip(FILES[name], chance)}


def a_file_deleted(chance: random.Random) -> Files:
    name = chance.choice([*NEEDED, "checkpoint"])
    return {key: value for key, value in FILES.items() if key != name}


def a_file_cut_short(chance: random.Random) -> Files:
    name = chance.choice(list(FILES))
    return {**FILES, name: FILES[name][: chance.randrange(len(FILES[name]))]}


def a_file_made_longer(chance: random.Random) -> Files:
    name = chance.choice(list(FILES))
    more = chance.choice([b"\x00", b"\n", b"\x00\x00", bytes(32), LEAVES[0], FILES[name]])
    return {**FILES, name: FILES[name] + more}


def two_files_swapped(chance: random.Random) -> Files:
    one, other = chance.sample([*NEEDED, "checkpoint"], 2)
    return {**FILES, one: FILES[other], other: FILES[one]}


def entries_reordered(chance: random.Random) -> Files:
    """In the entry bundle alone, or with all tiles recomputed."""
    leaves = list(LEAVES)
    one, other = chance.sample(range(SIZE), 2)
    leaves[one], leaves[other] = leaves[other], leaves[one]
    return rewritten(leaves, chance)


def an_entry_changed(chance: random.Random) -> Files:
    at = chance.randrange(SIZE)
    return rewritten([*LEAVES[:at], entry(at, tree=str(chance.random())), *LEAVES[at + 1 :]], chance)


def an_entry_inserted(chance: random.Random) -> Files:
    """Do not cut at the end, because a log may write files ahead of its checkpoint."""
    at = chance.randrange(SIZE)
    return rewritten([*LEAVES[:at], entry(at, tree="inserted"), *LEAVES[at:]], chance)


def an_entry_deleted(chance: random.Random) -> Files:
    """Do not take the last, because a log may keep the partial tile of a smaller size."""
    at = chance.randrange(SIZE - 1)
    return rewritten([*LEAVES[:at], *LEAVES[at + 1 :]], chance)


def bytes_moved_between_entries(chance: random.Random) -> Files:
    """The entry bundle keeps its length and its number of entries; only a boundary moves."""
    name = chance.choice(["tile/entries/000", "tile/entries/001"])
    first = LEAVES[0 if name.endswith("0") else 256]
    at = len(first) + 2
    second = FILES[name][at + 2 : at + 2 + int.from_bytes(FILES[name][at : at + 2], "big")]
    moved = chance.randint(1, 20)
    one, other = first + second[:moved], second[moved:]
    head = struct.pack(">H", len(one)) + one + struct.pack(">H", len(other)) + other
    return {**FILES, name: head + FILES[name][len(head) :]}


def rewritten(leaves: list[bytes], chance: random.Random) -> Files:
    """A log of other leaves under the true checkpoint, in entry bundles only or in tiles, too."""
    forged = Log(leaves, keys=()).files()
    if chance.random() < 0.5:
        return {**FILES, **{name: value for name, value in forged.items() if "entries" in name}}
    return {**forged, "checkpoint": FILES["checkpoint"]}


def a_rollback(chance: random.Random) -> Files:
    """An earlier state of the true log, validly signed and cosigned. Only memory detects it."""
    return TRUE.files(chance.randrange(SEEN.size))


def a_fork_that_is_shorter(chance: random.Random) -> Files:
    return Log(entries(chance.randint(1, 399), tree="fork", common=chance.randrange(100))).files()


def a_fork_that_is_longer(chance: random.Random) -> Files:
    """Signed by the log and all witnesses. Only memory detects it."""
    size = chance.randint(SEEN.size, 700)
    return Log(entries(size, tree="fork", common=chance.randrange(SEEN.size))).files()


def a_cosigned_checkpoint_changed(chance: random.Random) -> Files:
    return {**FILES, "cosigned-checkpoint": flip(COSIGNED, chance)}


def a_cosigned_checkpoint_without_its_witnesses(chance: random.Random) -> Files:
    few = Log(LEAVES[: chance.randint(400, SIZE)], keys=(LOG, *chance.sample(WITNESSES, chance.randrange(2))))
    return {**FILES, "cosigned-checkpoint": few.note().encode()}


def a_cosigned_fork(chance: random.Random) -> Files:
    """Log and witnesses have signed one tree; the newest checkpoint shows another."""
    fork = Log(entries(chance.randint(400, SIZE), tree="fork", common=chance.randrange(400)))
    return {**FILES, "cosigned-checkpoint": fork.note().encode()}


@pytest.mark.parametrize(
    ("trial", "times"),
    [
        (a_flipped_bit, 125),
        (a_file_deleted, 10),
        (a_file_cut_short, 50),
        (a_file_made_longer, 50),
        (two_files_swapped, 15),
        (entries_reordered, 15),
        (an_entry_changed, 15),
        (an_entry_inserted, 15),
        (an_entry_deleted, 15),
        (bytes_moved_between_entries, 10),
        (a_rollback, 10),
        (a_fork_that_is_shorter, 10),
        (a_fork_that_is_longer, 10),
        (a_cosigned_checkpoint_changed, 50),
        (a_cosigned_checkpoint_without_its_witnesses, 5),
        (a_cosigned_fork, 5),
    ],
)
def test_log_tampering_is_detected(tree: Tree, trial: Trial, times: int) -> None:
    chance = random.Random(f"{SEED} {trial.__name__}")
    undetected = sum(not tree.refuses(trial(chance), [SEEN]) for _ in range(times * MANY))
    print(f"{trial.__name__}: {times * MANY - undetected} of {times * MANY} detected")  # noqa: T201  # -rP shows it
    assert undetected == 0


def test_fork_and_rollback_raise_their_own_errors(tree: Tree) -> None:
    for files, error in ((TRUE.files(399), RollbackError), (Log(entries(600, tree="f")).files(), ForkError)):
        write_files(tree.root, files)
        with pytest.raises(error):
            verify_log(DirectorySource(tree.root), POLICY, known=[SEEN])
        write_files(tree.root, FILES)


BUNDLE = Log(LEAVES[:150]).bundle(opened={at: content(at) for at in range(0, 150, 30)})


def flipped_bundles(chance: random.Random, times: int) -> Iterator[tuple[str, bytes]]:
    written = compact(BUNDLE)
    for _ in range(times):
        bit = chance.randrange(len(written) * 8)
        changed = bytearray(written)
        changed[bit // 8] ^= 1 << bit % 8
        yield "a bit of a bundle flipped", bytes(changed)


def forged_bundles(chance: random.Random, times: int) -> Iterator[tuple[str, bytes]]:
    """Bundles with a changed value and a recomputed manifest."""
    for _ in range(times):
        document: Any = json.loads(compact(BUNDLE))
        found = document["entries"]
        one, other = chance.sample(range(len(found)), 2)
        kind = chance.randrange(6)
        if kind == 0:
            found[one], found[other] = found[other], found[one]
        elif kind == 1:
            found.insert(one, found[other])
        elif kind == 2:
            found[one]["leaf"] = found[other]["leaf"]
        elif kind == 3:
            hashes = found[one]["proof"]
            hashes[chance.randrange(len(hashes))] = found[other]["proof"][0]
        elif kind == 4:
            found[one]["index"] = chance.choice([at for at in range(150) if at != found[one]["index"]])
        else:
            opening = chance.choice([one for one in found if one["opening"]])["opening"]
            opening["data"]["offer"] += 1
        yield f"a bundle forged ({kind})", compact(with_manifest(document))


def test_bundle_tampering_is_detected() -> None:
    chance = random.Random(SEED)
    assert Bundle.parse(compact(BUNDLE)).verify(POLICY)
    tried: Counter[str] = Counter()
    trials = [*flipped_bundles(chance, 200 * MANY), *forged_bundles(chance, 36 * MANY)]
    for kind, written in trials:
        if written == compact(BUNDLE):
            continue
        tried[kind] += 1
        with pytest.raises(ClientError):
            Bundle.parse(written).verify(POLICY)
    print(f"bundles: {tried.total()} of {tried.total()} detected: {dict(tried)}")  # noqa: T201  # -rP shows it
    assert tried.total() > 225 * MANY


def test_memory_tampering_is_detected(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    accepted = POLICY.accept(TRUE.note())
    memory.keep(accepted.checkpoint, accepted.log)
    file = memory.file(ORIGIN)
    written = file.read_bytes()
    chance = random.Random(SEED)
    for _ in range(125 * MANY):
        file.write_bytes(flip(written, chance))
        with pytest.raises(ClientError):
            memory.recall(ORIGIN)
    print(f"remembered checkpoints: {125 * MANY} of {125 * MANY} detected")  # noqa: T201  # -rP shows it
