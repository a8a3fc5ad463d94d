"""Case bundles verify with only the log's key."""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import Any

import pytest
import rfc8785

from contracts.errors import Refused
from contracts.records import plain
from kopuro_client.tlog import verify_inclusion
from runtime.identifiers import new_id
from services.audit.adapters.tables import OPENINGS
from services.audit.log.domain.merkle import leaf_hash
from services.audit.log.handlers.published_log import COSIGNED
from services.audit.reports.bundle_file import bundle_file
from services.audit.reports.handlers import history
from tests.unit.client.tlog import independent_reader
from tests.unit.services.audit.logs import LogOnDatabase, auditor, event, events

REFERRAL = new_id()
STORY = [
    event("kopuro.offer.opened.v1", data={"rank": 1, "score": 0.5, "имя": "ё"}, partition_key=REFERRAL),
    event("kopuro.offer.accepted.v1", data={"organization": "ru.moscow-union"}, partition_key=REFERRAL),
]


def exported(audit: LogOnDatabase, referral_id: str = REFERRAL) -> dict[str, Any]:
    made = bundle_file(audit.history.export(auditor("ann"), referral_id))
    read: dict[str, Any] = plain(made)
    return read


def check(bundle: dict[str, Any], audit: LogOnDatabase) -> None:
    checkpoint = audit.key.read(bundle["checkpoint"].encode())
    assert (bundle["format"], bundle["origin"]) == ("kopuro-bundle/3", checkpoint.origin)
    for entry in bundle["entries"]:
        leaf = base64.b64decode(entry["leaf"])
        proof = [base64.b64decode(digest) for digest in entry["proof"]]
        verify_inclusion(leaf_hash(leaf), entry["index"], checkpoint.size, proof, checkpoint.root)
        independent_reader.read_entry(entry["index"], leaf, entry["head"], entry["opening"])
    digest = bundle["manifest"].pop("sha256")
    assert bundle["manifest"]["entries"] == len(bundle["entries"])
    assert digest == sha256(rfc8785.dumps(bundle)).hexdigest(), "of everything but itself"


def test_bundle_verifies_by_itself_and_its_export_is_recorded(audit: LogOnDatabase) -> None:
    audit.publish([*events(5), STORY[0], *events(300), STORY[1], *events(2)])
    bundle = exported(audit)
    assert [entry["index"] for entry in bundle["entries"]] == [5, 306]
    check(bundle, audit)
    recorded = audit.recorded_reads()[-1]
    assert recorded.type == "kopuro.history.exported.v1"
    assert recorded.partition_key == REFERRAL
    assert recorded.data == {
        "reader": "ann",
        "client_id": "ann-client",
        "roles": ["auditor"],
        "referral_id": REFERRAL,
        "entries": 2,
        "size": 309,
    }


def test_bundle_of_erased_content_has_null_opening_and_valid_proof(audit: LogOnDatabase) -> None:
    audit.publish(STORY)
    with audit.database.write() as transaction:
        transaction.execute(OPENINGS.delete().where(OPENINGS.c.leaf_index == 0))
    bundle = exported(audit)
    assert [entry["opening"] is None for entry in bundle["entries"]] == [True, False]
    check(bundle, audit)


def test_bundle_prefers_a_cosigned_checkpoint_that_covers_every_entry(audit: LogOnDatabase) -> None:
    audit.publish(STORY)
    cosigned = audit.published.current
    assert cosigned is not None
    audit.publication.swap(COSIGNED, cosigned.note)
    audit.publish(events(1))
    assert audit.key.read(exported(audit)["checkpoint"].encode()).size == 2
    audit.publish([event(partition_key=REFERRAL)])
    assert audit.key.read(exported(audit)["checkpoint"].encode()).size == 4


def test_bundle_holds_only_published_entries(audit: LogOnDatabase) -> None:
    audit.append(STORY)
    with pytest.raises(Refused) as refused:
        exported(audit)
    assert refused.value.slug == "not-found"
    assert audit.recorded_reads() == []


def test_bundle_of_too_long_history_is_refused(audit: LogOnDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_EXPORTED", 1)
    audit.publish(STORY)
    with pytest.raises(Refused) as refused:
        exported(audit)
    assert refused.value.slug == "bundle-too-large"
