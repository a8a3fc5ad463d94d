"""The warning about accepted cases whose acceptors have no known sealing key."""

from __future__ import annotations

from services.vault.domain.lacking_keys import lacking_keys


def test_warning_is_absent_without_a_case_that_lacks_a_key() -> None:
    assert lacking_keys({}) is None


def test_warning_counts_the_cases_and_names_a_few_acceptors() -> None:
    text = lacking_keys({"kg.b": 2, "kg.a": 1})
    assert text is not None
    assert text.startswith("3 accepted cases are not")
    assert text.endswith("of kg.a, kg.b")
    one = lacking_keys({"kg.a": 1})
    assert one is not None
    assert one.startswith("1 accepted case is not")
    many = lacking_keys({f"kg.{number}": 1 for number in range(5)})
    assert many is not None
    assert many.endswith("of kg.0, kg.1, kg.2 and 2 more")
