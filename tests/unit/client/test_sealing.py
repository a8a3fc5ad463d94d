import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwk import ECKey, OctKey, OKPKey

from kopuro_client import (
    SealingError,
    UnreadableError,
    WrongKeyError,
    generate_key,
    open_sealed,
    public_key,
    seal,
    thumbprint,
)
from kopuro_client.records import Jwk
from kopuro_client.sealing import CONTENT_ENCRYPTION, KEY_MANAGEMENT, MAX_SEALED, key_for
from tests.long_run import times

CASE = {"name": "Айгуль Т.", "phones": ["+996700000000"], "narrative": "Паспорт у работодателя."}
KEY = generate_key()


def header_of(sealed: str) -> dict[str, Any]:
    segment = sealed.split(".")[0]
    header = json.loads(base64.urlsafe_b64decode(segment + "=="))
    assert isinstance(header, dict)
    return header


def imported(jwk: Mapping[str, Any]) -> OKPKey:
    return OKPKey.import_key(dict(jwk))


def sealed_otherwise(algorithms: list[str], **header: object) -> str:
    key = imported(public_key(KEY))
    full = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "kid": KEY["kid"], **header}
    return jwe.encrypt_compact(full, json.dumps(CASE), key, algorithms=algorithms)


def test_sealed_case_opens_with_its_key() -> None:
    assert open_sealed(seal(CASE, public_key(KEY)), KEY) == CASE


def test_sealed_case_header_follows_the_contract() -> None:
    header = header_of(seal(CASE, public_key(KEY)))
    assert header.pop("epk")["crv"] == "X25519"
    assert header == {
        "alg": "ECDH-ES+A256KW",
        "enc": "A256GCM",
        "kid": KEY["kid"],
        "cty": "application/json",
    }


def test_sealed_case_shows_nothing_of_the_case() -> None:
    sealed = seal(CASE, public_key(KEY))
    parts = [base64.urlsafe_b64decode(part + "==") for part in sealed.split(".")]
    assert not any("Айгуль".encode() in part or b"996700000000" in part for part in parts)


def test_public_key_has_no_private_member() -> None:
    assert set(public_key(KEY)) == {"kty", "crv", "x", "kid"}


def test_kid_is_the_rfc_7638_thumbprint() -> None:
    # The public key of RFC 8037 appendix A.6.
    jwk = {"kty": "OKP", "crv": "X25519", "x": "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"}
    canonical = f'{{"crv":"X25519","kty":"OKP","x":"{jwk["x"]}"}}'
    digest = base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).rstrip(b"=").decode()
    assert thumbprint(jwk) == digest


def test_key_with_another_keys_kid_is_refused() -> None:
    with pytest.raises(SealingError, match="thumbprint"):
        seal(CASE, {**public_key(KEY), "kid": generate_key()["kid"]})


@pytest.mark.parametrize(
    "key",
    [
        {},
        {"kty": "OKP", "crv": "X25519"},
        {"kty": "OKP", "crv": "X25519", "x": "short"},
        {"kty": "OKP", "crv": "X25519", "x": 7},
        OKPKey.generate_key("Ed25519").as_dict(private=False),
        ECKey.generate_key("P-256").as_dict(private=False),
        OctKey.generate_key(256).as_dict(),
    ],
)
def test_sealing_to_key_of_other_type_is_refused(key: dict[str, Any]) -> None:
    with pytest.raises(SealingError):
        seal(CASE, key)


def test_sealing_to_low_order_key_is_refused() -> None:
    zero = base64.urlsafe_b64encode(bytes(32)).rstrip(b"=").decode()
    with pytest.raises(SealingError):
        seal(CASE, {"kty": "OKP", "crv": "X25519", "x": zero})


def test_case_without_json_form_is_refused_with_the_place() -> None:
    with pytest.raises(SealingError, match="it has a number at /documents/0/pages that is not finite"):
        seal({"name": "A", "documents": [{"pages": float("nan")}]}, public_key(KEY))


def test_opening_with_another_key_is_refused() -> None:
    with pytest.raises(SealingError, match="another key"):
        open_sealed(seal(CASE, public_key(KEY)), generate_key())


def test_opening_with_another_key_under_the_right_kid_is_refused() -> None:
    other = generate_key()
    sealed = jwe.encrypt_compact(
        {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "kid": KEY["kid"]},
        json.dumps(CASE),
        imported(public_key(other)),
        algorithms=["ECDH-ES+A256KW", "A256GCM"],
    )
    with pytest.raises(SealingError):
        open_sealed(sealed, KEY)


def test_opening_with_public_key_is_refused() -> None:
    with pytest.raises(SealingError, match="private"):
        open_sealed(seal(CASE, public_key(KEY)), public_key(KEY))


