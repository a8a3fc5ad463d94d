"""The language that `Accept-Language` asks for. Source: RFC 9110 §12.5.4, RFC 4647 §3.4."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.web.languages import in_language, preferred_language
from runtime.web.response import Response

OFFERED = ("en", "ru", "ky", "uz", "uz-Cyrl")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("ru", "ru"),
        ("RU-ru, ru;q=0.9, en;q=0.5", "ru"),
        ("de, ky;q=0.3", "ky"),
        ("en;q=0.1, ky;q=0.3", "ky"),
        ("uz-Cyrl-UZ", "uz-Cyrl"),
        ("uz-Latn-UZ", "uz"),
        ("uz_Cyrl", "uz-Cyrl"),
        ("ru;q=0", "en"),
        ("*", "en"),
        ("de, *;q=0.5, ru;q=0.1", "en"),
        ("de", "en"),
        ("ru;q=high", "en"),
        (";;;,,q=1", "en"),
        ("x" * 100_000 + ", ru", "en"),
    ],
)
def test_preferred_language_is_the_first_offered_one(header: str, language: str) -> None:
    assert preferred_language({"accept-language": header}, OFFERED) == language


@given(st.text(alphabet="ruenky-*;q=.0159, \té", max_size=60))
def test_any_header_yields_an_offered_language(header: str) -> None:
    assert preferred_language({"accept-language": header}, OFFERED) in OFFERED


def test_response_names_its_language_and_that_it_varies() -> None:
    shown = in_language(Response(200, b"", {"Content-Type": "text/csv"}), "ky")
    assert shown.headers == {
        "Content-Type": "text/csv",
        "Content-Language": "ky",
        "Vary": "Accept-Language",
    }
