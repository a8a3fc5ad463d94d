"""Codes of two levels: a question about either finds the other."""

from __future__ import annotations

from services.directory.domain.search import areas_answering, needs_answering


def test_a_need_is_answered_by_itself_and_by_its_group() -> None:
    assert needs_answering("legal.wage_claim") == {"legal.wage_claim", "legal"}


def test_a_group_is_answered_by_every_need_in_it() -> None:
    answering = needs_answering("legal")
    assert {"legal", "legal.wage_claim", "legal.work_permit"} <= answering
    assert all(code.startswith("legal") for code in answering)


def test_a_region_is_answered_by_itself_and_by_its_country() -> None:
    assert areas_answering("RU-MOW") == {"RU-MOW", "RU"}


def test_a_country_is_answered_by_every_region_of_it() -> None:
    answering = areas_answering("KG")
    assert {"KG", "KG-GO", "KG-B"} <= answering
    assert all(code.startswith("KG") for code in answering)
