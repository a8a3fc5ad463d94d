from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.facts import TransitSeal
from contracts.jose import decoded, encoded, thumbprint
from kopuro_client.sealing import generate_key, open_sealed, public_key, seal
from runtime import transit_seal
from runtime.transit_seal import TransitUnopened

SUBJECT = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a01"
RECIPIENT = generate_key()
JWE = seal({"name": "Aigerim"}, public_key(RECIPIENT))


def test_sealed_jwe_opens_with_the_transit_key_only() -> None:
    kid, x, secret = transit_seal.generate()
    sealed, rest = transit_seal.seal(JWE, x, SUBJECT)
    assert sealed.kid == kid == thumbprint(x)
    assert transit_seal.open_sealed(sealed, rest, secret, SUBJECT) == JWE
    assert open_sealed(JWE, RECIPIENT) == {"name": "Aigerim"}
    *_, other = transit_seal.generate()
    with pytest.raises(TransitUnopened):
        transit_seal.open_sealed(sealed, rest, other, SUBJECT)


def test_transit_text_contains_neither_header_nor_wrapped_key() -> None:
    _, x, _ = transit_seal.generate()
    sealed, rest = transit_seal.seal(JWE, x, SUBJECT)
    header, wrapped_key, *tail = JWE.split(".")
    assert rest == ".".join(tail)
    for part in (header, wrapped_key):
        assert part not in sealed.key
        assert part.encode() not in decoded(sealed.key)


def test_sealed_key_of_another_referral_or_key_id_does_not_open() -> None:
    _, x, secret = transit_seal.generate()
    sealed, rest = transit_seal.seal(JWE, x, SUBJECT)
    with pytest.raises(TransitUnopened):
        transit_seal.open_sealed(sealed, rest, secret, SUBJECT[:-1] + "2")
    with pytest.raises(TransitUnopened):
        transit_seal.open_sealed(replace(sealed, kid="A" * 43), rest, secret, SUBJECT)


@pytest.mark.parametrize("key", ["", "AA", "AAAA", "A"])
def test_malformed_sealed_key_does_not_open(key: str) -> None:
    kid, _, secret = transit_seal.generate()
    with pytest.raises(TransitUnopened):
        transit_seal.open_sealed(TransitSeal(kid=kid, key=key), "a.b.c", secret, SUBJECT)


def test_every_changed_byte_is_noticed() -> None:
    kid, x, secret = transit_seal.generate()
    sealed, rest = transit_seal.seal(JWE, x, SUBJECT)
    bytes_ = bytearray(decoded(sealed.key))
    for place in range(len(bytes_)):
        changed = bytes(bytes_[:place] + bytes([bytes_[place] ^ 1]) + bytes_[place + 1 :])
        with pytest.raises(TransitUnopened):
            transit_seal.open_sealed(TransitSeal(kid=kid, key=encoded(changed)), rest, secret, SUBJECT)


def test_text_that_is_not_a_jwe_is_not_sealed() -> None:
    _, x, _ = transit_seal.generate()
    with pytest.raises(ValueError, match="compact"):
        transit_seal.seal("a.b.c", x, SUBJECT)


def test_public_half_belongs_to_the_generated_key() -> None:
    kid, x, secret = transit_seal.generate()
    assert transit_seal.public_half(secret) == (kid, x)
