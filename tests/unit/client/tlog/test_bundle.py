from __future__ import annotations

import copy
import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from kopuro_client.tlog import (
    Bundle,
    ContentError,
    MalformedError,
    ProofError,
    TlogError,
    TrustPolicy,
    UntrustedError,
)
from tests.unit.client.tlog.log_writer import (
    LOG,
    REFERRAL,
    Key,
    Log,
    b64,
    changed_bundle,
    compact,
    content,
    entries,
    entry,
    path,
    policy_text,
    salt,
    with_manifest,
)

POLICY = TrustPolicy.parse(policy_text())
LOG_OF_TEN = Log(entries(10))
GOOD = LOG_OF_TEN.bundle(opened={0: content(0), 3: content(3)})
changed = partial(changed_bundle, GOOD)


def verify(document: Any) -> Any:
    return Bundle.parse(document if isinstance(document, bytes) else compact(document)).verify(POLICY)


def test_bundle_verifies() -> None:
    accepted, found = verify(GOOD)
    assert accepted.checkpoint.size == 10
    assert [entry.index for entry in found] == [0, 3, 6, 9]
    assert [entry.data for entry in found] == [content(0), content(3), None, None]
    assert {entry.leaf["referral_id"] for entry in found} == {REFERRAL}


OLDER = (Path(__file__).parent / "kopuro-bundle-1.json").read_bytes()


SECOND = (Path(__file__).parent / "kopuro-bundle-2.json").read_bytes()


def test_bundle_of_older_format_verifies() -> None:
    assert verify(OLDER) == verify(SECOND) == verify(GOOD)
    assert compact(GOOD) == SECOND
    changed = OLDER.replace(b'"offer":3', b'"offer":4')
    assert changed != OLDER
    with pytest.raises(ContentError, match="manifest"):
        verify(changed)


def test_bundle_without_entries_verifies() -> None:
    nobody = "0199c0de-0000-7000-8000-00000000dead"
    assert verify(LOG_OF_TEN.bundle(referral=nobody))[1] == ()


OTHER = b64(entry(3, tree="other"))


@pytest.mark.parametrize(
    ("forged", "error"),
    [
        (changed("entries", 1, "leaf", value=OTHER), ProofError),
        (changed("entries", 1, "index", value=4), ProofError),
        (changed("entries", 1, "index", value=-1), ProofError),
        (changed("entries", 1, "index", value=10**15), ProofError),
        (changed("entries", 1, "index", value=True), MalformedError),
        (changed("entries", 1, "proof", value=[]), ProofError),
        (changed("entries", 1, "proof", value=["AA=="] * 4), ProofError),
        (changed("entries", 1, "proof", value=[4]), MalformedError),
        (changed("entries", 1, "opening", "data", "offer", value=4), ContentError),
        (changed("entries", 1, "opening", "salt", value=b64(salt(4))), ContentError),
        (changed("entries", 1, "opening", "salt", value="AA=="), ContentError),
        (changed("entries", 1, "opening", value="none"), MalformedError),
        (changed("entries", value=GOOD["entries"][::-1]), ContentError),
        (changed("entries", value=[GOOD["entries"][0]] * 2), ContentError),
        (changed("entries", value=["entry"]), MalformedError),
        (changed("referral_id", value="0199c0de-0000-7000-8000-000000000002"), ContentError),
        (changed("origin", value="kopuro/other"), ContentError),
        (changed("log_key", value=LOG.vkey[:-1]), MalformedError),
        (changed("checkpoint", value=Log(entries(10, tree="other")).note()), ProofError),
        (changed("checkpoint", value=Log(entries(10), keys=(LOG,)).note()), UntrustedError),
        (changed("format", value="kopuro-bundle/3"), MalformedError),
        ({**GOOD, "format": "kopuro-bundle/1"}, ContentError),
        (changed("more", value=1), MalformedError),
        ({**GOOD, "entries": GOOD["entries"][1:]}, ContentError),
        ({**GOOD, "manifest": {**GOOD["manifest"], "entries": 3}}, ContentError),
        ({**GOOD, "manifest": {**GOOD["manifest"], "sha256": "0" * 64}}, ContentError),
        ({**GOOD, "manifest": {**GOOD["manifest"], "created_at": "yesterday"}}, MalformedError),
        ({**GOOD, "manifest": {**GOOD["manifest"], "created_at": "2026-11-22T12:00:00Z"}}, ContentError),
        ({name: value for name, value in GOOD.items() if name != "manifest"}, MalformedError),
        (compact(GOOD)[:-1], MalformedError),
        (compact(GOOD).replace(b'"index":0', b'"index":0,"index":0'), MalformedError),
        (b"[]", MalformedError),
        (b"[" * 100_000, MalformedError),
        (b"\xff", MalformedError),
    ],
)
def test_forged_bundle_is_refused(forged: Any, error: type[TlogError]) -> None:
    with pytest.raises(error):
        verify(forged)


def test_bundle_of_invented_log_is_refused() -> None:
    forger = Key(LOG.name, 1, b"f" * 32)
    with pytest.raises(UntrustedError):
        verify(Log(entries(10), keys=(forger,)).bundle())


def test_bundle_with_entry_of_another_referral_is_refused() -> None:
    document = copy.deepcopy(GOOD)
    leaf = LOG_OF_TEN.leaves[1]
    proved = [b64(digest) for digest in path(1, LOG_OF_TEN.hashes)]
    document["entries"].insert(1, {"index": 1, "leaf": b64(leaf), "proof": proved, "opening": None})
    with pytest.raises(ContentError, match="entry 1 is not about"):
        verify(with_manifest(document))


def test_leaf_with_non_canonical_json_is_refused() -> None:
    leaf = LOG_OF_TEN.leaves[0].replace(b'","', b'", "', 1)
    with pytest.raises((MalformedError, TypeError, ValueError), match="canonical"):
        verify(Log([leaf]).bundle())


@pytest.mark.parametrize("data", [{"note": "\u001f\\u001F"}, {"share": 1e-07}, {"share": 0.1 + 0.2}])
def test_opening_with_any_changed_byte_is_refused(data: dict[str, Any]) -> None:
    commitment = hashlib.sha256(salt(0) + rfc8785.dumps(data)).hexdigest()
    leaf = json.dumps(json.loads(entry(0)) | {"commitment": f"sha256:{commitment}"}, sort_keys=True)
    document = Log([leaf.replace(", ", ",").replace(": ", ":").encode()]).bundle(opened={0: data})
    del document["manifest"]["sha256"]
    document["manifest"]["sha256"] = hashlib.sha256(rfc8785.dumps(document)).hexdigest()
    written = compact(document)
    assert verify(written)[1][0].data == data
    start = written.index(b'"data"')
    for bit in range(start * 8, (start + 50) * 8):
        changed = bytearray(written)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(TlogError):
            verify(bytes(changed))
