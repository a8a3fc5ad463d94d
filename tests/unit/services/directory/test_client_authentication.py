"""Token requests: valid by RFC 6749, and invalid."""

from __future__ import annotations

from base64 import b64encode

import pytest

from contracts.errors import Refused
from runtime.web.request import Request
from services.directory.client_authentication import client_of

GRANT = "grant_type=client_credentials"


def token_request(form: str, authorization: str | None = None) -> Request:
    headers = {"authorization": authorization} if authorization is not None else {}
    return Request(method="POST", route="/oauth/token", headers=headers, body=form.encode())


def basic(pair: str) -> str:
    return "Basic " + b64encode(pair.encode()).decode()


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_basic_credentials_are_read(scheme: str) -> None:
    authorization = basic("desk:se-cret_").replace("Basic", scheme)
    assert client_of(token_request(GRANT, authorization)) == ("desk", "se-cret_")


def test_basic_credentials_are_form_decoded() -> None:
    assert client_of(token_request(GRANT, basic("a%3Ab:c+d%25:e"))) == ("a:b", "c d%:e")


def test_form_credentials_are_read() -> None:
    assert client_of(token_request(GRANT + "&client_id=desk&client_secret=s%2B")) == ("desk", "s+")


@pytest.mark.parametrize(
    ("form", "authorization"),
    [
        ("", basic("a:b")),
        ("grant_type=password", basic("a:b")),
        ("grant_type=refresh_token", None),
        (GRANT + "&" + GRANT, basic("a:b")),
        (GRANT + "&client_id=a&client_secret=b", basic("a:b")),
        ('{"grant_type": "client_credentials"}', basic("a:b")),
        ("grant_type=%ff", basic("a:b")),
        ("grant_type=ё", basic("a:b")),
    ],
)
def test_request_with_another_grant_is_invalid_grant(form: str, authorization: str | None) -> None:
    with pytest.raises(Refused) as refusal:
        client_of(token_request(form, authorization))
    assert (refusal.value.slug, refusal.value.status) == ("invalid-grant", 400)


@pytest.mark.parametrize(
    ("form", "authorization"),
    [
        (GRANT, None),
        (GRANT + "&client_id=a", None),
        (GRANT + "&client_secret=a", None),
        (GRANT, "Basic"),
        (GRANT, "Basic !!!"),
        (GRANT, "Basic YQ"),
        (GRANT, "Basic \u00e9\u00e9"),
        (GRANT, basic("no-colon")),
        (GRANT, "Basic " + b64encode(b"\xff:\xff").decode()),
        (GRANT, basic("%ff:a")),
        (GRANT, basic("a\0:b")),
        (GRANT, "Bearer a.b.c"),
    ],
)
def test_request_without_credentials_is_invalid_client(form: str, authorization: str | None) -> None:
    with pytest.raises(Refused) as refusal:
        client_of(token_request(form, authorization))
    assert (refusal.value.slug, refusal.value.status) == ("invalid-client", 401)
