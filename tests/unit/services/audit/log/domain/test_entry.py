"""Entries: the bytes of heads never change; leaves say nothing and survive erasure of content."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from contracts.canonical import NotCanonical, canonical_json
from contracts.errors import Defect
from kopuro_client.tlog import verify_inclusion
from services.audit.log.domain.entry import (
    MAX_HEAD_BYTES,
    Entry,
    EntryError,
    entry_of,
    head_json,
    organizations_of,
    utc_text,
)
from services.audit.log.domain.leaf import data_commitment, fields_of, key_commitment, leaf_bytes, minute_of
from services.audit.log.domain.merkle import Frontier, leaf_hash

SALT = bytes(range(32))
HEAD_SALT, KEY = bytes(range(32, 64)), bytes(range(64, 96))
DOMAIN = b"kopuro-entry/3 data\n"
REFERRAL = "01938a6e-5f4c-7d31-9b0a-3f2a7c1e8d55"
DECLINED = {
    "referral_id": REFERRAL,
    "organization": "ru.moscow-union",
    "reason": "no_capacity",
    "note": "Мы закрыты",
}


def commitment(data: dict[Any, Any], salt: bytes) -> str:
    return data_commitment(canonical_json(data), salt)


def declined(**changes: Any) -> Entry:
    fields: dict[str, Any] = {
        "message_id": "01938a6e-6000-7abc-8def-0123456789ab",
        "type": "kopuro.offer.declined.v1",
        "time": dt.datetime(2026, 3, 1, 9, 30, tzinfo=dt.UTC),
        "source": "/kg/routing",
        "partition_key": REFERRAL,
        "data": DECLINED,
    } | changes
    return entry_of(**fields)


def head_of(entry: Entry, salt: bytes = HEAD_SALT) -> bytes:
    return salt + head_json(entry, key_commitment(KEY))


def leaf_of(entry: Entry, *, data: dict[str, Any] = DECLINED, salt: bytes = SALT) -> bytes:
    return leaf_bytes(
        head=head_of(entry),
        data_commitment=commitment(data, salt),
        minute=minute_of(entry.time),
        key=KEY,
        filler=b"",
    )


def test_head_has_golden_bytes() -> None:
    """A change here is a change of the log's format: every verifier would have to learn it."""
    assert head_json(declined(), key_commitment(KEY)) == (
        b'{"actor":"/kg/routing",'
        b'"hub":"kg",'
        b'"message_id":"01938a6e-6000-7abc-8def-0123456789ab",'
        b'"organization":"ru.moscow-union",'
        b'"referral_id":"01938a6e-5f4c-7d31-9b0a-3f2a7c1e8d55",'
        b'"referral_key":"sha256:0ce0bf016d21e37c7786d624bddd8e2450438e6d728d99844929bf39d2097978",'
        b'"time":"2026-03-01T09:30:00.000000Z",'
        b'"type":"kopuro.offer.declined.v1"}'
    )


def test_head_without_referral_has_golden_bytes() -> None:
    entry = declined(
        type="kopuro.token_key.changed.v1",
        source="/uz/directory",
        partition_key="kid-1",
        data={"revision": 1, "key": {"kty": "OKP"}},
        time=dt.datetime(2026, 3, 1, 14, 30, 0, 120, tzinfo=dt.timezone(dt.timedelta(hours=5))),
    )
    assert head_json(entry, None) == (
        b'{"actor":"/uz/directory",'
        b'"hub":"uz",'
        b'"message_id":"01938a6e-6000-7abc-8def-0123456789ab",'
        b'"organization":null,'
        b'"referral_id":null,'
        b'"referral_key":null,'
        b'"time":"2026-03-01T09:30:00.000120Z",'
        b'"type":"kopuro.token_key.changed.v1"}'
    )


def test_commitment_is_the_salted_hash_of_canonical_data() -> None:
    written = '{"a":[1,2.5,null,true],"b":{"x":"ә","y":0.1},"z":1e+21}'.encode()
    data = {"z": 1e21, "b": {"y": 0.10, "x": "ә"}, "a": [1.0, 2.50, None, True]}
    assert commitment(data, SALT) == "sha256:" + hashlib.sha256(DOMAIN + SALT + written).hexdigest()


