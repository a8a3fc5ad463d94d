"""The published contracts, as every service serves them: documents for programs, and a page for people.

The files are generated (`docs/openapi.py`, `docs/asyncapi.py`, `docs/reference.py`) and installed with
`contracts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from contracts.errors import Defect
from runtime.web.operation import JSON, DeclaredResponse, Operation, text
from runtime.web.response import Response

OPENAPI_PATH: Final = "/openapi.json"
ASYNCAPI_PATH: Final = "/asyncapi.json"
REFERENCE_PATH: Final = "/reference"

# The links in the discovery document, relative to its own address.
LINKS: Final[Mapping[str, str]] = {
    "openapi": OPENAPI_PATH,
    "asyncapi": ASYNCAPI_PATH,
    "reference": REFERENCE_PATH,
}

OPENAPI: Final = Operation(
    summary="Read this document",
    responses={200: DeclaredResponse(description="The OpenAPI document.", schema={"type": "object"})},
)
ASYNCAPI: Final = Operation(
    summary="Read the description of the messages to partners (AsyncAPI 3.0)",
    responses={200: DeclaredResponse(description="The AsyncAPI document.", schema={"type": "object"})},
)
REFERENCE: Final = Operation(
    summary="Read the list of all requests, messages and problems as a page",
    responses={200: text("The page.", "text/html")},
)

# The page runs no script and loads nothing.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def openapi() -> Response:
    """Return the OpenAPI document."""
    return Response(200, _content("openapi.json"), {"Content-Type": JSON})


def asyncapi() -> Response:
    """Return the AsyncAPI document."""
    return Response(200, _content("asyncapi.json"), {"Content-Type": JSON})


def reference() -> Response:
    """Return the page."""
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
    }
    return Response(200, _content("reference.html"), headers)


@cache
def _content(name: str) -> bytes:
    try:
        return files("contracts").joinpath(name).read_bytes()
    except OSError:
        raise Defect(f"The installation lacks contracts/{name}.") from None
