from __future__ import annotations

import json
import string
from base64 import b64decode, urlsafe_b64encode

import pytest

from contracts.errors import Refused
from contracts.facts import SealedCaseSubmitted
from contracts.jose import LONGEST_HEADER, decoded
from contracts.records import plain, read
from kopuro_client.sealing import generate_key, public_key, seal
from runtime import transit_seal
from runtime.identifiers import new_id
from services.intake.domain.sealing import require_sealed, require_sealed_to
from tests.unit.services.intake.samples import CUSTODY_KID, sealed, segment

PARTS = sealed().split(".")
ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


def refusal(jwe: str, kid: str = CUSTODY_KID) -> Refused:
    with pytest.raises(Refused) as caught:
        require_sealed_to(jwe, {kid}, "/case")
    assert caught.value.slug == "case-not-sealed"
    assert [error.pointer for error in caught.value.errors] == ["/case"]
    return caught.value


def test_case_sealed_by_client_is_accepted() -> None:
    key = generate_key()
    for case in ({}, {"name": "x" * 50_000}):
        require_sealed_to(seal(case, public_key(key)), {key["kid"]}, "/case")


def test_key_id_is_read_from_header() -> None:
    assert require_sealed(sealed("some-key"), "/note") == "some-key"


def test_case_sealed_to_other_key_is_refused() -> None:
    assert "not sealed to the receiver's current key" in refusal(sealed("some-key")).errors[0].detail


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "dir"},
        {"alg": "ECDH-ES"},
        {"alg": "none"},
        {"alg": None},
        {"alg": ["ECDH-ES+A256KW"]},
        {"enc": "A128GCM"},
        {"enc": "A256CBC-HS512"},
        {"zip": "DEF"},
        {"zip": None},
        {"crit": ["exp"]},
        {"p2c": 1},
        {"jwk": {}},
    ],
)
def test_header_with_other_algorithm_or_compression_is_refused(header: dict[str, object]) -> None:
    refusal(sealed(**header))


def test_header_that_names_its_key_twice_is_refused() -> None:
    header = b64decode(PARTS[0] + "==").replace(b"{", b'{"kid":"other",', 1)
    encoded = urlsafe_b64encode(header).decode().rstrip("=")
    assert "cannot be read" in refusal(".".join([encoded, *PARTS[1:]])).errors[0].detail


@pytest.mark.parametrize("without", ["alg", "enc", "kid", "epk"])
def test_header_without_required_member_is_refused(without: str) -> None:
    header = json.loads(b64decode(PARTS[0] + "=="))
    del header[without]
    refusal(".".join([segment(header), *PARTS[1:]]))


_POINT = urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")


@pytest.mark.parametrize(
    "header",
    [
        {"epk": None},
        {"epk": []},
        {"epk": {"kty": "EC", "crv": "P-256", "x": _POINT, "y": _POINT}},
        {"epk": {"kty": "OKP", "crv": "Ed25519", "x": _POINT}},
        {"epk": {"kty": "OKP", "crv": "X25519"}},
        {"epk": {"kty": "OKP", "crv": "X25519", "x": 7}},
        {"epk": {"kty": "OKP", "crv": "X25519", "x": _POINT[:-1]}},
        {"epk": {"kty": "OKP", "crv": "X25519", "x": "=" * 43}},
        {"epk": {"kty": "OKP", "crv": "X25519", "x": _POINT, "d": _POINT}},
        {"apu": "é"},
        {"apu": "A"},
        {"apv": 7},
    ],
)
def test_header_whose_key_nobody_could_use_is_refused(header: dict[str, object]) -> None:
    """Earlier it was admitted, and only its reader refused it."""
    assert "`epk`" in refusal(sealed(**header)).errors[0].detail


@pytest.mark.parametrize("kid", [None, 7, ["custody"], {"kid": CUSTODY_KID}])
def test_key_id_that_is_not_a_string_is_refused(kid: object) -> None:
    refusal(sealed(kid))


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        ".",
        "....",
        "a.b.c.d.e",
        "not base64 at all",
        "\u0430\u0431\u0432.b.c.d.e",
        segment(b"\xff\xfe"),
        segment(b"[1]") + ".b.c.d.e",
        segment(b"null") + ".b.c.d.e",
        segment(b'"text"') + ".b.c.d.e",
        segment(b"[" * 5000) + ".b.c.d.e",
        PARTS[0],
        PARTS[0] + ".a.b.c.d",
        ".".join(PARTS[:4]),
        ".".join([*PARTS, PARTS[4]]),
        ".".join([PARTS[0], "", *PARTS[2:]]),
        ".".join([*PARTS[:3], "", PARTS[4]]),
        "Call.her.on.this.number",
    ],
)
def test_garbage_is_refused_and_not_quoted(garbage: str) -> None:
    refused = refusal(garbage)
    text = refused.detail + refused.errors[0].detail
    assert len(garbage) < 9 or garbage not in text


def with_spare_bits(part: str) -> str:
    """Return the part with a last character that has non-zero spare bits."""
    return part[:-1] + ALPHABET[ALPHABET.index(part[-1]) + 1]


@pytest.mark.parametrize("position", [0, 1, 3, 4])  # 12 bytes of IV have no spare bits
def test_part_with_spare_bits_is_refused(position: int) -> None:
    """The vault decodes strictly, so it could not open such a case."""
    parts = sealed(typ="JOSE+").split(".")
    parts[position] = with_spare_bits(parts[position])
    with pytest.raises(ValueError, match="not base64url"):
        decoded(parts[position])
    refusal(".".join(parts))


def test_ciphertext_of_impossible_length_is_refused() -> None:
    refusal(".".join([*PARTS[:3], "AAAAA", PARTS[4]]))


def test_longest_header_is_admitted_and_fits_the_message_to_the_vault() -> None:
    _, x, _ = transit_seal.generate()
    case = sealed(typ="A" * _room_for("typ"))
    assert len(case.partition(".")[0]) in range(LONGEST_HEADER - 3, LONGEST_HEADER + 1)
    require_sealed_to(case, {CUSTODY_KID}, "/case")
    referral = new_id()
    transit, rest = transit_seal.seal(case, x, referral)
    fact = SealedCaseSubmitted(
        referral_id=referral, sender="kg.osh-legal-aid", to=None, case=rest, transit=transit
    )
    assert read(SealedCaseSubmitted, plain(fact)) == fact


def test_header_that_would_not_fit_the_message_to_the_vault_is_refused() -> None:
    assert "longer than 1024" in refusal(sealed(typ="A" * (_room_for("typ") + 4))).errors[0].detail


def _room_for(member: str) -> int:
    """Return how many characters the member may have."""
    empty = len(b64decode(sealed(**{member: ""}).partition(".")[0] + "==", altchars=b"-_"))
    return LONGEST_HEADER // 4 * 3 - empty
