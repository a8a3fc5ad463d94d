from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import Defect, Refused
from runtime.web.request import MAXIMUM_DEPTH, Request, parse_json, parse_parameters

SECRET = "Toktogulova"

# What JSON text can hold and we read: neither surrogates (not Unicode text) nor NUL.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


def nested(depth: int) -> bytes:
    return b'{"a":[' * (depth // 2) + b"[" * (depth % 2) + b"]" * (depth % 2) + b"]}" * (depth // 2)


@given(DOCUMENTS)
def test_any_document_without_excess_is_read(document: object) -> None:
    assert parse_json(orjson.dumps(document)) == document


@given(st.binary(max_size=200))
def test_what_is_not_json_is_refused_whatever_it_is(body: bytes) -> None:
    try:
        orjson.loads(body)
    except ValueError:
        with pytest.raises(Refused) as caught:
            parse_json(body)
        assert (caught.value.slug, caught.value.status) == ("malformed-json", 400)


def test_the_depth_bound_is_exact() -> None:
    parse_json(nested(MAXIMUM_DEPTH))
    for depth in (MAXIMUM_DEPTH + 1, 1000, 10_000):
        with pytest.raises(Refused) as caught:
            parse_json(nested(depth))
        assert caught.value.slug == "malformed-json"


def test_brackets_in_texts_and_beside_each_other_are_not_depth() -> None:
    parse_json(orjson.dumps({"text": "[{" * 1000, "list": [[]] * 1000}))


@pytest.mark.parametrize("body", [b'{"a": 1, "a": 2}', b'[{"b": {"a": "x:y", "\\u0061": ""}}]'])
def test_repeated_name_is_refused_with_its_place(body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        parse_json(body)
    assert (caught.value.slug, caught.value.status) == ("duplicate-name", 400)
    assert caught.value.errors[0].pointer in ("/a", "/0/b/a")


@pytest.mark.parametrize(
    ("body", "where"),
    [(b'{"a": ["x", "\\u0000"]}', "/a/1"), (b'"\\u0000"', ""), (b'{"b": {"\\u0000": 1}}', "/b")],
)
def test_nul_is_refused_with_its_place(body: bytes, where: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_json(body)
    assert [error.pointer for error in caught.value.errors] == [where]


def test_an_escaped_backslash_before_u0000_is_an_innocent_text() -> None:
    assert parse_json(b'"\\\\u0000"') == "\\u0000"


def test_the_body_is_not_repeated_in_the_refusal() -> None:
    with pytest.raises(Refused) as caught:
        parse_json(f'{{"name": "{SECRET}"'.encode())
    assert SECRET not in str(caught.value.problem())
    assert "line 1" in caught.value.detail


def test_parameters_are_decoded_and_unique() -> None:
    assert parse_parameters("a=1&b=&c=%D0%9E%D1%88+x") == {"a": "1", "b": "", "c": "Ош x"}
    for query in ("a=1&a=1", "a=%ff", "a=%00", "&".join(f"a{i}=" for i in range(100))):
        with pytest.raises(Refused) as caught:
            parse_parameters(query)
        assert caught.value.slug == "invalid-parameter"


def test_a_public_route_has_no_principal() -> None:
    with pytest.raises(Defect):
        Request(method="GET", route="/").principal  # noqa: B018 - asking is what raises


def test_a_form_is_read() -> None:
    request = Request(method="POST", route="/oauth/token", body=b"grant_type=client_credentials&scope=")
    assert request.form() == {"grant_type": "client_credentials", "scope": ""}
    with pytest.raises(Refused):
        Request(method="POST", route="/oauth/token", body="a=ш".encode()).form()
