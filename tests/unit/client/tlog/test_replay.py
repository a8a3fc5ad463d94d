"""Replay of logs of every interesting size, from the first leaf and from known checkpoints."""

from __future__ import annotations

import functools
import threading
import tracemalloc
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kopuro_client import Transport
from kopuro_client.errors import DefectError
from kopuro_client.tlog import (
    Checkpoint,
    ContentError,
    DirectorySource,
    ForkError,
    HttpSource,
    RollbackError,
    TileNodes,
    TrustPolicy,
    UntrustedError,
    check_spare_files,
    prove_consistency,
    replay,
    verify_log,
)
from kopuro_client.tlog.tiles import split_entries
from tests.unit.client.tlog.log_writer import LOG, WITNESSES, Log, entries, policy_text, proof, write_files

POLICY = TrustPolicy.parse(policy_text())


@functools.cache
def big() -> list[bytes]:
    """Return leaves for a full tile of level 1 and a partial second one. Made at first use: 1 s."""
    return entries(66_100)


def checkpoint(log: Log, size: int | None = None) -> Checkpoint:
    return POLICY.accept(log.note(size)).checkpoint


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 512, 700])
def test_replay_from_any_known_size_verifies(tmp_path: Path, size: int) -> None:
    log = Log(big()[:size])
    source = DirectorySource(log.write(tmp_path))
    done: list[int] = []
    for before in sorted({0, min(1, size), size // 2, max(size - 1, 0), size // 256 * 256, size}):
        done.clear()
        result = replay(source, checkpoint(log), known=[checkpoint(log, before)], progress=done.append)
        assert (result.first, result.entries) == (before // 256 * 256, size - before // 256 * 256)
        assert sum(done) == result.entries
        made = prove_consistency(before, size, TileNodes(source, size))
        assert made == proof(before, log.hashes)
    assert check_spare_files(source, size) == 0


def test_replay_of_log_with_three_levels_verifies(tmp_path: Path) -> None:
    log = Log(big())
    source = DirectorySource(log.write(tmp_path))
    head = checkpoint(log)
    assert verify_log(source, POLICY).replayed.entries == len(big())
    for before in (65_535, 65_536, 66_000):
        result = replay(source, head, known=[checkpoint(log, before)])
        assert result.first == before // 256 * 256
    # Replay relies on the tiles to the left, so they must lead to the known root.
    upper = tmp_path / "tile/2/000.p/1"
    upper.write_bytes(bytes(32))
    with pytest.raises(ForkError):
        replay(source, head, known=[checkpoint(log, 66_000)])
    with pytest.raises(ContentError, match=r"tile/2/000\.p/1"):
        replay(source, head)


def test_visitor_gets_every_leaf_with_its_index(tmp_path: Path) -> None:
    log = Log(big()[:300])
    seen: dict[int, bytes] = {}
    replay(DirectorySource(log.write(tmp_path)), checkpoint(log), visit=seen.__setitem__)
    assert seen == dict(enumerate(log.leaves))


def test_missing_partial_tiles_are_read_from_full_tiles(tmp_path: Path) -> None:
    log = Log(big()[:512])
    log.write(tmp_path)
    (tmp_path / "checkpoint").write_text(log.note(300))
    source = DirectorySource(tmp_path)
    write_files(tmp_path, {"tile/1/000.p/1": log.hashes_of_tiles()[0]})
    assert verify_log(source, POLICY).accepted.checkpoint.size == 300


def test_changed_spare_partial_tile_is_refused(tmp_path: Path) -> None:
    log = Log(big()[:600])
    for size in (5, 300, 600):
        log.write(tmp_path, size)
    log.write(tmp_path, 610)  # written ahead of the checkpoint
    (tmp_path / "checkpoint").write_text(log.note(600))
    source = DirectorySource(tmp_path)
    assert verify_log(source, POLICY).spare_files
    for spare in ("tile/0/000.p/5", "tile/entries/001.p/44"):
        kept = (tmp_path / spare).read_bytes()
        (tmp_path / spare).write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        with pytest.raises(ContentError, match=spare.replace(".", r"\.")):
            verify_log(source, POLICY)
        (tmp_path / spare).write_bytes(kept)


def test_newest_cosigned_checkpoint_counts_until_newer_one_is_cosigned(tmp_path: Path) -> None:
    log = Log(big()[:300], keys=(LOG,))
    witnessed = Log(big()[:300])
    source = DirectorySource(log.write(tmp_path))
    with pytest.raises(UntrustedError, match="too few witnesses"):
        verify_log(source, POLICY)
    (tmp_path / "cosigned-checkpoint").write_text(witnessed.note(200))
    verified = verify_log(source, POLICY)
    assert verified.witnessed is not None
    assert verified.witnessed.checkpoint.size == 200
    assert verified.replayed.first == 0  # the log's own cosigned checkpoint is not a starting point
    (tmp_path / "cosigned-checkpoint").write_text(Log(entries(200, tree="other")).note())
    with pytest.raises(ForkError):
        verify_log(source, POLICY)
    (tmp_path / "cosigned-checkpoint").write_text(Log(big()[:301]).note())
    with pytest.raises(RollbackError):
        verify_log(source, POLICY)


def test_fork_error_has_both_notes_as_evidence(tmp_path: Path) -> None:
    log, other = Log(big()[:300]), Log(entries(300, tree="other", common=100))
    source = DirectorySource(log.write(tmp_path))
    with pytest.raises(ForkError) as caught:
        verify_log(source, POLICY, known=[checkpoint(other, 200)])
    assert caught.value.evidence == (other.note(200), log.note())
    assert verify_log(source, POLICY, known=[checkpoint(other, 100)])  # the fork begins later


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_replay_over_http_verifies(tmp_path: Path, served: str) -> None:
    log = Log(big()[:5_000])
    log.write(tmp_path)
    transport = Transport()
    source = HttpSource(served + "/", transport)
    assert verify_log(source, POLICY).replayed.entries == 5_000
    assert verify_log(source, POLICY, known=[checkpoint(log, 4_000)]).replayed.first == 3_840
    bundle = tmp_path / "tile/entries/007"
    content = bundle.read_bytes()
    bundle.write_bytes(content.replace(b"offer.opened", b"offer.closed", 1))
    with pytest.raises(ContentError, match="entry 1792 does not match"):
        verify_log(source, POLICY)
    bundle.unlink()
    with pytest.raises(ContentError, match=r"tile/entries/007 is missing"):
        verify_log(source, POLICY)
    transport.close()


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        ("tile/entries/000", b"\0\0" * 257, "more than 256 entries"),
        ("tile/entries/000", b"\0" * 16_777_473, "more than 16,777,472 bytes"),
        ("tile/0/000", b"\0" * 8_193, "more than 8,192 bytes"),
        ("checkpoint", b"\0" * 1_048_577, "more than 1,048,576 bytes"),
    ],
)
def test_resource_larger_than_any_log_has_is_refused(
    tmp_path: Path, served: str, path: str, content: bytes, reason: str
) -> None:
    Log(big()[:300]).write(tmp_path)
    (tmp_path / path).write_bytes(content)
    transport = Transport()
    for source in (DirectorySource(tmp_path), HttpSource(served, transport)):
        with pytest.raises((ContentError, DefectError), match=reason):
            verify_log(source, POLICY)
    transport.close()


def test_bundle_of_empty_entries_is_read_no_further_than_its_tile() -> None:
    bundle = b"\0\0" * 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(ContentError, match="tile/entries/000 has more than 256 entries"):
            split_entries(bundle, "tile/entries/000")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_policy_counts_only_its_own_witnesses() -> None:
    accepted = POLICY.accept(Log(big()[:3]).note())
    assert [signed.key.name for signed in accepted.cosigned] == [key.name for key in WITNESSES]