def test_commitment_ignores_only_key_order() -> None:
    committed = commitment(DECLINED, SALT)
    assert commitment(dict(reversed(DECLINED.items())), SALT) == committed
    for key in DECLINED:
        assert commitment(DECLINED | {key: "changed"}, SALT) != committed
        assert commitment({k: v for k, v in DECLINED.items() if k != key}, SALT) != committed


def test_leaf_contains_no_content() -> None:
    leaf = leaf_of(declined())
    for secret in ("no_capacity", "moscow", "declined", "routing", REFERRAL, "01938a6e"):
        assert secret.encode() not in leaf
    assert json.loads(leaf).keys() == {"data", "format", "head", "tag", "time"}


def test_commitment_without_salt_does_not_confirm_a_guess() -> None:
    """Decline reasons are few: an unsalted hash, or one salt for all, would be found by trying."""
    kept = commitment(DECLINED, SALT)
    guesses = [DECLINED, DECLINED | {"reason": "language"}]
    unsalted = hashlib.sha256(json.dumps(DECLINED, sort_keys=True).encode()).hexdigest()
    assert not kept.endswith(unsalted)
    for at in range(32):
        near = bytearray(SALT)
        near[at] ^= 1
        assert all(commitment(guess, bytes(near)) != kept for guess in guesses)
    assert [commitment(guess, SALT) == kept for guess in guesses] == [True, False]


def test_proof_after_erasure_of_data_and_salt_is_valid() -> None:
    first, second = leaf_of(declined()), leaf_of(declined(), salt=bytes(32))
    tree = Frontier().extend([leaf_hash(first), leaf_hash(second)])
    # Only the leaf is used from here on: what it commits to may be gone.
    verify_inclusion(leaf_hash(first), 0, 2, (leaf_hash(second),), tree.root())
    assert first != second


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_salt_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        commitment(DECLINED, bytes(length))


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 2**53, -(2**53), "\ud800", {"\ud800": 1}, {1: 2}, {1, 2}, b"x"]
)
def test_data_without_canonical_json_is_refused_without_quoting_it(value: object) -> None:
    with pytest.raises(NotCanonical) as caught:
        commitment({"note": "Азамат", "value": value}, SALT)
    assert isinstance(caught.value, Defect)
    assert "Азамат" not in str(caught.value)
    assert caught.value.__suppress_context__  # the library quotes the value in its own message
    assert caught.value.__cause__ is None


def test_data_nested_too_deeply_is_a_defect() -> None:
    data: dict[str, Any] = {}
    for _ in range(100_000):
        data = {"deeper": data}
    with pytest.raises(NotCanonical):
        commitment(data, SALT)


def test_entry_with_naive_time_is_refused() -> None:
    with pytest.raises(EntryError, match="time zone"):
        declined(time=dt.datetime(2026, 3, 1, 9, 30))  # noqa: DTZ001  # what is being refused


@pytest.mark.parametrize(
    ("source", "hub"), [("/kg/intake", "kg"), ("/uz/directory", "uz"), ("/kz/witness/one", "kz")]
)
def test_entry_hub_is_that_of_the_source(source: str, hub: str) -> None:
    assert declined(source=source).hub == hub
    assert declined(source=source).actor == source


@pytest.mark.parametrize("source", ["", "/", "kg", "kg/intake", "/kg", "/kg/", "/KG/intake", "/kgz/x"])
def test_entry_source_without_hub_is_refused(source: str) -> None:
    with pytest.raises(EntryError, match="hub"):
        declined(source=source)


@pytest.mark.parametrize(
    "key", ["ru.moscow-union", "network-memorandum", "", REFERRAL.upper(), REFERRAL + "\n", "routing.0"]
)
def test_entry_referral_id_is_only_a_uuid_partition_key(key: str) -> None:
    assert declined().referral_id == REFERRAL
    assert declined(partition_key=key).referral_id is None


