"""Environment variables: values, defaults and problems."""

from __future__ import annotations

import datetime as dt

import pytest

from runtime.environment import Environment, Reader, days_between, one_of, ratio, seconds, whole_number


def test_value_is_read_without_the_spaces_around_it() -> None:
    given = Environment({"KOPURO_X": " 7 "})
    assert given.optional("KOPURO_X", whole_number(0, 9), None) == 7
    assert given.required("KOPURO_X", whole_number(0, 9), 0) == 7
    assert given.problems == []


@pytest.mark.parametrize("environ", [{}, {"KOPURO_X": " "}])
def test_missing_variable_is_a_problem_only_where_it_is_required(environ: dict[str, str]) -> None:
    given = Environment(environ)
    assert given.optional("KOPURO_X", whole_number(0, 9), 3) == 3
    assert given.problems == []
    assert given.required("KOPURO_X", whole_number(0, 9), 4) == 4
    assert given.problems == ["KOPURO_X is not set"]


def test_problem_names_the_variable_and_not_its_value() -> None:
    given = Environment({"KOPURO_X": "secret", "KOPURO_Y": "1,secret"})
    assert given.optional("KOPURO_X", seconds, dt.timedelta(1)) == dt.timedelta(1)
    assert given.each("KOPURO_Y", whole_number(0, 9), "digits") == ()
    assert given.problems == [
        "KOPURO_X is not a whole number of seconds",
        "KOPURO_Y is not a comma-separated list of digits",
    ]


def test_list_is_read_without_spaces_and_empty_places() -> None:
    assert Environment({"KOPURO_X": " 1, ,2,"}).each("KOPURO_X", whole_number(0, 9), "digits") == (1, 2)


@pytest.mark.parametrize(
    ("read", "text", "problem"),
    [
        (whole_number(1, 20), "0", "is not a whole number from 1 to 20"),
        (whole_number(1, 20), "21", "is not a whole number from 1 to 20"),
        (whole_number(1, 20), "+5", "is not a whole number from 1 to 20"),
        (whole_number(1, 20), "٥", "is not a whole number from 1 to 20"),
        (whole_number(1, 20), "9" * 5_000, "is not a whole number from 1 to 20"),
        (days_between(7, 365), "6", "is not a whole number of days from 7 to 365"),
        (one_of("day", "week", described="neither `day` nor `week`"), "month", "is neither `day` nor `week`"),
        (ratio, "0", "is not a decimal number above 0 and up to 1"),
        (ratio, "nan", "is not a decimal number above 0 and up to 1"),
    ],
)
def test_invalid_value_is_refused_with_what_is_allowed(read: Reader[object], text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}$"):
        read(text)
