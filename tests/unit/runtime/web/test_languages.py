"""The language that `Accept-Language` asks for. Source: RFC 9110 §12.5.4, RFC 4647 §3.4."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import Refused
from runtime.web.languages import in_language, preferred_language, wanted_language
from runtime.web.request import Request
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


@pytest.mark.parametrize(("parameters", "language"), [({}, "ru"), ({"language": "ky"}, "ky")])
def test_parameter_wins_over_the_header(parameters: dict[str, str], language: str) -> None:
    assert wanted_language(asking(parameters), OFFERED) == language


@pytest.mark.parametrize("language", ["de", "", "KY", "uz-Latn"])
def test_language_that_is_not_offered_is_refused_with_the_list(language: str) -> None:
    with pytest.raises(Refused, match="en, ru, ky, uz, uz-Cyrl") as refused:
        wanted_language(asking({"language": language}), OFFERED)
    assert refused.value.slug == "invalid-parameter"


def asking(parameters: dict[str, str]) -> Request:
    headers = {"accept-language": "ru"}
    return Request(method="GET", route="/", query_params=parameters, headers=headers)


def test_response_names_its_language_and_that_it_varies() -> None:
    shown = in_language(Response(200, b"", {"Content-Type": "text/csv"}), "ky")
    assert shown.headers == {
        "Content-Type": "text/csv",
        "Content-Language": "ky",
        "Vary": "Accept-Language",
    }
