"""What is opened and sealed here, held to another implementation and to the RFC's own example."""

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

ALGORITHMS = [KEY_MANAGEMENT, CONTENT_ENCRYPTION]
RAW = bytes(range(1, 33))
KEY = X25519PrivateKey.from_private_bytes(RAW)
X = encoded(KEY.public_key().public_bytes_raw())
LIBRARYS_KEY = OKPKey.import_key({"kty": "OKP", "crv": "X25519", "x": X, "d": encoded(RAW)})


def header_of(compact: str) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(decoded(compact.partition(".")[0]))
    return header


def librarys(plaintext: bytes, **members: str) -> str:
    header = {"alg": KEY_MANAGEMENT, "enc": CONTENT_ENCRYPTION, **members}
    return jwe.encrypt_compact(header, plaintext, LIBRARYS_KEY, algorithms=ALGORITHMS)


@settings(max_examples=50, deadline=None)
@given(plaintext=st.binary(min_size=1, max_size=300))
def test_a_library_opens_what_is_sealed_here(plaintext: bytes) -> None:
    found = jwe.decrypt_compact(sealed(plaintext, X), LIBRARYS_KEY, algorithms=ALGORITHMS)
    assert found.plaintext == plaintext
    assert found.headers()["kid"] == LIBRARYS_KEY.thumbprint()
    assert found.headers()["cty"] == "application/json"


@settings(max_examples=50, deadline=None)
@given(plaintext=st.binary(min_size=1, max_size=300), apu=st.binary(max_size=20), apv=st.binary(max_size=20))
def test_what_a_library_seals_is_opened_here(plaintext: bytes, apu: bytes, apv: bytes) -> None:
    compact = librarys(plaintext, apu=encoded(apu), apv=encoded(apv))
    assert opened(KEY, compact, header_of(compact)) == plaintext


def test_the_wrapping_key_is_derived_as_the_rfc_derives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # RFC 7518 appendix C derives 128 bits for A128GCM; the construction is the same.
    monkeypatch.setattr(sealing, "KEY_MANAGEMENT", "A128GCM")
    monkeypatch.setattr(sealing, "CONTENT_KEY", 16)
    shared = bytes.fromhex("9e56d91d817135d372834283bf84269cfb316ea3da806a48f6daa7798cfe90c4")
    derived = sealing._derived(shared, b"Alice", b"Bob")
    assert encoded(derived[:16]) == "VqqN6vgjbSBcIijNcacQGg"


def test_the_thumbprint_is_the_rfcs() -> None:
    assert thumbprint(X) == LIBRARYS_KEY.thumbprint()


@pytest.mark.parametrize("part", range(5))
def test_a_changed_letter_in_any_part_is_noticed(part: int) -> None:
    compact = sealed(b"the case", X)
    header, parts = header_of(compact), compact.split(".")
    parts[part] = ("B" if parts[part][0] == "A" else "A") + parts[part][1:]
    with pytest.raises(Unopened):
        opened(KEY, ".".join(parts), header)


@pytest.mark.parametrize(
    ("part", "length"), [(1, 39), (1, 41), (2, 8), (2, 16), (4, 12), (4, 17)], ids=lambda value: str(value)
)
def test_a_part_of_another_length_is_refused(part: int, length: int) -> None:
    compact = sealed(b"the case", X)
    parts = compact.split(".")
    parts[part] = encoded(bytes(length))
    with pytest.raises(Unopened):
        opened(KEY, ".".join(parts), header_of(compact))


@pytest.mark.parametrize("moved", [-1, 1])
def test_the_border_between_ciphertext_and_tag_is_where_the_sender_drew_it(moved: int) -> None:
    """Joined they are the same bytes, and would open: only their lengths tell."""
    compact = sealed(b"the case", X)
    *parts, ciphertext, tag = compact.split(".")
    border = len(decoded(ciphertext)) + moved
    joined = decoded(ciphertext) + decoded(tag)
    parts += [encoded(joined[:border]), encoded(joined[border:])]
    with pytest.raises(Unopened):
        opened(KEY, ".".join(parts), header_of(compact))


@pytest.mark.parametrize("change", [{"kty": "EC"}, {"crv": "X448"}, {"crv": "Ed25519"}])
def test_an_ephemeral_key_of_another_kind_opens_nothing(change: dict[str, str]) -> None:
    """Its `x` is the true one: nothing but its kind is wrong."""
    compact = sealed(b"the case", X)
    header = header_of(compact)
    assert opened(KEY, compact, header) == b"the case"
    with pytest.raises(Unopened):
        opened(KEY, compact, {**header, "epk": {**header["epk"], **change}})


def test_an_ephemeral_key_of_low_order_opens_nothing() -> None:
    """Every agreement with it gives zeros (RFC 7748 §6.1), so that anybody knows the wrapping key."""
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
def test_an_ephemeral_key_that_is_none_opens_nothing(epk: Any) -> None:
    compact = sealed(b"the case", X)
    with pytest.raises(Unopened):
        opened(KEY, compact, {**header_of(compact), "epk": epk})


@pytest.mark.parametrize("member", ["apu", "apv"])
@pytest.mark.parametrize("value", [7, None, "!", "AAAA"])
def test_party_information_that_was_changed_opens_nothing(member: str, value: Any) -> None:
    compact = sealed(b"the case", X)
    with pytest.raises(Unopened):
        opened(KEY, compact, {**header_of(compact), member: value})


def test_fault_of_ours_does_not_pass_for_a_case_that_cannot_be_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compact = sealed(b"the case", X)

    def broken(*_: object) -> bytes:
        raise TypeError("a fault")

    monkeypatch.setattr(sealing, "_derived", broken)
    with pytest.raises(TypeError):
        opened(KEY, compact, header_of(compact))


def test_another_key_opens_nothing() -> None:
    compact = sealed(b"the case", X)
    with pytest.raises(Unopened):
        opened(X25519PrivateKey.generate(), compact, header_of(compact))


def test_no_two_seals_share_a_key_an_iv_or_an_ephemeral_key() -> None:
    parts = [sealed(b"the case", X).split(".") for _ in range(20)]
    for place in range(5):
        assert len({one[place] for one in parts}) == 20


@pytest.mark.parametrize("x", ["", "AAAA", "A" * 43, "!" * 43])
def test_nothing_is_sealed_to_what_is_no_key(x: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whichever part of it is wrong
        sealed(b"the case", x)
