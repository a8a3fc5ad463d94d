"""JWK sets that partners send."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey

from contracts.errors import Refused
from contracts.jose import encoded
from services.directory import admission
from services.directory.adapters.client_signatures import (
    BadSignature,
    check_points,
    imported,
    signed_content,
)
from services.directory.domain.client_key import ClientKey, KeyAlgorithm, client_keys, valid_keys

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def jwk(curve: str = "Ed25519", **changes: Any) -> dict[str, Any]:
    key = OKPKey.generate_key("Ed25519") if curve == "Ed25519" else ECKey.generate_key(curve)
    return {**key.as_dict(private=False), "kid": "k", **changes}


def read(*keys: dict[str, Any]) -> tuple[ClientKey, ...]:
    found = client_keys(admission.key_set({"keys": list(keys)}), NOON)
    check_points(found)
    return found


def pointers(*keys: dict[str, Any]) -> list[str]:
    with pytest.raises(Refused) as refused:
        read(*keys)
    assert refused.value.slug == "invalid-submission"
    return [error.pointer for error in refused.value.errors]


@pytest.mark.parametrize(
    ("crv", "alg"),
    [("Ed25519", KeyAlgorithm.EdDSA), ("P-256", KeyAlgorithm.ES256), ("P-384", KeyAlgorithm.ES384)],
)
def test_curve_fixes_the_algorithm(crv: str, alg: KeyAlgorithm) -> None:
    (key,) = read(jwk(crv, use="sig"))
    assert key.alg is alg
    assert imported(key).kid == "k"


def test_expired_key_is_not_valid() -> None:
    end = int(NOON.timestamp()) + 60
    (key,) = read(jwk(exp=end))
    moment = dt.datetime.fromtimestamp(end, dt.UTC)
    assert valid_keys([key], moment - dt.timedelta(seconds=1)) == [key]
    assert valid_keys([key], moment) == []


@pytest.mark.parametrize(
    ("changes", "member"),
    [
        ({"crv": "X25519"}, "crv"),
        ({"kty": "EC"}, "crv"),
        ({"crv": "P-521"}, "crv"),
        ({"kid": ""}, "kid"),
        ({"kid": "k" * 101}, "kid"),
        ({"alg": "ES256"}, "alg"),
        ({"use": "enc"}, "use"),
        ({"x": "AA"}, "x"),
        ({"x": "=" * 43}, "x"),
        ({"y": "A" * 43}, "y"),
        ({"exp": int(NOON.timestamp())}, "exp"),
        ({"exp": int(NOON.timestamp()) * 1000}, "exp"),
        ({"d": "A" * 43}, "d"),
        ({"k": "A" * 43}, "k"),
    ],
)
def test_unusable_key_is_refused_with_the_place(changes: dict[str, Any], member: str) -> None:
    assert pointers(jwk(**changes)) == [f"/keys/0/{member}"]


def test_point_off_its_curve_is_refused() -> None:
    assert pointers(jwk("P-256", y="A" * 42 + "E")) == ["/keys/0"]
    assert pointers(jwk(x=encoded(b"\x02" + bytes(31)))) == ["/keys/0"]


def test_point_that_signs_for_everybody_is_refused_with_the_place() -> None:
    identity = encoded(b"\x01" + bytes(31))
    assert pointers(jwk(), jwk(kid="k2", x=identity)) == ["/keys/1"]


def test_point_that_signs_for_everybody_verifies_nothing() -> None:
    key = ClientKey(kid="k", alg=KeyAlgorithm.EdDSA, x=encoded(b"\x01" + bytes(31)))
    header, signature = encoded(b'{"alg":"EdDSA","typ":"JWT"}'), encoded(b"\x01" + bytes(63))
    with pytest.raises(BadSignature):
        signed_content(f"{header}.{encoded(b'{}')}.{signature}", [key], {"JWT"})


def test_two_keys_with_one_kid_and_too_many_keys_are_refused() -> None:
    assert pointers(jwk(), jwk()) == ["/keys/0/kid", "/keys/1/kid"]
    assert pointers(*(jwk(kid=str(number)) for number in range(6))) == ["/keys"]
