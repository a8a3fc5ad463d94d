from typing import Any

import pytest

from kopuro_client import CaseError, UnreadableError, check_case
from kopuro_client.cases import check_readable


def test_full_case_and_minimal_case_are_valid() -> None:
    check_case({"name": "Фарход"})
    check_case(
        {
            "name": "Фарход",
            "phones": ["+992900000000"],
            "safe_contact": None,
            "narrative": "",
            "documents": [{"name": "a", "media_type": "image/png", "content": "aGk="}],
        }
    )


@pytest.mark.parametrize(
    ("case", "pointers"),
    [
        ({}, ["/name"]),
        ({"name": ""}, ["/name"]),
        ({"name": "x", "phones": ["0700 000 000", "+996700000000", 7]}, ["/phones/0", "/phones/2"]),
        ({"name": "x", "phones": "+996700000000"}, ["/phones"]),
        ({"name": "x", "phones": ["+996700000000"] * 11}, ["/phones"]),
        ({"name": "x", "safe_contact": 3}, ["/safe_contact"]),
        ({"name": "x", "pho/ne": "+996700000000"}, ["/pho~1ne"]),
        ({"name": "x", "documents": [7]}, ["/documents/0"]),
        (
            {"name": "x", "documents": [{"name": "a", "media_type": "image/png", "content": "not base64"}]},
            ["/documents/0/content"],
        ),
        ({"name": "x", "narrative": "y" * 20_001}, ["/narrative"]),
    ],
)
def test_invalid_case_is_refused_with_pointers(case: dict[str, Any], pointers: list[str]) -> None:
    with pytest.raises(CaseError) as caught:
        check_case(case)
    assert [error.pointer for error in caught.value.errors] == pointers


def test_case_error_quotes_no_values() -> None:
    with pytest.raises(CaseError) as caught:
        check_case({"name": "x", "phones": ["8-916-SECRET"], "narrative": 12345678})
    assert "SECRET" not in str(caught.value)
    assert "12345678" not in str(caught.value)


@pytest.mark.parametrize(
    "case",
    [
        {},
        {"hello": 1},
        {"name": ""},
        {"name": 5},
        {"name": "x", "phones": "+996555000000"},
        {"name": "x", "phones": [5]},
        {"name": "x", "narrative": None},
        {"name": "x", "safe_contact": []},
        {"name": "x", "documents": ["a.pdf"]},
    ],
)
def test_opened_object_of_other_shape_is_not_understood(case: dict[str, Any]) -> None:
    with pytest.raises(UnreadableError) as caught:
        check_readable(case)
    assert caught.value.reason == "not_understood"


def test_opened_case_of_later_version_is_readable() -> None:
    later = {"name": "x" * 500, "phones": ["555"], "pronouns": "she", "documents": [{"scan": 1}]}
    check_readable({**later, "safe_contact": None, "narrative": "x" * 30_000})
    check_readable({"name": "x"})
