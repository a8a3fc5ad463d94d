from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.audit.log.domain.cosignature import CosignatureVerifier
from services.audit.log.domain.witness_policy import PolicyError, WitnessPolicy


def record(name: str = "w1", **changes: Any) -> dict[str, Any]:
    key = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    vkey = CosignatureVerifier(name=name, public_key=key).format()
    return {"name": name, "vkey": vkey, "url": f"https://{name}.example/prefix/"} | changes


def policy(threshold: Any, *records: Any) -> Any:
    return {"witnesses": list(records), "threshold": threshold}


def test_policy_counts_k_of_n_witnesses() -> None:
    read = WitnessPolicy.read(policy(2, record("w1"), record("w2"), record("w3")))
    assert read.witnesses[0].url == "https://w1.example/prefix"
    assert read.counts(["w1", "w3"])
    assert not read.counts(["w1"])
    assert not read.counts(["w1", "w1", "stranger"])


def test_policy_with_threshold_zero_requires_one_witness() -> None:
    read = WitnessPolicy.read(policy(0, record("w1"), record("w2")))
    assert read.counts(["w2"])
    assert not read.counts([])


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"witnesses": [], "threshold": 0, "quorum": 1},
        policy(None),
        policy(True, record()),
        policy(-1),
        policy(2, record()),
        policy(0, "w1"),
        policy(0, {"name": "w1"}),
        policy(0, record(vkey="w1+0+A")),
        policy(0, record(name="w2", vkey=record("w1")["vkey"])),
        policy(0, record(url="ftp://w1.example")),
        policy(0, record(url="https:///prefix")),
        policy(0, record(url="https://user:password@w1.example")),
        policy(0, record("w1"), record("w1")),
    ],
)
def test_malformed_policy_is_refused(document: Any) -> None:
    with pytest.raises(PolicyError):
        WitnessPolicy.read(document)


def test_policy_with_one_key_under_two_names_is_refused() -> None:
    key = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    twice = [
        record(name, vkey=CosignatureVerifier(name=name, public_key=key).format()) for name in ("w1", "w2")
    ]
    with pytest.raises(PolicyError, match="the same key"):
        WitnessPolicy.read(policy(2, *twice))
