from __future__ import annotations

from contracts.facts import OrganizationChanged, TokenKeyChanged
from runtime.access.token_keys import TokenKeys
from runtime.messaging.replica import ReplicaRecord


def record(
    kid: str, change: int, *, withdrawn: bool = False, kind: str = TokenKeyChanged.type
) -> ReplicaRecord:
    data = {"revision": change, "key": {"kid": kid}, "withdrawn": withdrawn}
    return ReplicaRecord(type=kind, key=kid, change=change, data=data)


def test_token_keys_are_valid_until_withdrawn() -> None:
    keys = TokenKeys()
    assert keys() == {}
    keys.absorb([record("old", 1)])
    keys.absorb([record("new", 2), record("kg.osh", 3, kind=OrganizationChanged.type)])
    assert keys() == {"keys": [{"kid": "old"}, {"kid": "new"}]}
    keys.absorb([record("old", 4, withdrawn=True)])
    assert keys() == {"keys": [{"kid": "new"}]}
