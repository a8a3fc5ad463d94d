from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OKPKey

from contracts.jose import decoded, encoded, is_base64url, thumbprint


@given(data=st.binary(max_size=100))
def test_base64url_round_trip_returns_the_bytes(data: bytes) -> None:
    assert decoded(encoded(data)) == data


def test_thumbprint_equals_that_of_a_jose_library() -> None:
    key = OKPKey.generate_key("X25519", private=False)
    assert thumbprint(str(key.as_dict()["x"])) == key.thumbprint()


def test_base64url_is_url_safe_without_padding() -> None:
    assert encoded(b"\xfb\xff\xfe\xff") == "-__-_w"


@pytest.mark.parametrize(
    "text",
    [
        "+//+/w",  # the other alphabet
        "-__-_w==",  # padded
        "-__-_x",  # spare bits
        "-__-_",  # no whole byte
        "-__-\n",
        "-__- ",
        "!-__-",
        "ключ",
        "-",
        "-__-=",
        "AAAA====",
    ],
)
def test_non_canonical_base64url_raises(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whichever part of it is wrong
        decoded(text)
    assert not is_base64url(text)


@given(text=st.text("AEQgw048_-=+/ \nb", max_size=8) | st.binary(max_size=8).map(encoded))
def test_text_is_base64url_exactly_when_it_can_be_decoded(text: str) -> None:
    try:
        decoded(text)
    except ValueError:
        assert not is_base64url(text)
    else:
        assert is_base64url(text)
