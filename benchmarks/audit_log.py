"""The audit log by itself: appends, inclusion proofs, their verification by the client; beside pymerkle.

Ours appends whole events: entry, canonical JSON, salted commitment, nodes, a signed head, one transaction a
batch on SQLite with synchronous=FULL. pymerkle stores given bytes as leaves: in memory, and in its own
SQLite tree in batches of the same size. It neither signs nor commits to content.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pymerkle
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts.envelope import Envelope
from kopuro_client.tlog import verify_inclusion
from runtime.identifiers import new_id
from runtime.storage.database import Database
from runtime.storage.migrate import upgrade
from services.audit.adapters.sql_log import SqlLog
from services.audit.adapters.sql_retention import SqlClosures
from services.audit.domain.chronology import Chronology
from services.audit.domain.head import LogKey, origin_of
from services.audit.domain.merkle import Frontier, leaf_hash, prove_inclusion
from services.audit.domain.note import Ed25519Signer
from services.audit.handlers.sequencer import Sequencer

BATCH = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class LogFigures:
    """Each a second, on a log of `size` entries; None where there is nothing to compare."""

    size: int
    appends: float
    proofs: float
    verifications: float | None


def measure_log(directory: Path, size: int = 20_000, proofs: int = 2_000) -> dict[str, LogFigures]:
    """Ours, and pymerkle in memory and on SQLite."""
    leaves = [os.urandom(360) for _ in range(size)]  # as long as an entry of ours
    return {
        "kopuro": _ours(directory / "audit.sqlite", size, proofs),
        "pymerkle in memory": _pymerkle(pymerkle.InmemoryTree(), leaves, proofs, in_batches=False),
        "pymerkle on SQLite": _pymerkle(
            pymerkle.SqliteTree(str(directory / "pymerkle.sqlite")), leaves, min(proofs, 200), in_batches=True
        ),
    }


def _ours(path: Path, size: int, proofs: int) -> LogFigures:
    database = Database.open(f"sqlite:///{path}")
    upgrade("services.audit", database)
    signer = Ed25519Signer(name=origin_of("kg"), private_key=Ed25519PrivateKey.generate())
    key, log = LogKey(signer=signer), SqlLog()
    sequencer = Sequencer(log, key, os.urandom, SqlClosures())
    with database.write() as transaction:
        log.found(transaction, key.sign(Frontier(), Chronology(), dt.datetime.now(dt.UTC)))
    events = [_event() for _ in range(size)]

    def append() -> None:
        for start in range(0, size, BATCH):
            with database.write() as transaction:
                sequencer.append(transaction, events[start : start + BATCH], dt.datetime.now(dt.UTC))

    appending = _seconds(append)
    with database.read() as transaction:
        head = log.head(transaction)
        assert head is not None
        root = head.frontier.root()
        indices = [n * size // proofs for n in range(proofs)]
        hashes = {leaf.index: leaf_hash(leaf.leaf) for leaf in log.leaves(transaction, 0, size)}
    found: list[Sequence[bytes]] = []

    def prove() -> None:
        for index in indices:
            with database.read() as transaction:
                found.append(prove_inclusion(index, size, log.nodes(transaction)))

    proving = _seconds(prove)

    def verify() -> None:
        for index, path_up in zip(indices, found, strict=True):
            verify_inclusion(hashes[index], index, size, path_up, root)

    verifying = _seconds(verify)
    database.close()
    return LogFigures(
        size=size, appends=size / appending, proofs=proofs / proving, verifications=proofs / verifying
    )


def _pymerkle(
    tree: pymerkle.BaseMerkleTree, leaves: list[bytes], proofs: int, *, in_batches: bool
) -> LogFigures:
    def append() -> None:
        if in_batches:
            tree.append_entries(leaves, chunksize=BATCH)
        else:
            for leaf in leaves:
                tree.append_entry(leaf)

    appending, size = _seconds(append), len(leaves)
    root, found = tree.get_state(), []

    def prove() -> None:
        for n in range(proofs):
            index = 1 + n * size // proofs
            found.append((tree.get_leaf(index), tree.prove_inclusion(index, size)))

    proving = _seconds(prove)

    def verify() -> None:
        for leaf, proof in found:
            pymerkle.verify_inclusion(leaf, root, proof)

    verifying = _seconds(verify)
    return LogFigures(
        size=size, appends=size / appending, proofs=proofs / proving, verifications=proofs / verifying
    )


def _event() -> Envelope:
    number, referral_id = new_id(), new_id()
    return Envelope(
        id=number,
        source="/kg/routing",
        type="kopuro.referral.progressed.v1",
        time=dt.datetime.now(dt.UTC),
        partition_key=referral_id,
        correlation_id=number,
        causation_id=None,
        traceparent=None,
        data={
            "referral_id": referral_id,
            "sender": "kg.osh-legal-aid",
            "organization": "ru.moscow-common-table",
            "status": "in_progress",
        },
        body=b"",
    )


def _seconds(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
