from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import Defect, Refused
from contracts.json_limits import MAXIMUM_DEPTH, MOST_ESCAPES, MOST_VALUES, SEPARATORS_PER_VALUE
from runtime.web.body import DEFAULT_LIMIT
from runtime.web.request import Request, parse_json, parse_parameters

SECRET = "Toktogulova"

# Texts that we accept: no surrogates (not Unicode text) and no NUL.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


def nested(depth: int) -> bytes:
    return b'{"a":[' * (depth // 2) + b"[" * (depth % 2) + b"]" * (depth % 2) + b"]}" * (depth // 2)


@given(DOCUMENTS)
def test_document_within_limits_is_parsed(document: object) -> None:
    assert parse_json(orjson.dumps(document)) == document


@given(st.binary(max_size=200))
def test_body_that_is_not_json_is_refused(body: bytes) -> None:
    try:
        orjson.loads(body)
    except ValueError:
        with pytest.raises(Refused) as caught:
            parse_json(body)
        assert (caught.value.slug, caught.value.status) == ("malformed-json", 400)


def test_refusal_of_malformed_json_says_only_what_is_wrong_and_where() -> None:
    """Mailboxes and commands show the detail without the title."""
    with pytest.raises(Refused) as caught:
        parse_json(b'{"a": 1,\n]')
    assert caught.value.detail == "The body has malformed JSON at line 2, column 1."
    with pytest.raises(Refused) as caught:
        parse_json(b"{]", lines_before=6)
    assert caught.value.detail == "The body has malformed JSON at line 7, column 2."


@pytest.mark.parametrize(
    ("body", "where", "detail"),
    [
        (b'{"needs": [1, NaN]}', "/needs/1", "Must be a finite number."),
        (b'{"a": {"b": 1e999}, "c": Infinity}', "/a/b", "Must be a finite number."),
        (b"[[0], [-Infinity]]", "/1/0", "Must be a finite number."),
        (b"NaN", "", "Must be a finite number."),
        (b'{"case": "\\ud800"}', "/case", "Must be valid Unicode."),
        (b'{"a": [{"\\udfff": 1}]}', "/a/0", "A name in this value is not valid Unicode."),
        (b'{"a": {"Aigul K.": "\\ud800"}}', "/a", "A text in this value is not valid Unicode."),
    ],
)
def test_refusal_names_a_value_that_json_does_not_have(body: bytes, where: str, detail: str) -> None:
    with pytest.raises(Refused, match="malformed JSON at line 1, column") as caught:
        parse_json(body)
    assert caught.value.slug == "malformed-json"
    assert [(error.pointer, error.detail) for error in caught.value.errors] == [(where, detail)]


@pytest.mark.parametrize("body", [b'{"a": NaN,}', b"[1,]", b'{"a": 01}', b"[" * 5000 + b"NaN"])
def test_refusal_of_a_document_with_another_fault_names_no_value(body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        parse_json(body)
    assert caught.value.errors == ()


@pytest.mark.parametrize("text", [b'{"a": "\xed\xa0\x80"}', b'{"a": "\xff"}', b'{"a": "\xd0'])
def test_text_that_is_not_utf_8_is_refused_with_its_place(text: bytes) -> None:
    with pytest.raises(Refused) as caught:
        parse_json('{"ш":\n'.encode() + text, lines_before=2)
    assert caught.value.detail == "The body is not UTF-8 at line 4, column 8."


def test_value_is_not_looked_for_in_a_document_with_too_many_values() -> None:
    with pytest.raises(Refused) as caught:
        parse_json(b"[" + b"0," * MOST_VALUES + b"NaN]")
    assert (caught.value.slug, caught.value.errors) == ("malformed-json", ())


@pytest.mark.parametrize("levels", [MAXIMUM_DEPTH, MAXIMUM_DEPTH + 1, 500, 900])
def test_refusal_of_a_nested_document_costs_little_and_names_no_value_too_deep(levels: int) -> None:
    """Paths of all values, 900 levels down, took 70 ms of processor time and as many megabytes."""
    body = b"[" * levels + b"0," * (MOST_VALUES - levels) + b"NaN" + b"]" * levels
    least = float("inf")
    for _ in range(3):
        tracemalloc.start()
        try:
            with pytest.raises(Refused) as caught:
                parse_json(body)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        started = time.thread_time()
        with pytest.raises(Refused):
            parse_json(body)
        least = min(least, time.thread_time() - started)
    assert len(caught.value.errors) == (levels == MAXIMUM_DEPTH)
    assert peak < 1_000_000
    assert least < 0.05


def test_document_at_maximum_depth_is_parsed_and_deeper_refused() -> None:
    parse_json(nested(MAXIMUM_DEPTH))
    for depth in (MAXIMUM_DEPTH + 1, 1000, 10_000):
        with pytest.raises(Refused) as caught:
            parse_json(nested(depth))
        assert caught.value.slug == "malformed-json"


def test_brackets_in_texts_and_siblings_do_not_count_as_depth() -> None:
    parse_json(orjson.dumps({"text": "[{" * 1000, "list": [[]] * 1000}))


@pytest.mark.parametrize("body", [b'{"a": 1, "a": 2}', b'[{"b": {"a": "x:y", "\\u0061": ""}}]'])
def test_repeated_name_is_refused_with_pointer(body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        parse_json(body)
    assert (caught.value.slug, caught.value.status) == ("duplicate-name", 400)
    assert caught.value.errors[0].pointer in ("/a", "/0/b/a")


@pytest.mark.parametrize(
    ("body", "where"),
    [(b'{"a": ["x", "\\u0000"]}', "/a/1"), (b'"\\u0000"', ""), (b'{"b": {"\\u0000": 1}}', "/b")],
)
def test_nul_is_refused_with_pointer(body: bytes, where: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_json(body)
    assert [error.pointer for error in caught.value.errors] == [where]


@pytest.mark.parametrize(
    ("within", "where", "said"),
    [
        ('"\\u0000"', "/facts", "A text in this value must not contain a NUL character."),
        ('{"a": 1, "a": 1}', "/facts", "A name in this value appears more than once."),
    ],
)
@pytest.mark.parametrize("name", ["Zhyldyz Asanova", "жылдыз", "Asanova", "a" * 41])
def test_fault_below_a_name_that_may_be_a_persons_does_not_repeat_it(
    name: str, within: str, where: str, said: str
) -> None:
    with pytest.raises(Refused) as caught:
        parse_json(f'{{"facts": {{"{name}": [{within}]}}}}'.encode())
    assert [(error.pointer, error.detail) for error in caught.value.errors] == [(where, said)]
    assert name not in str(caught.value.problem())


def test_escaped_backslash_before_u0000_is_accepted() -> None:
    assert parse_json(b'"\\\\u0000"') == "\\u0000"


def test_refusal_does_not_repeat_the_body() -> None:
    with pytest.raises(Refused) as caught:
        parse_json(f'{{"name": "{SECRET}"'.encode())
    assert SECRET not in str(caught.value.problem())
    assert "line 1" in caught.value.detail


def test_parameters_are_decoded_and_repeated_ones_refused() -> None:
    assert parse_parameters("a=1&b=&c=%D0%9E%D1%88+x") == {"a": "1", "b": "", "c": "Ош x"}
    for query in ("a=1&a=1", "a=%ff", "a=%00", "&".join(f"a{i}=" for i in range(100))):
        with pytest.raises(Refused) as caught:
            parse_parameters(query)
        assert caught.value.slug == "invalid-parameter"


def test_principal_of_public_route_raises_defect() -> None:
    with pytest.raises(Defect):
        Request(method="GET", route="/").principal  # noqa: B018 - the access raises


def test_url_encoded_form_is_parsed_and_a_form_beyond_ascii_refused() -> None:
    request = Request(method="POST", route="/oauth/token", body=b"grant_type=client_credentials&scope=")
    assert request.form() == {"grant_type": "client_credentials", "scope": ""}
    with pytest.raises(Refused):
        Request(method="POST", route="/oauth/token", body="a=ш".encode()).form()


def test_document_with_most_values_is_parsed_and_larger_refused() -> None:
    assert len(parse_json(orjson.dumps([0] * (MOST_VALUES - 1)))) == MOST_VALUES - 1
    larger: list[object] = [[0] * MOST_VALUES, {f"k{n}": 0 for n in range(MOST_VALUES)}, [[]] * MOST_VALUES]
    for document in larger:
        with pytest.raises(Refused) as caught:
            parse_json(orjson.dumps(document))
        assert (caught.value.slug, caught.value.status) == ("body-too-large", 413)
        assert str(MOST_VALUES) in caught.value.detail
        parse_json(orjson.dumps(document), most_values=None)


def test_commas_in_texts_are_not_values() -> None:
    parse_json(orjson.dumps([",[{" * MOST_VALUES]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: b"[" + b",".join([b"[" * 51 + b"]" * 51] * 80_000) + b"]",
        lambda: b"{" + b",".join(b'"k%d":0' % number for number in range(600_000)) + b"}",
        lambda: b"[" + b"{}," * 2_000_000 + b"0]",
        lambda: b"[" * 8_000_000,
        lambda: b'{"a":"' + b"," * 8_000_000,
    ],
    ids=["deep lists", "unknown fields", "empty objects", "brackets", "commas"],
)
def test_body_of_megabytes_is_refused_in_little_time(make: Callable[[], bytes]) -> None:
    body = make()
    started = time.process_time()
    with pytest.raises(Refused) as caught:
        parse_json(body)
    assert time.process_time() - started < 0.5  # some 10 ms; parsing and walking it takes seconds
    assert caught.value.slug == "body-too-large"
    assert str(MOST_VALUES * SEPARATORS_PER_VALUE) in caught.value.detail


@pytest.mark.parametrize("escape", [b"\\\\", b'\\"', b"\\n", b"\\u003a\\n"])
def test_document_of_megabytes_of_escapes_is_refused_before_it_is_parsed(escape: bytes) -> None:
    """Its names would be compared in 60 ms of processor time, during which the process serves nobody."""
    body = b'{"a":"' + escape * (8_000_000 // len(escape)) + b'"}'
    least = float("inf")
    for _ in range(5):
        started = time.thread_time()
        with pytest.raises(Refused) as caught:
            parse_json(body)
        least = min(least, time.thread_time() - started)
    assert (caught.value.slug, caught.value.status) == ("body-too-large", 413)
    assert str(MOST_ESCAPES) in caught.value.detail
    assert least < 0.03


def test_document_of_a_megabyte_may_consist_of_escapes() -> None:
    text = "\n" * (DEFAULT_LIMIT // 2 - 10)
    assert parse_json(orjson.dumps({"a": text})) == {"a": text}
    parse_json(orjson.dumps({"a": text * 4}), most_values=None)


def test_longer_document_has_a_megabyte_of_escapes_and_no_more() -> None:
    escapes = b"\\n" * MOST_ESCAPES
    assert parse_json(b'{"a":"' + escapes + b'"}') == {"a": "\n" * MOST_ESCAPES}
    with pytest.raises(Refused) as caught:
        parse_json(b'{"a":"' + escapes + b'\\n"}')
    assert caught.value.slug == "body-too-large"


@pytest.mark.parametrize(("query", "pointer"), [("limit=1&after=a%00", "/after"), ("a=1&a/b\0=2", "/a~1b")])
def test_nul_in_parameter_is_refused_with_the_parameters_name(query: str, pointer: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_parameters(query)
    assert [(error.pointer, error.detail) for error in caught.value.errors] == [
        (pointer, "Must not contain a NUL character.")
    ]
    assert caught.value.detail == f"`{pointer[1:].replace('~1', '/')}` contains a NUL character."
