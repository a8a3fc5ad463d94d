from __future__ import annotations

from typing import Any

from kopuro_client.sealing import generate_key, public_key
from runtime.messaging.replica import ReplicaRecord
from services.vault.adapters.sealing_keys import SealingKeysInMemory

ORGANIZATION = "kg.osh-legal-aid"


def record(key: Any, fact: str = "kopuro.organization.changed.v1") -> ReplicaRecord:
    return ReplicaRecord(
        type=fact, key=ORGANIZATION, change=1, data={"revision": 1, "organization": {"sealing_key": key}}
    )


def test_key_is_known_until_changed_or_withdrawn() -> None:
    changes: list[None] = []
    keys = SealingKeysInMemory(changed=lambda: changes.append(None))
    assert keys.of(ORGANIZATION) is None
    for _ in range(2):
        published = public_key(generate_key())
        keys.absorb([record(dict(published))])
        known = keys.of(ORGANIZATION)
        assert known is not None
        assert known.kid == published["kid"]
    keys.absorb([record(None)])
    assert keys.of(ORGANIZATION) is None
    assert len(changes) == 3


def test_other_records_are_ignored() -> None:
    keys = SealingKeysInMemory(changed=lambda: None)
    keys.absorb([record(dict(public_key(generate_key())), "kopuro.agreement.changed.v1")])
    assert keys.of(ORGANIZATION) is None
