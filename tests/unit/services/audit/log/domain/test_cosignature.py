"""Cosignatures: the specified bytes, and refusal of lookalikes."""

from __future__ import annotations

import base64
import datetime as dt

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.audit.log.domain.cosignature import CosignatureVerifier, cosigned_at, signed_message
from services.audit.log.domain.note import Ed25519Verifier, MalformedKey, Signature

TEXT = b"kopuro/kg\n3\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
TIME = 1_679_315_147
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
VERIFIER = CosignatureVerifier(name="witness.example/w1", public_key=KEY.public_key().public_bytes_raw())


def signed(text: bytes = TEXT, time: int = TIME, key: Ed25519PrivateKey = KEY) -> bytes:
    return time.to_bytes(8, "big") + key.sign(signed_message(time, text))


def test_cosignature_message_is_header_time_and_text() -> None:
    assert signed_message(TIME, TEXT) == b"cosignature/v1\ntime 1679315147\n" + TEXT


def test_cosignature_verifies_only_its_text_time_and_key() -> None:
    good = signed()
    assert VERIFIER.verify(TEXT, good)
    assert not VERIFIER.verify(TEXT.replace(b"\n3\n", b"\n4\n"), good)
    assert not VERIFIER.verify(TEXT, (TIME + 1).to_bytes(8, "big") + good[8:])
    assert not VERIFIER.verify(TEXT, signed(key=Ed25519PrivateKey.generate()))
    # A plain note signature by the same key says something else.
    assert not VERIFIER.verify(TEXT, KEY.sign(TEXT))
    for wrong in (b"", good[:8], good[:-1], good + b"x"):
        assert not VERIFIER.verify(TEXT, wrong)


def test_cosignature_time_beyond_63_bits_is_invalid() -> None:
    assert not VERIFIER.verify(TEXT, signed(time=2**63))


def test_cosignature_time_is_read_from_its_bytes() -> None:
    line = Signature(name=VERIFIER.name, key_id=VERIFIER.key_id, signature=signed())
    assert cosigned_at(line) == dt.datetime(2023, 3, 20, 12, 25, 47, tzinfo=dt.UTC)
    never = Signature(name=VERIFIER.name, key_id=VERIFIER.key_id, signature=signed(time=2**62))
    with pytest.raises(ValueError, match="out of range"):
        cosigned_at(never)


def test_cosigner_key_round_trips_and_has_its_own_key_id() -> None:
    assert CosignatureVerifier.parse(VERIFIER.format()) == VERIFIER
    as_log = Ed25519Verifier(name=VERIFIER.name, public_key=VERIFIER.public_key)
    assert VERIFIER.key_id != as_log.key_id
    with pytest.raises(MalformedKey, match="cosigner"):
        CosignatureVerifier.parse(as_log.format())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "w1",
        "w1+00000000",
        "w1+00000000+!",
        VERIFIER.format().replace("w1", "w2"),
        VERIFIER.format() + "A",
        f"w1+00000000+{base64.b64encode(bytes([4]) + bytes(31)).decode()}",
    ],
)
def test_malformed_cosigner_key_is_refused(text: str) -> None:
    with pytest.raises(MalformedKey):
        CosignatureVerifier.parse(text)
