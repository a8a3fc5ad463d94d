"""Token requests: valid by RFC 6749, and invalid."""

from __future__ import annotations

from base64 import b64encode

import pytest

from contracts.errors import Refused
from runtime.web.request import Request
from services.directory.client_authentication import (
    SharedSecret,
    SignedAssertion,
    credentials_of,
)
from services.directory.domain.client_assertion import ASSERTION_TYPE

GRANT = "grant_type=client_credentials"


def token_request(form: str, authorization: str | None = None) -> Request:
    headers = {"authorization": authorization} if authorization is not None else {}
    return Request(method="POST", route="/oauth/token", headers=headers, body=form.encode())


def basic(pair: str) -> str:
    return "Basic " + b64encode(pair.encode()).decode()


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_basic_credentials_are_read(scheme: str) -> None:
    authorization = basic("desk:se-cret_").replace("Basic", scheme)
    assert credentials_of(token_request(GRANT, authorization)) == SharedSecret(
        client_id="desk", secret="se-cret_"
    )


def test_basic_credentials_are_form_decoded() -> None:
    assert credentials_of(token_request(GRANT, basic("a%3Ab:c+d%25:e"))) == SharedSecret(
        client_id="a:b", secret="c d%:e"
    )


def test_form_credentials_are_read() -> None:
    form = GRANT + "&client_id=desk&client_secret=s%2B"
    assert credentials_of(token_request(form)) == SharedSecret(client_id="desk", secret="s+")


def test_client_assertion_is_read() -> None:
    form = f"{GRANT}&client_assertion_type={ASSERTION_TYPE}&client_assertion=a.b.c"
    assert credentials_of(token_request(form)) == SignedAssertion(assertion="a.b.c")
    named = credentials_of(token_request(form + "&client_id=desk"))
    assert named == SignedAssertion(assertion="a.b.c", client_id="desk")


@pytest.mark.parametrize(
    ("form", "authorization"),
    [
        ("", basic("a:b")),
        ("grant_type=", basic("a:b")),
        (GRANT + "&" + GRANT, basic("a:b")),
        (GRANT + "&client_id=a&client_secret=b", basic("a:b")),
        (f"{GRANT}&client_assertion_type={ASSERTION_TYPE}&client_assertion=a.b.c", basic("a:b")),
        (f"{GRANT}&client_assertion_type={ASSERTION_TYPE}&client_assertion=a&client_secret=b", None),
        (f"{GRANT}&client_assertion_type={ASSERTION_TYPE}", None),
        (f"{GRANT}&client_assertion=a.b.c", None),
        (f"{GRANT}&client_assertion_type=other&client_assertion=a.b.c", None),
        ('{"grant_type": "client_credentials"}', basic("a:b")),
        ("grant_type=%ff", basic("a:b")),
        ("grant_type=ё", basic("a:b")),
    ],
)
def test_malformed_token_request_is_refused(form: str, authorization: str | None) -> None:
    with pytest.raises(Refused) as refusal:
        credentials_of(token_request(form, authorization))
    assert (refusal.value.slug, refusal.value.status) == ("invalid-token-request", 400)


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
        credentials_of(token_request(form, authorization))
    assert (refusal.value.slug, refusal.value.status) == ("invalid-client", 401)


@pytest.mark.parametrize(
    ("form", "slug"),
    [
        ("grant_type=password", "unsupported-grant-type"),
        ("grant_type=refresh_token", "unsupported-grant-type"),
        (f"{GRANT}&scope=openid", "invalid-scope"),
    ],
)
def test_grant_and_scope_that_the_hub_does_not_have_are_refused(form: str, slug: str) -> None:
    with pytest.raises(Refused) as refusal:
        credentials_of(token_request(form, basic("a:b")))
    assert (refusal.value.slug, refusal.value.status) == (slug, 400)


def test_empty_scope_is_accepted() -> None:
    assert credentials_of(token_request(f"{GRANT}&scope=", basic("a:b")))
