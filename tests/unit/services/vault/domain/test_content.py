from __future__ import annotations

import json
import time
from typing import Any

import pytest

from contracts.errors import Refused
from services.vault.domain.content import check_content

SECRET = "Айгерим Токтогулова"


def refusal(content: Any) -> Refused:
    with pytest.raises(Refused) as refused:
        check_content(content if isinstance(content, bytes) else json.dumps(content).encode())
    assert refused.value.slug == "case-unreadable"
    assert SECRET not in json.dumps(refused.value.problem(), ensure_ascii=False)
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None
    return refused.value


def test_valid_case_passes() -> None:
    check_content(json.dumps({"name": SECRET, "phones": ["+996555000000"], "narrative": SECRET}).encode())


@pytest.mark.parametrize("content", [b"", b"\xff", b"{", SECRET.encode()])
def test_content_that_is_not_json_is_refused(content: bytes) -> None:
    assert "not JSON" in refusal(content).detail


@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        ({"narrative": SECRET}, "/name"),
        ({"name": SECRET, "phones": [SECRET]}, "/phones/0"),
        ({"name": SECRET, "documents": [{"name": SECRET, "media_type": SECRET}]}, "/documents/0/content"),
        ({"name": [SECRET]}, "/name"),
        ([SECRET], ""),
    ],
)
def test_refusal_points_at_invalid_fields(content: Any, pointer: str) -> None:
    assert pointer in [error.pointer for error in refusal(content).errors]


def test_pointer_omits_unknown_field_name() -> None:
    errors = refusal({"name": "A", SECRET: 1, "documents": [{SECRET: 1}]}).errors
    assert {"", "/documents/0"} <= {error.pointer for error in errors}


def test_case_with_repeated_name_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        check_content(b'{"name": "a", "name": "b"}')
    assert caught.value.slug == "case-unreadable"
    assert "more than once" in caught.value.detail


@pytest.mark.parametrize(
    "content",
    [
        b"{" + b",".join(b'"k%d":0' % number for number in range(80_000)) + b"}",
        b'{"name": "A", "phones": [' + b"[]," * 300_000 + b"[]]}",
        b"{" + b",".join(b'"k%d":0' % number for number in range(20_000)) + b"}",
    ],
)
def test_case_with_too_many_values_is_refused_in_little_time(content: bytes) -> None:
    started = time.process_time()
    assert "too many" in (detail := refusal(content).detail) or "more than" in detail
    assert time.process_time() - started < 0.5


def test_case_with_many_commas_in_its_narrative_passes() -> None:
    check_content(json.dumps({"name": SECRET, "narrative": "," * 20_000}).encode())