@pytest.mark.parametrize(
    ("data", "organization"),
    [
        ({"organization": "ru.moscow-union"}, "ru.moscow-union"),
        ({"organization": {"id": "kg.osh-legal-aid", "name": "Osh"}}, "kg.osh-legal-aid"),
        ({"organization": {"name": "Osh"}}, None),
        ({"organization": None}, None),
        ({"organization": ["ru.moscow-union"]}, None),
        ({}, None),
    ],
)
def test_entry_organization_is_read_from_the_data(data: dict[str, Any], organization: str | None) -> None:
    assert declined(data=data).organization == organization


def test_head_too_long_for_the_log_is_refused() -> None:
    room = MAX_HEAD_BYTES - len(head_json(declined(message_id=""), None))
    assert len(head_json(declined(message_id="m" * room), None)) == MAX_HEAD_BYTES
    with pytest.raises(EntryError, match="too long"):
        head_json(declined(message_id="m" * (room + 1)), None)


@pytest.mark.parametrize(
    ("data", "organization", "parties"),
    [
        ({"sender": "kg.osh"}, "kg.osh", ("kg.osh",)),
        ({"sender": "kg.osh", "facts": {"to": "ru.moscow"}}, "kg.osh", ("kg.osh", "ru.moscow")),
        ({"sender": "kg.osh", "facts": {"to": None}, "to": "kz.almaty"}, "kg.osh", ("kg.osh", "kz.almaty")),
        ({"sender": "kg.osh", "organization": "ru.moscow"}, "ru.moscow", ("ru.moscow", "kg.osh")),
        ({"sender": "kg.osh", "organization": None}, "kg.osh", ("kg.osh",)),
        ({"sender": "kg.osh", "organization": "kg.osh"}, "kg.osh", ("kg.osh",)),
        ({"organization": {"id": "kg.osh", "name": "Osh"}}, "kg.osh", ("kg.osh",)),
        ({"facts": ["ru.moscow"], "to": 7}, None, ()),
        ({}, None, ()),
    ],
)
def test_head_names_one_organization_and_search_keys_name_all(
    data: dict[str, Any], organization: str | None, parties: tuple[str, ...]
) -> None:
    assert declined(data=data).organization == organization
    assert organizations_of(data) == parties


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**54), 2**54)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=5))
def test_data_commitment_is_to_rfc_8785_canonical_json(data: dict[str, Any]) -> None:
    try:
        expected = rfc8785.dumps(data)
    except rfc8785.CanonicalizationError:
        with pytest.raises(NotCanonical):
            commitment(data, SALT)
    else:
        assert commitment(data, SALT) == "sha256:" + hashlib.sha256(DOMAIN + SALT + expected).hexdigest()


@given(
    message_id=st.text(st.characters(exclude_categories=["Cs"]), max_size=64),
    actor=st.sampled_from(["/kg/routing", "/uz/directory"]),
    organization=st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    time=st.datetimes(timezones=st.just(dt.UTC)),
)
def test_entry_round_trips_through_head_and_leaf(
    message_id: str, actor: str, organization: str | None, time: dt.datetime
) -> None:
    data = {"organization": organization}
    entry = declined(message_id=message_id, source=actor, data=data, time=time)
    head = head_of(entry)
    assert rfc8785.dumps(json.loads(head[32:])) == head[32:]
    leaf = leaf_of(entry, data=data)
    assert rfc8785.dumps(json.loads(leaf)) == leaf
    said = fields_of(leaf, head)
    assert (
        Entry(
            **{name: value for name, value in said.items() if name not in ("commitment", "time")},
            time=dt.datetime.fromisoformat(said["time"]),
        )
        == entry
    )
    assert said["commitment"] == commitment(data, SALT)


@given(
    st.datetimes(timezones=st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=6))]))
    | st.datetimes(timezones=st.just(dt.UTC)).map(lambda time: time.replace(microsecond=0))
)
def test_head_writes_every_time_alike(time: dt.datetime) -> None:
    try:
        written = utc_text(time)
    except OverflowError:
        return  # the first hours of the year 1, east of Greenwich
    assert json.loads(head_json(declined(time=time), None))["time"] == written
    assert written.endswith("Z")
    assert len(written) == len("2026-03-01T09:30:00.000000Z")
