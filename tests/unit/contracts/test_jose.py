from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OKPKey

from contracts.jose import decoded, encoded, thumbprint


@given(data=st.binary(max_size=100))
def test_what_was_encoded_is_decoded_again(data: bytes) -> None:
    assert decoded(encoded(data)) == data


def test_thumbprint_is_that_of_a_jose_library() -> None:
    key = OKPKey.generate_key("X25519", private=False)
    assert thumbprint(str(key.as_dict()["x"])) == key.thumbprint()


def test_the_alphabet_is_that_of_urls_without_padding() -> None:
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
    ],
)
def test_no_other_text_is_decoded(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whichever part of it is wrong
        decoded(text)
