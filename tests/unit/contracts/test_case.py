from __future__ import annotations

from typing import Any

import pytest

from contracts.case import Case
from contracts.errors import Refused
from contracts.records import load

DOCUMENT = {"name": "contract.pdf", "media_type": "application/pdf", "content": "JVBERg=="}


def test_case_with_only_a_name_loads() -> None:
    case = load(Case, {"name": "Бекзат уулу Нурлан"})
    assert case.name == "Бекзат уулу Нурлан"
    assert (case.phones, case.safe_contact, case.narrative, case.documents) == ((), None, "", ())


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"phones": ["0555000000"]}, "/phones/0"),
        ({"phones": ["+996555000000", "+996 555 00"]}, "/phones/1"),
        ({"phones": ["+996555000000\n"]}, "/phones/0"),
        ({"phones": ["+" + "9" * 16]}, "/phones/0"),
        ({"phones": ["+996555000000"] * 11}, "/phones"),
        ({"narrative": "x" * 20_001}, "/narrative"),
        ({"safe_contact": 1}, "/safe_contact"),
        ({"documents": [DOCUMENT, {**DOCUMENT, "name": ""}]}, "/documents/1/name"),
        ({"documents": [{**DOCUMENT, "content": "A" * 1_000_001}]}, "/documents/0/content"),
        ({"passport": "AC1234567"}, "/passport"),
    ],
)
def test_case_out_of_bounds_is_refused(change: dict[str, Any], pointer: str) -> None:
    with pytest.raises(Refused) as caught:
        load(Case, {"name": "A", **change}, slug="case-unreadable")
    assert [error.pointer for error in caught.value.errors] == [pointer]
    assert caught.value.slug == "case-unreadable"
