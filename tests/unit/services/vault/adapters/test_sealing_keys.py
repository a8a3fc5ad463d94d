from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from contracts.organization import KEY_OVERLAP
from kopuro_client.sealing import generate_key, public_key
from runtime.messaging.replica import ReplicaRecord
from services.vault.adapters.sealing_keys import SealingKeysInMemory

ORGANIZATION = "kg.osh-legal-aid"
PAUSE = dt.timedelta(hours=24)


def record(key: Any, fact: str = "kopuro.organization.changed.v1") -> ReplicaRecord:
    return ReplicaRecord(
        type=fact, key=ORGANIZATION, change=1, data={"revision": 1, "organization": {"sealing_key": key}}
    )


def test_key_is_known_until_changed_or_withdrawn() -> None:
    changes: list[None] = []
    keys = SealingKeysInMemory(changed=lambda: changes.append(None), pause=PAUSE)
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
    keys = SealingKeysInMemory(changed=lambda: None, pause=PAUSE)
    keys.absorb([record(dict(public_key(generate_key())), "kopuro.agreement.changed.v1")])
    assert keys.of(ORGANIZATION) is None


@pytest.mark.parametrize(
    ("manner", "until"),
    [
        ("first", None),
        ("proved", None),
        ("approved", dt.datetime(2026, 3, 2, 12, 0, tzinfo=dt.UTC)),
    ],
)
def test_only_a_replacement_without_proof_pauses_releases(manner: str, until: dt.datetime | None) -> None:
    keys = SealingKeysInMemory(changed=lambda: None, pause=PAUSE)
    changed = record(dict(public_key(generate_key())))
    changed.data["organization"]["sealing_key_change"] = {"at": "2026-03-01T12:00:00Z", "manner": manner}
    keys.absorb([changed])
    assert keys.paused_until(ORGANIZATION) == until
    keys.absorb([record(dict(public_key(generate_key())))])
    assert keys.paused_until(ORGANIZATION) is None


@pytest.mark.parametrize(("manner", "accepted"), [("proved", True), ("approved", False)])
def test_key_before_is_accepted_for_a_day_if_its_holder_replaced_it(manner: str, accepted: bool) -> None:
    keys = SealingKeysInMemory(changed=lambda: None, pause=PAUSE)
    old, new = public_key(generate_key()), public_key(generate_key())
    changed = record(dict(new))
    at = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    changed.data["organization"]["sealing_key_change"] = {
        "at": at.isoformat(),
        "manner": manner,
        "previous": old["kid"],
        "earlier": [{"kid": "c" * 43, "until": (at + dt.timedelta(hours=1)).isoformat()}],
    }
    keys.absorb([changed])
    for moment, expected in ((at, accepted), (at + KEY_OVERLAP, False)):
        assert keys.accepts(ORGANIZATION, new["kid"], moment)
        assert keys.accepts(ORGANIZATION, old["kid"], moment) is expected
        assert keys.accepts(ORGANIZATION, "c" * 43, moment) is expected
        assert not keys.accepts(ORGANIZATION, public_key(generate_key())["kid"], moment)
    assert not keys.accepts(ORGANIZATION, "c" * 43, at + dt.timedelta(hours=1))
