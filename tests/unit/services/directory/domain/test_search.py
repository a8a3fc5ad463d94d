"""Search over two-level vocabularies: each level finds the other."""

from __future__ import annotations

from services.directory.domain.search import areas_answering, needs_answering


def test_need_matches_itself_and_its_group() -> None:
    assert needs_answering("legal.wage_claim") == {"legal.wage_claim", "legal"}


def test_group_matches_every_need_in_it() -> None:
    answering = needs_answering("legal")
    assert {"legal", "legal.wage_claim", "legal.work_permit"} <= answering
    assert all(code.startswith("legal") for code in answering)


def test_region_matches_itself_and_its_country() -> None:
    assert areas_answering("RU-MOW") == {"RU-MOW", "RU"}


def test_country_matches_all_its_regions() -> None:
    answering = areas_answering("KG")
    assert {"KG", "KG-GO", "KG-B"} <= answering
    assert all(code.startswith("KG") for code in answering)
