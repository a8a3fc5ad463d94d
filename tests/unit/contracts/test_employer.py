"""Reports about employers: the invalid ones that are refused."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from contracts.employer import LONGEST_EVIDENCE, MOST_RECIPIENTS, EmployerReport
from contracts.errors import Refused
from contracts.records import load
from services.directory.admission import EmployerReplyText
from services.directory.watch_operations import LONGEST_REPORT

SEALED = "AA.AA.AA.AA.AA"
VALID: dict[str, Any] = {
    "employer": {"name": "СМУ-155 (invented)", "kind": "employer", "country": "RU", "region": "RU-MOW"},
    "practices": ["wages_withheld"],
    "first_month": "2026-01",
    "last_month": "2026-02",
    "evidence": [{"organization": "ru.builders-union", "sealed": SEALED}],
}


def refused_at(body: dict[str, Any], record: type = EmployerReport) -> list[str]:
    with pytest.raises(Refused) as refusal:
        load(record, body)
    return [error.pointer for error in refusal.value.errors]


def changed(path: str, value: Any) -> dict[str, Any]:
    body = copy.deepcopy(VALID)
    *above, last = path.split(".")
    place = body
    for step in above:
        place = place[step]
    place[last] = value
    return body


def test_employer_report_without_registration_number_is_read() -> None:
    assert load(EmployerReport, VALID).employer.registration_number is None


def test_largest_valid_report_fits_its_body() -> None:
    """As the least thrifty program writes it: each Cyrillic letter of the name as an escape, and indented."""
    sealed = "A" * (LONGEST_EVIDENCE - 8) + ".A.A.A.A"
    named = [f"ru.{number:02}-{'a' * 90}" for number in range(MOST_RECIPIENTS)]
    body = changed("evidence", [{"organization": one, "sealed": sealed} for one in named])
    body["employer"]["name"] = "ж" * 200
    load(EmployerReport, body)
    with pytest.raises(Refused):
        load(EmployerReport, {**body, "evidence": [{"organization": named[0], "sealed": sealed + "A"}]})
    assert len(json.dumps(body, indent=8)) < LONGEST_REPORT < 1.1 * len(json.dumps(body, indent=8))


@pytest.mark.parametrize(
    ("path", "value", "pointer"),
    [
        ("employer.name", "Stroy +7 (495) 123-45-67", "/employer/name"),
        ("employer.name", "x" * 201, "/employer/name"),
        ("employer.region", "KZ-75", "/employer/region"),
        ("employer.registration_number", "77-00", "/employer/registration_number"),
        ("practices", [], "/practices"),
        ("practices", ["wages_withheld", "wages_withheld"], "/practices"),
        ("practices", ["rudeness"], "/practices/0"),
        ("first_month", "2026-13", "/first_month"),
        ("last_month", "2025-12", "/last_month"),
        ("evidence", [], "/evidence"),
        ("evidence", VALID["evidence"] * 2, "/evidence/1/organization"),
        ("evidence", [{"organization": "ru.builders-union", "sealed": "open text"}], "/evidence/0/sealed"),
    ],
)
def test_wrong_report_is_refused_with_its_place(path: str, value: Any, pointer: str) -> None:
    assert refused_at(changed(path, value)) == [pointer]


@pytest.mark.parametrize(
    "text",
    [
        *("", "x" * 1001, "Call 996 700 123456", "8(495)123-45-67", "+996-700-12-34-56"),
        *(
            "996,700,12,34,56",
            "996_700_12_34_56",
            "0700/12/34/56",
            "996\u200b700\u200b123456",
            "9967\u00ad00123456",
        ),
        *("９９６７００１２３４５６", "99670012345\u03016", "٩٩٦٧٠٠١٢٣٤٥٦"),
    ],
)
def test_reply_without_text_or_with_a_telephone_number_is_refused(text: str) -> None:
    assert set(refused_at({"text": text}, EmployerReplyText)) == {"/text"}


@pytest.mark.parametrize("text", ["\u3164", "Paid\u202e.", "Paid\x1b[2J", "Paid" + "\u0301" * 9])
def test_reply_that_shows_nothing_or_hides_characters_is_refused(text: str) -> None:
    assert refused_at({"text": text}, EmployerReplyText) == ["/text"]


@pytest.mark.parametrize(
    "text", ["Paid.\nOn 2026-03-01.", "Paid on 2026-03-01.", "Order 12345678 of 01.03.2026: paid."]
)
def test_reply_with_dates_and_short_numbers_is_taken(text: str) -> None:
    assert load(EmployerReplyText, {"text": text}).text == text
