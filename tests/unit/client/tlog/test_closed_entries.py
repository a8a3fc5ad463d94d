"""Bundles and receipts of leaves that name nobody (format 3)."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from kopuro_client.tlog import (
    Bundle,
    ContentError,
    MalformedError,
    TlogError,
    TrustPolicy,
    VerifierKey,
    receipts_in,
)
from tests.unit.client.tlog import independent_reader
from tests.unit.client.tlog.log_writer import (
    LOG,
    REFERRAL,
    Log,
    b64,
    changed_bundle,
    closed_entry,
    compact,
    content,
    head,
    head_salt,
    mixed_bundle,
    mixed_entries,
    path,
    policy_text,
    salt,
    with_manifest,
)

POLICY = TrustPolicy.parse(policy_text())
MIXED = Log(mixed_entries(4, 6))
GOOD = mixed_bundle(MIXED, opened=(0, 6))
changed = partial(changed_bundle, GOOD)


def verify(document: Any) -> Any:
    return Bundle.parse(compact(document)).verify(POLICY)


def test_bundle_of_leaves_of_every_format_verifies() -> None:
    accepted, found = verify(GOOD)
    assert accepted.checkpoint.size == 10
    assert [(entry.index, entry.closed, entry.opened) for entry in found] == [
        (0, False, True),
        (3, False, False),
        (6, True, True),
        (9, True, False),
    ]
    assert found[2].data == content(6)
    assert {entry.leaf["referral_id"] for entry in found} == {REFERRAL}
    assert [one.data for one in independent_reader.read_bundle(GOOD)] == [entry.data for entry in found]


def test_bundle_recognises_the_referrals_leaves_with_the_key_alone() -> None:
    about = [index for index, leaf in enumerate(MIXED.leaves) if Bundle.parse(compact(GOOD)).is_about(leaf)]
    assert about == [0, 3, 6, 9]
    party = Bundle.parse(compact(mixed_bundle(MIXED, key=None)))
    assert [index for index, leaf in enumerate(MIXED.leaves) if party.is_about(leaf)] == [0, 3]
    assert len(party.verify(POLICY)[1]) == 4


@pytest.mark.parametrize(
    ("forged", "error"),
    [
        (changed("referral_key", value=b64(bytes(32))), ContentError),
        (changed("referral_key", value=b64(bytes(31))), MalformedError),
        (changed("referral_key", value=7), MalformedError),
        (changed("entries", 2, "head", value=None), MalformedError),
        (changed("entries", 2, "head", "salt", value=b64(head_salt(7))), ContentError),
        (changed("entries", 2, "head", "salt", value="AA=="), ContentError),
        (changed("entries", 2, "head", "value", "organization", value="kg.other"), ContentError),
        (changed("entries", 2, "head", "value", value=[]), MalformedError),
        (changed("entries", 2, "head", value={"salt": b64(head_salt(6))}), MalformedError),
        (changed("entries", 0, "head", value=GOOD["entries"][2]["head"]), ContentError),
        (changed("entries", 2, "opening", "data", "offer", value=7), ContentError),
        (changed("entries", 2, "opening", "salt", value=b64(head_salt(6))), ContentError),
        (changed("format", value="kopuro-bundle/2"), MalformedError),
        (changed("format", value="kopuro-bundle/4"), MalformedError),
    ],
)
def test_forged_bundle_is_refused(forged: Any, error: type[TlogError]) -> None:
    with pytest.raises(error):
        verify(forged)


def test_bundle_whose_heads_name_two_keys_is_refused() -> None:
    other = bytes(range(32))
    leaves = [closed_entry(0), closed_entry(1), closed_entry(2), closed_entry(3, key=other)]
    document = mixed_bundle(Log(leaves), key=None)
    document["entries"][1]["head"]["value"] = head(3, key=other)
    with pytest.raises(ContentError, match="different keys"):
        verify(with_manifest(document))


@pytest.mark.parametrize(
    "members",
    [{"format": 4}, {"format": "3"}, {"time": "2026-11-21T12:00:01Z"}, {"tag": "0" * 31}, {"more": 1}],
)
def test_leaf_of_unknown_format_is_refused(members: dict[str, Any]) -> None:
    fields = {"data": "sha256:" + "0" * 64, "format": 3, "head": "sha256:" + "0" * 64, "tag": "0" * 32}
    leaf = compact({**fields, "time": "2026-11-21T12:00:00Z", **members})
    with pytest.raises(MalformedError, match="unknown format"):
        verify(mixed_bundle(Log([leaf])))


TRUSTED = TrustPolicy(logs=(VerifierKey.parse(LOG.vkey),))


def receipt(index: int, **members: Any) -> dict[str, Any]:
    hashes = [b64(digest) for digest in path(index, MIXED.hashes)]
    one = {
        "index": index,
        "leaf": MIXED.leaves[index].decode(),
        "path": list(range(len(hashes))),
        "head": compact(head(index)).decode(),
        "head_salt": b64(head_salt(index)),
        **members,
    }
    return {"checkpoint": MIXED.note(), "hashes": hashes, "receipts": [one]}


def test_receipt_says_what_its_opened_head_says() -> None:
    [one] = receipts_in(receipt(6))
    assert one.verify(TRUSTED).checkpoint.size == 10
    fields = one.fields()
    assert (fields["type"], fields["referral_id"]) == ("kopuro.offer.opened.v1", REFERRAL)
    [earlier] = receipts_in(receipt(3, head=None, head_salt=None))
    assert earlier.verify(TRUSTED).checkpoint.size == 10


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"head": compact(head(9)).decode()}, ContentError),
        ({"head_salt": b64(salt(6))}, ContentError),
        ({"head_salt": "AA=="}, ContentError),
        ({"head_salt": None}, MalformedError),
        ({"head": None, "head_salt": None}, MalformedError),
        ({"head": "[]"}, MalformedError),
        ({"head": "\ud800"}, MalformedError),
        ({"head": 7}, MalformedError),
    ],
)
def test_receipt_with_another_head_is_refused(members: dict[str, Any], error: type[TlogError]) -> None:
    with pytest.raises(error):
        [one.verify(TRUSTED) for one in receipts_in(receipt(6, **members))]


def test_every_changed_byte_of_a_receipts_head_is_refused() -> None:
    written = compact(head(6))
    for at in range(len(written)):
        wrong = bytearray(written)
        wrong[at] ^= 1
        with pytest.raises(TlogError):
            [one.verify(TRUSTED) for one in receipts_in(receipt(6, head=wrong.decode()))]
