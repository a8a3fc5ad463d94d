"""Detection of repeated member names, without false positives."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.json_names import repeated_name

TEXTS = st.text(st.sampled_from('ab:"\\u003A{},é\n'), max_size=6)
NUMBERS = st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.none() | st.booleans() | NUMBERS | TEXTS


class Members:
    """An object whose members may repeat a name."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs


DOCUMENTS = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(TEXTS, inner), max_size=3).map(Members),
    max_leaves=12,
)


def written(document: Any, *, escaped: bool) -> str:
    if isinstance(document, Members):
        members = (f"{text(n, escaped)}: {written(v, escaped=escaped)}" for n, v in document.pairs)
        return "{" + ", ".join(members) + "}"
    if isinstance(document, list):
        return "[" + ",".join(written(value, escaped=escaped) for value in document) + "]"
    return text(document, escaped) if isinstance(document, str) else json.dumps(document)


def text(value: str, escaped: bool) -> str:
    return json.dumps(value).replace(":", "\\u003a") if escaped else json.dumps(value, ensure_ascii=False)


def repeats(document: Any) -> bool:
    if isinstance(document, Members):
        names = [name for name, _ in document.pairs]
        return len(set(names)) < len(names) or any(repeats(value) for _, value in document.pairs)
    return isinstance(document, list) and any(map(repeats, document))


@given(DOCUMENTS, st.booleans())
def test_repeated_name_is_found_exactly_in_documents_with_one(document: Any, escaped: bool) -> None:
    body = written(document, escaped=escaped).encode()
    assert (repeated_name(body, orjson.loads(body)) is not None) == repeats(document)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"a": 1, "a": 1}', ("a",)),
        (b'{"a": 1, "\\u0061": 1}', ("a",)),
        (b'[1, {"a": {"b:": 1, "b\\u003a": ":"}}]', (1, "a", "b:")),
        (b'{"n": 1.' + b"9" * 5000 + b', "n": ' + b"9" * 300 + b"}", ("n",)),
    ],
)
def test_repeated_name_returns_its_path(body: bytes, path: tuple[str | int, ...]) -> None:
    assert repeated_name(body, orjson.loads(body)) == path


@pytest.mark.parametrize("colon", [b":", b"\\u003a"])
def test_document_nested_too_deep_raises_value_error(colon: bytes) -> None:
    body = b'["' + colon + b'",' + b"[" * 1000 + b"]" * 1000 + b"]"
    with pytest.raises(ValueError, match="too deep"):
        repeated_name(body, orjson.loads(body))
