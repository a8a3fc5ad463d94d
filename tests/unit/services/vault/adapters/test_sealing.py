"""Sealing and opening, checked against joserfc and the RFC's example."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwk import OKPKey

from contracts.jose import CONTENT_ENCRYPTION, KEY_MANAGEMENT, decoded, encoded, thumbprint
from services.vault.adapters import sealing
from services.vault.adapters.sealing import Unopened, opened, sealed
from tests.long_run import times

ALGORITHMS = [KEY_MANAGEMENT, CONTENT_ENCRYPTION]
RAW = bytes(range(1, 33))
KEY = X25519PrivateKey.from_private_bytes(RAW)
X = encoded(KEY.public_key().public_bytes_raw())
JOSERFC_KEY = OKPKey.import_key({"kty": "OKP", "crv": "X25519", "x": X, "d": encoded(RAW)})


def header_of(compact: str) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(decoded(compact.partition(".")[0]))
    return header


def sealed_by_joserfc(plaintext: bytes, **members: str) -> str:
    header = {"alg": KEY_MANAGEMENT, "enc": CONTENT_ENCRYPTION, **members}
    return jwe.encrypt_compact(header, plaintext, JOSERFC_KEY, algorithms=ALGORITHMS)


@settings(max_examples=times(20, 50), deadline=None)
@given(plaintext=st.binary(min_size=1, max_size=300))
def test_sealed_text_opens_with_joserfc(plaintext: bytes) -> None:
    found = jwe.decrypt_compact(sealed(plaintext, X), JOSERFC_KEY, algorithms=ALGORITHMS)
    assert found.plaintext == plaintext
    assert found.headers()["kid"] == JOSERFC_KEY.thumbprint()
    assert found.headers()["cty"] == "application/json"


@settings(max_examples=times(20, 50), deadline=None)
@given(plaintext=st.binary(min_size=1, max_size=300), apu=st.binary(max_size=20), apv=st.binary(max_size=20))
def test_text_sealed_by_joserfc_opens(plaintext: bytes, apu: bytes, apv: bytes) -> None:
    compact = sealed_by_joserfc(plaintext, apu=encoded(apu), apv=encoded(apv))
    assert opened(KEY, compact, header_of(compact)) == plaintext


def test_wrapping_key_matches_rfc_7518_example(monkeypatch: pytest.MonkeyPatch) -> None:
    # RFC 7518 appendix C derives 128 bits for A128GCM; the construction is the same.
    monkeypatch.setattr(sealing, "KEY_MANAGEMENT", "A128GCM")
    monkeypatch.setattr(sealing, "CONTENT_KEY", 16)
    shared = bytes.fromhex("9e56d91d817135d372834283bf84269cfb316ea3da806a48f6daa7798cfe90c4")
    derived = sealing._derived(shared, b"Alice", b"Bob")
    assert encoded(derived[:16]) == "VqqN6vgjbSBcIijNcacQGg"


def test_thumbprint_matches_joserfc() -> None:
    assert thumbprint(X) == JOSERFC_KEY.thumbprint()


@pytest.mark.parametrize("part", range(5))
def test_changed_character_in_any_part_is_refused(part: int) -> None:
    compact = sealed(b"the case", X)
    header, parts = header_of(compact), compact.split(".")
    parts[part] = ("B" if parts[part][0] == "A" else "A") + parts[part][1:]
    with pytest.raises(Unopened):
        opened(KEY, ".".join(parts), header)


@pytest.mark.parametrize(
    ("part", "length"), [(1, 39), (1, 41), (2, 8), (2, 16), (4, 12), (4, 17)], ids=lambda value: str(value)
)
def test_part_of_wrong_length_is_refused(part: int, length: int) -> None:
    compact = sealed(b"the case", X)
    parts = compact.split(".")
    parts[part] = encoded(bytes(length))
    with pytest.raises(Unopened):
        opened(KEY, ".".join(parts), header_of(compact))


@pytest.mark.parametrize("moved", [-1, 1])
def test_moved_border_of_ciphertext_and_tag_is_refused(moved: int) -> None:
    """The joined bytes are the same and would open; only the part lengths differ."""
    compact = sealed(b"the case", X)
    *parts, ciphertext, tag = compact.split(".")
    border = len(decoded(ciphertext)) + moved
    joined = decoded(ciphertext) + decoded(tag)
    parts += [encoded(joined[:border]), encoded(joined[border:])]
    with pytest.raises(Unopened):
        opened(KEY, ".".join(parts), header_of(compact))


@pytest.mark.parametrize("change", [{"kty": "EC"}, {"crv": "X448"}, {"crv": "Ed25519"}])
def test_ephemeral_key_of_other_type_is_refused(change: dict[str, str]) -> None:
    """Its `x` is correct; only the type is wrong."""
    compact = sealed(b"the case", X)
    header = header_of(compact)
    assert opened(KEY, compact, header) == b"the case"
    with pytest.raises(Unopened):
        opened(KEY, compact, {**header, "epk": {**header["epk"], **change}})


def test_ephemeral_key_of_low_order_is_refused() -> None:
    """Key agreement with it gives zeros (RFC 7748 §6.1), so anyone knows the wrapping key."""
    header = {
        "alg": KEY_MANAGEMENT,
        "enc": CONTENT_ENCRYPTION,
        "kid": thumbprint(X),
        "epk": {"kty": "OKP", "crv": "X25519", "x": encoded(bytes(32))},
    }
    protected = encoded(json.dumps(header).encode())
    content_key, iv = bytes(range(32)), bytes(12)
    wrapped = aes_key_wrap(sealing._derived(bytes(32), b"", b""), content_key)
    encrypted = AESGCM(content_key).encrypt(iv, b"a forged case", protected.encode())
    parts = [protected, *map(encoded, (wrapped, iv, encrypted[:-16], encrypted[-16:]))]
    with pytest.raises(Unopened):
        opened(KEY, ".".join(parts), header)


@pytest.mark.parametrize(
    "epk",
    [
        None,
        "epk",
        {},
        {"kty": "OKP", "crv": "X25519", "x": 7},
        {"kty": "OKP", "crv": "X25519", "x": "AAAA"},
        {"kty": "OKP", "crv": "X25519", "x": "ключ"},
    ],
)
def test_malformed_ephemeral_key_is_refused(epk: Any) -> None:
    compact = sealed(b"the case", X)
    with pytest.raises(Unopened):
        opened(KEY, compact, {**header_of(compact), "epk": epk})


@pytest.mark.parametrize("member", ["apu", "apv"])
@pytest.mark.parametrize("value", [7, None, "!", "AAAA"])
def test_changed_party_information_is_refused(member: str, value: Any) -> None:
    compact = sealed(b"the case", X)
    with pytest.raises(Unopened):
        opened(KEY, compact, {**header_of(compact), member: value})


def test_internal_defect_is_not_reported_as_unreadable_case(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compact = sealed(b"the case", X)

    def broken(*_: object) -> bytes:
        raise TypeError("defect")

    monkeypatch.setattr(sealing, "_derived", broken)
    with pytest.raises(TypeError):
        opened(KEY, compact, header_of(compact))


def test_sealed_text_does_not_open_with_other_key() -> None:
    compact = sealed(b"the case", X)
    with pytest.raises(Unopened):
        opened(X25519PrivateKey.generate(), compact, header_of(compact))


def test_sealed_texts_share_no_key_iv_or_ephemeral_key() -> None:
    parts = [sealed(b"the case", X).split(".") for _ in range(20)]
    for place in range(5):
        assert len({one[place] for one in parts}) == 20


@pytest.mark.parametrize("x", ["", "AAAA", "A" * 43, "!" * 43])
def test_sealing_to_invalid_key_raises(x: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message depends on the fault
        sealed(b"the case", x)
