"""Proofs verify against the checkpoint of their size."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from contracts.errors import Defect, Refused
from kopuro_client.tlog import verify_consistency, verify_inclusion
from services.audit.adapters.tables import NODES
from services.audit.log.domain.merkle import leaf_hash
from services.audit.log.handlers.proofs import Proofs
from tests.unit.services.audit.logs import LogOnDatabase, events

SIZES = 70


def test_proofs_of_every_size_verify_against_its_checkpoint(audit: LogOnDatabase) -> None:
    draw = random.Random(20260301)
    roots = {0: audit.key.read(audit.proofs.head().checkpoint).root}
    while (size := audit.proofs.head().size) < SIZES:
        audit.append(events(draw.randint(1, min(5, SIZES - size))))
        checkpoint = audit.key.read(audit.proofs.head().checkpoint)
        roots[checkpoint.size] = checkpoint.root
    with audit.database.read() as transaction:
        leaves = [stored.leaf for stored in audit.log.leaves(transaction, 0, SIZES)]
    for size, root in roots.items():
        for index in range(size):
            shown = audit.proofs.inclusion(index, size)
            assert shown.leaf_hash == leaf_hash(leaves[index])
            verify_inclusion(shown.leaf_hash, index, size, shown.hashes, root)
        for earlier, old_root in roots.items():
            if earlier <= size:
                hashes = audit.proofs.consistency(earlier, size).hashes
                verify_consistency(earlier, size, hashes, old_root, root)


def test_proof_without_size_is_for_the_current_tree(audit: LogOnDatabase) -> None:
    audit.append(events(5))
    assert audit.proofs.inclusion(2, None) == audit.proofs.inclusion(2, 5)
    assert audit.proofs.consistency(2, None) == audit.proofs.consistency(2, 5)


@pytest.mark.parametrize(("index", "size"), [(5, None), (5, 5), (3, 2), (0, 0), (0, 6), (9, 10**12 - 1)])
def test_proof_beyond_the_log_is_refused(audit: LogOnDatabase, index: int, size: int | None) -> None:
    audit.append(events(5))
    with pytest.raises(Refused):
        audit.proofs.inclusion(index, size)


@pytest.mark.parametrize(
    ("ask", "pointer"),
    [
        (lambda proofs: proofs.inclusion(3, 2), "/index"),
        (lambda proofs: proofs.inclusion(0, 6), "/size"),
        (lambda proofs: proofs.consistency(3, 2), "/from"),
        (lambda proofs: proofs.consistency(0, 6), "/to"),
    ],
)
def test_refused_proof_points_to_the_parameter(
    audit: LogOnDatabase, ask: Callable[[Proofs], object], pointer: str
) -> None:
    audit.append(events(5))
    with pytest.raises(Refused) as refused:
        ask(audit.proofs)
    assert [error.pointer for error in refused.value.errors] == [pointer]


@pytest.mark.parametrize(("from_size", "to_size"), [(6, None), (3, 2), (0, 6)])
def test_consistency_proof_to_a_smaller_tree_is_refused(
    audit: LogOnDatabase, from_size: int, to_size: int | None
) -> None:
    audit.append(events(5))
    with pytest.raises(Refused):
        audit.proofs.consistency(from_size, to_size)


def test_missing_node_raises_a_defect_and_no_wrong_proof(audit: LogOnDatabase) -> None:
    audit.append(events(4))
    with audit.database.write() as transaction:
        transaction.execute(NODES.delete().where(NODES.c.level == 1))
    with pytest.raises(Defect, match="missing"):
        audit.proofs.inclusion(0, None)