@pytest.mark.parametrize(("alg", "enc"), [("ECDH-ES+A128KW", "A256GCM"), ("ECDH-ES+A256KW", "A128GCM")])
def test_case_sealed_with_other_algorithms_is_refused(alg: str, enc: str) -> None:
    with pytest.raises(SealingError, match="is not sealed with"):
        open_sealed(sealed_otherwise([alg, enc], alg=alg, enc=enc), KEY)


def test_compressed_case_is_refused() -> None:
    sealed = sealed_otherwise(["ECDH-ES+A256KW", "A256GCM", "DEF"], zip="DEF")
    with pytest.raises(SealingError, match="compressed"):
        open_sealed(sealed, KEY)


def test_altered_case_is_refused() -> None:
    parts = seal(CASE, public_key(KEY)).split(".")
    parts[3] = ("B" if parts[3][0] == "A" else "A") + parts[3][1:]
    with pytest.raises(SealingError) as caught:
        open_sealed(".".join(parts), KEY)
    assert "Айгуль" not in str(caught.value)


def test_sealed_content_without_object_is_refused() -> None:
    with pytest.raises(SealingError, match="not a JSON object"):
        open_sealed(seal([1, 2], public_key(KEY)), KEY)  # type: ignore[arg-type]


def test_case_with_scanned_pages_fits_and_larger_case_is_refused() -> None:
    page = {"name": "p.pdf", "media_type": "application/pdf", "content": "A" * 700_000}
    case = {**CASE, "documents": [page]}
    assert open_sealed(seal(case, public_key(KEY)), KEY) == case
    with pytest.raises(SealingError, match=str(MAX_SEALED)):
        seal({**CASE, "documents": [page, page]}, public_key(KEY))


def test_case_without_json_form_is_not_sealed() -> None:
    for value in (float("nan"), object(), "\ud800"):
        with pytest.raises(SealingError):
            seal({"name": value}, public_key(KEY))


SEALED = seal(CASE, public_key(KEY))


@settings(max_examples=times(60, 300), deadline=None)
@given(st.data())
def test_malformed_sealed_case_raises_only_sealing_error(data: st.DataObject) -> None:
    header = data.draw(
        st.one_of(
            st.binary(max_size=40),
            st.builds(
                lambda extra: json.dumps({**header_of(SEALED), **extra}).encode(),
                st.dictionaries(
                    st.sampled_from(["alg", "enc", "epk", "apu", "apv", "crit", "zip", "cty", "kid"]),
                    st.one_of(
                        st.none(), st.integers(), st.text(max_size=5), st.just({"kty": "OKP"}), st.just([])
                    ),
                    min_size=1,
                ),
            ),
        )
    )
    first = base64.urlsafe_b64encode(header).rstrip(b"=").decode()
    rest = data.draw(st.sampled_from([SEALED.split(".")[1:], ["", "", "", ""], ["é", "x"], []]))
    with pytest.raises(SealingError):
        open_sealed(".".join([first, *rest]), KEY)


def sealed_bytes(plaintext: bytes, key: Jwk) -> str:
    """Return arbitrary bytes sealed to a key."""
    public = OKPKey.import_key({name: key[name] for name in ("kty", "crv", "x")})
    header = {"alg": KEY_MANAGEMENT, "enc": CONTENT_ENCRYPTION, "kid": key["kid"]}
    return jwe.encrypt_compact(header, plaintext, public, algorithms=[KEY_MANAGEMENT, CONTENT_ENCRYPTION])


@pytest.mark.parametrize("plaintext", [b"hello", b"\xff", b"", b"[1]", b'"text"', b"[" * 100_000])
def test_sealed_bytes_without_object_are_not_understood(plaintext: bytes) -> None:
    key = generate_key()
    with pytest.raises(UnreadableError) as caught:
        open_sealed(sealed_bytes(plaintext, key), key)
    assert caught.value.reason == "not_understood"


def test_case_sealed_to_other_key_than_its_kid_cannot_be_decrypted() -> None:
    key, other = generate_key(), generate_key()
    with pytest.raises(UnreadableError) as caught:
        open_sealed(sealed_bytes(b"{}", {**other, "kid": key["kid"]}), key)
    assert caught.value.reason == "cannot_decrypt"


def test_case_with_another_kid_raises_wrong_key_error() -> None:
    with pytest.raises(WrongKeyError):
        open_sealed(seal({}, public_key(generate_key())), generate_key())


def test_key_is_chosen_by_the_id_in_the_header() -> None:
    keys = [generate_key() for _ in range(3)]
    for key in keys:
        sealed = seal({"name": "A"}, public_key(key))
        assert key_for(sealed, keys) == key
        assert open_sealed(sealed, key_for(sealed, keys)) == {"name": "A"}
    foreign = seal({"name": "A"}, public_key(generate_key()))
    with pytest.raises(WrongKeyError):
        open_sealed(foreign, key_for(foreign, keys))
    for damaged in ("", "a.b.c", "bm9uc2Vuc2U.b.c.d.e"):
        with pytest.raises(UnreadableError):
            open_sealed(damaged, key_for(damaged, keys))
