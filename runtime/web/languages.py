"""The language of a response: a query parameter, else what the caller's `Accept-Language` prefers.

Source: RFC 9110 §12.5.4 (`Accept-Language`), RFC 4647 §3.4 (lookup: `ru-RU` is served by `ru`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from runtime.web.operation import Parameter
from runtime.web.parameters import invalid_parameter
from runtime.web.request import Request
from runtime.web.response import Response

DEFAULT: Final = "en"
# More than any browser sends; the rest of a longer header is not read.
_LONGEST: Final = 500
ACCEPT_LANGUAGE: Final = Parameter(
    name="Accept-Language",
    schema={"type": "string"},
    description="Languages in order of preference (RFC 9110); the parameter `language` wins.",
)
LANGUAGE_HEADERS: Final[Mapping[str, str]] = {
    "Content-Language": "The language of the texts (RFC 9110).",
    "Vary": "`Accept-Language`",
}


def preferred_language(headers: Mapping[str, str], offered: Sequence[str]) -> str:
    """Return the offered language that `Accept-Language` prefers; DEFAULT if it names none of them.

    headers: of the request, by lower-case name. A malformed header counts as absent: texts are shown anyway.
    """
    by_tag = {language.lower(): language for language in offered}
    accepted = parse_accept_header(headers.get("accept-language", "")[:_LONGEST], LanguageAccept)
    # The library lists `*` last, whatever its weight.
    for tag, quality in sorted(accepted, key=lambda one: one[1], reverse=True):
        if tag == "*":
            return DEFAULT
        subtags = tag.lower().replace("_", "-").split("-")
        while quality > 0 and subtags:
            if (found := by_tag.get("-".join(subtags))) is not None:
                return found
            subtags.pop()
    return DEFAULT


def wanted_language(request: Request, offered: Sequence[str]) -> str:
    """Return the offered language that a request wants: its parameter `language`, else `Accept-Language`.

    Raises Refused `invalid-parameter` for a parameter that is not offered; a header is only a preference.
    """
    language = request.query_params.get("language")
    if language is None:
        return preferred_language(request.headers, offered)
    if language not in offered:
        raise invalid_parameter("language", f"must be one of {', '.join(offered)}.")
    return language


def in_language(response: Response, language: str) -> Response:
    """Return the same response with LANGUAGE_HEADERS."""
    headers = {**response.headers, "Content-Language": language, "Vary": "Accept-Language"}
    return replace(response, headers=headers)
