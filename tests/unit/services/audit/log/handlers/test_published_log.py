"""The published log in one process while another process publishes."""

from __future__ import annotations

import random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts.errors import Defect, Refused, Unavailable
from kopuro_client.tlog import verify_consistency, verify_inclusion
from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.head import LogKey
from services.audit.log.domain.merkle import Frontier
from services.audit.log.domain.note import Ed25519Signer
from services.audit.log.handlers import published_log
from services.audit.log.handlers.published_log import CHECKPOINT, COSIGNED, PublishedLog
from tests.unit.services.audit.logs import NOON, LogOnDatabase, events
from tests.unit.services.audit.publications import MemoryPublication


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    return sqlite_database


def test_proofs_from_tiles_equal_those_from_the_database(audit: LogOnDatabase) -> None:
    roots = {}
    for count in (1, 14, 2, 240, 300, 4000):
        audit.publish(events(count))
        head = audit.proofs.head()
        roots[head.size] = head.frontier.root()
    chance = random.Random(7)
    last = max(roots)
    with audit.database.read() as transaction:
        read = audit.log.nodes(transaction)
        for size, top in roots.items():
            for index in {0, size - 1, *(chance.randrange(size) for _ in range(40))}:
                proved = audit.proofs.inclusion(index, size)
                assert proved.leaf_hash == read(0, index)
                verify_inclusion(proved.leaf_hash, index, size, proved.hashes, top)
            shown = audit.proofs.consistency(size, None)
            assert shown.to_size == last
            verify_consistency(size, last, shown.hashes, top, roots[last])


def test_unpublished_entry_is_proved_from_the_database(audit: LogOnDatabase) -> None:
    audit.publish(events(20))
    audit.append(events(5))
    assert audit.proofs.inclusion(3, None).size == 20
    assert audit.proofs.inclusion(22, None).size == 25
    assert audit.proofs.inclusion(3, 25).size == 25
    assert audit.proofs.consistency(20, 25).to_size == 25
    with pytest.raises(Refused):
        audit.proofs.inclusion(3, 26)


def test_tile_cache_is_bounded_and_proofs_stay_correct(
    audit: LogOnDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published_log, "KEPT_UPPER", 2)
    monkeypatch.setattr(published_log, "KEPT_LOWER", 2)
    audit.publish(events(1500))
    top = audit.proofs.head().frontier.root()
    for index in range(0, 1500, 37):
        proved = audit.proofs.inclusion(index, None)
        verify_inclusion(proved.leaf_hash, index, 1500, proved.hashes, top)


def test_missing_tile_raises_a_defect_and_no_wrong_proof(audit: LogOnDatabase) -> None:
    audit.publish(events(300))
    assert isinstance(audit.publication, MemoryPublication)
    fresh = PublishedLog(audit.publication, audit.key)
    fresh.refresh()
    audit.publication.contents["tile/0/001.p/44"] = b"\0" * 33
    del audit.publication.contents["tile/0/000"]
    for index in (0, 256):
        with pytest.raises(Defect):
            fresh.node(0, index)


def test_older_checkpoint_never_replaces_a_newer_one(audit: LogOnDatabase) -> None:
    audit.publish(events(3))
    older = audit.proofs.head().checkpoint
    slow = PublishedLog(audit.publication, audit.key)
    slow.refresh()
    audit.publish(events(3))
    slow.advance(older)
    assert slow.size == 6
    assert audit.publication.read(CHECKPOINT) == audit.proofs.head().checkpoint


def test_published_log_before_the_first_publication_is_unavailable(audit: LogOnDatabase) -> None:
    with pytest.raises(Unavailable):
        audit.proofs.published()
    with pytest.raises(Refused):
        audit.proofs.cosigned()
    assert audit.published.covering(0) is None


def test_log_names_a_new_key_once_it_has_signed_all_that_is_published() -> None:
    earlier, new = (
        Ed25519Signer(name="kopuro/kg", private_key=Ed25519PrivateKey.from_private_bytes(bytes([seed] * 32)))
        for seed in (1, 2)
    )
    former, key = LogKey(signer=earlier), LogKey(signer=new, earlier=(earlier,))
    publication = MemoryPublication()
    published = PublishedLog(publication, key)
    assert published.verifier_key == key.verifier_key  # nothing is published

    note = former.sign(Frontier(), Chronology(), NOON).checkpoint
    for path in (CHECKPOINT, COSIGNED):
        publication.swap(path, note)
    published.refresh()
    assert published.verifier_key == former.verifier_key

    signed_by_both = key.sign(Frontier(), Chronology(), NOON).checkpoint
    publication.swap(CHECKPOINT, signed_by_both)
    published.refresh()
    assert published.verifier_key == former.verifier_key  # the cosigned one is shown too

    publication.swap(COSIGNED, signed_by_both)
    published.refresh()
    assert published.verifier_key == key.verifier_key != former.verifier_key
