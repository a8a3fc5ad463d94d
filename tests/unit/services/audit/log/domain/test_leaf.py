"""Leaves of format 3 have documented bytes, and leaves of every earlier format stay readable."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.canonical import canonical_json
from services.audit.log.domain.leaf import (
    committed_data,
    data_commitment,
    fields_of,
    key_commitment,
    leaf_bytes,
    minute_of,
    referral_key,
    referral_key_of,
)
from services.audit.log.domain.merkle import leaf_hash
from services.audit.log.domain.opening import is_opened_by, matches_columns
from tests.servers import ROOT

# A leaf that an earlier build appended. Never change it: such leaves are in published logs.
EARLIER = (
    b'{"actor":"/kg/routing",'
    b'"commitment":"sha256:ca6be3448ea3205b88d6408d9c8fa21533dbb89f8195f21e6202e90920079b30",'
    b'"hub":"kg",'
    b'"message_id":"01938a6e-6000-7abc-8def-0123456789ab",'
    b'"organization":"ru.moscow-union",'
    b'"referral_id":"01938a6e-5f4c-7d31-9b0a-3f2a7c1e8d55",'
    b'"time":"2026-03-01T09:30:00.000000Z",'
    b'"type":"kopuro.offer.declined.v1"}'
)
EARLIER_DATA = (
    '{"note":"Мы закрыты","organization":"ru.moscow-union","reason":"no_capacity",'
    '"referral_id":"01938a6e-5f4c-7d31-9b0a-3f2a7c1e8d55"}'
)
SALT = bytes(range(32))
NINE = dt.datetime(2026, 3, 1, 9, 31, 5, tzinfo=dt.UTC)


def vectors() -> list[dict[str, Any]]:
    """Return the vectors in docs/auditing.md."""
    page = (ROOT / "docs" / "auditing.md").read_text()
    text = page.partition("Vectors, with salts")[2].partition("```json\n")[2].partition("```")[0]
    found: list[dict[str, Any]] = json.loads(text)
    assert len(found) == 2
    return found


@pytest.mark.parametrize("vector", vectors(), ids=["with referral", "without referral"])
def test_leaf_has_the_documented_bytes(vector: dict[str, Any]) -> None:
    head = bytes.fromhex(vector["head_salt"]) + vector["head"].encode()
    salt = bytes.fromhex(vector["data_salt"])
    leaf = leaf_bytes(
        head=head,
        data_commitment=data_commitment(vector["data"].encode(), salt),
        minute=minute_of(NINE),
        key=None if vector["referral_key"] is None else bytes.fromhex(vector["referral_key"]),
        filler=bytes.fromhex(vector.get("tag", "")),
    )
    assert leaf == vector["leaf"].encode()
    assert leaf_hash(leaf).hex() == vector["leaf_hash"]
    assert is_opened_by(leaf, salt, vector["data"])
    said = json.loads(vector["head"])
    key = said.pop("referral_key")
    assert fields_of(leaf, head) == {**said, "commitment": json.loads(leaf)["data"]}
    assert referral_key_of(leaf, head) == key


def test_leaf_of_formats_1_and_2_has_the_documented_bytes() -> None:
    page = (ROOT / "docs" / "auditing.md").read_text()
    text = (
        page.partition("A vector of a leaf of format 1 or 2")[2].partition("```json\n")[2].partition("```")[0]
    )
    vector: dict[str, str] = json.loads(text)
    leaf, data = vector["leaf"].encode(), vector["data"]
    assert leaf == EARLIER
    assert leaf_hash(leaf).hex() == vector["leaf_hash"]
    assert is_opened_by(leaf, bytes.fromhex(vector["salt"]), data)
    assert canonical_json(json.loads(data)) == data.encode()


@pytest.mark.parametrize("data", [EARLIER_DATA, json.dumps(json.loads(EARLIER_DATA), indent=1)])
def test_leaf_of_formats_1_and_2_is_read_and_opened(data: str) -> None:
    assert fields_of(EARLIER, None) == json.loads(EARLIER)
    assert referral_key_of(EARLIER, None) is None
    assert is_opened_by(EARLIER, SALT, data)
    assert not is_opened_by(EARLIER, SALT, data.replace("no_capacity", "language"))
    said = json.loads(EARLIER)
    columns = {name: said[name] for name in ("message_id", "type", "referral_id")}
    time = dt.datetime.fromisoformat(said["time"])
    assert matches_columns(EARLIER, None, **columns, time=time)
    assert not matches_columns(EARLIER, None, **columns, time=time + dt.timedelta(seconds=1))


def leaf_with(head: bytes) -> bytes:
    return leaf_bytes(
        head=head,
        data_commitment=data_commitment(b"{}", SALT),
        minute=minute_of(NINE),
        key=None,
        filler=bytes(16),
    )


HEAD = SALT + b'{"actor":"/kg/routing","type":"kopuro.offer.opened.v1"}'


@pytest.mark.parametrize("head", [None, b"", HEAD[:-1], HEAD + b" ", bytes([HEAD[0] ^ 1]) + HEAD[1:]])
def test_head_that_the_leaf_does_not_commit_to_is_refused(head: bytes | None) -> None:
    with pytest.raises(ValueError, match="not that of the leaf"):
        fields_of(leaf_with(HEAD), head)


def test_head_for_an_earlier_leaf_is_refused() -> None:
    with pytest.raises(ValueError, match="no head"):
        fields_of(EARLIER, HEAD)


def test_data_commitment_does_not_open_as_one_of_another_kind() -> None:
    """A head is not accepted as data, and data of an earlier format not as data of this one."""
    leaf = leaf_with(HEAD)
    assert is_opened_by(leaf, SALT, "{}")
    assert not is_opened_by(leaf, SALT, HEAD[32:].decode())
    earlier = EARLIER.replace(
        json.loads(EARLIER)["commitment"].encode(), data_commitment(b"{}", SALT).encode()
    )
    assert committed_data(earlier) is not None
    assert not is_opened_by(earlier, SALT, "{}")


@given(st.binary(max_size=400))
def test_malformed_leaf_opens_nothing(leaf: bytes) -> None:
    assert not is_opened_by(leaf, SALT, "{}")
    assert not matches_columns(leaf, HEAD, message_id="m", type="t", referral_id=None, time=NINE)


def tag(key: bytes, head: bytes) -> str:
    committed = data_commitment(b"{}", SALT)
    leaf = leaf_bytes(
        head=head, data_commitment=committed, minute="2026-03-01T09:30:00Z", key=key, filler=bytes(16)
    )
    found: str = json.loads(leaf)["tag"]
    return found


@given(st.binary(min_size=32, max_size=32), st.uuids(), st.uuids())
def test_key_recognises_leaves_of_its_referral_alone(secret: bytes, one: Any, other: Any) -> None:
    mine, theirs = referral_key(secret, str(one)), referral_key(secret, str(other))
    assert (tag(mine, HEAD) == tag(theirs, HEAD)) == (one == other)
    assert (key_commitment(mine) == key_commitment(theirs)) == (one == other)
    assert tag(mine, HEAD) != tag(mine, HEAD + b" ")


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32), st.uuids())
def test_key_of_a_referral_follows_from_the_logs_secret_and_not_from_the_id(
    secret: bytes, other: bytes, one: Any
) -> None:
    """Otherwise everybody who knows a referral's id would recognise its leaves in the published log."""
    assert (referral_key(secret, str(one)) == referral_key(other, str(one))) == (secret == other)
