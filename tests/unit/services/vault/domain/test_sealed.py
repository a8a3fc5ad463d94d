from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest

from contracts.errors import Refused
from services.vault.domain.sealed import SealedCase

GOOD = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "kid": "k", "cty": "application/json", "epk": {}}


def compact(header: Any) -> str:
    segment = urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    return f"{segment}.KEY.IV.CIPHERTEXT.TAG"


def test_split_separates_wrapped_key_from_ciphertext() -> None:
    case = SealedCase.split(compact(GOOD))
    assert case.wrapped_key.endswith(".KEY")
    assert case.ciphertext == "IV.CIPHERTEXT.TAG"
    assert case.whole() == compact(GOOD)
    assert case.kid() == "k"


def test_repr_shows_no_part_of_case() -> None:
    assert "KEY" not in repr(SealedCase.split(compact(GOOD)))


@pytest.mark.parametrize("text", ["", "a.b.c.d", "a.b.c.d.e.f", "a..c.d.e", "a.b.c.d."])
def test_jwe_without_five_parts_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="compact"):
        SealedCase.split(text)


@pytest.mark.parametrize(
    "change",
    [
        {"alg": "ECDH-ES"},
        {"alg": "PBES2-HS256+A128KW"},
        {"alg": "RSA-OAEP"},
        {"alg": "dir"},
        {"alg": ["ECDH-ES+A256KW"]},
        {"enc": "A128GCM"},
        {"enc": "A256CBC-HS512"},
        {"zip": "DEF"},
        {"zip": None},
        {"crit": ["exp"]},
        {"jku": "https://example.org/keys"},
        {"kid": None},
        {"kid": 7},
    ],
)
def test_header_outside_allow_list_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        SealedCase.split(compact({**GOOD, **change})).kid()
    assert refused.value.slug == "case-unreadable"


@pytest.mark.parametrize("header", [[], "text", None, 1])
def test_header_that_is_not_an_object_is_refused(header: Any) -> None:
    with pytest.raises(Refused, match="cannot be read"):
        SealedCase.split(compact(header)).kid()


def test_header_that_is_not_base64_is_refused() -> None:
    with pytest.raises(Refused, match="cannot be read"):
        SealedCase.split("A.b.c.d.e").kid()


@pytest.mark.parametrize("looser", ["=", "==", "!", "\n"])
def test_header_that_is_base64_but_not_base64url_is_refused(looser: str) -> None:
    segment, rest = compact(GOOD).split(".", 1)
    with pytest.raises(Refused, match="cannot be read"):
        SealedCase.split(f"{segment}{looser}.{rest}").kid()
