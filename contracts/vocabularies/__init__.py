"""The open code lists (needs, regions, languages) and the labels of all code lists, read from CSV.

Sources: needs, this network's own taxonomy; regions, ISO 3166-1 and 3166-2; languages, BCP 47.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path

from marshmallow import ValidationError
from marshmallow.validate import Validator

FOLDER = Path(__file__).parent


@cache
def rows(name: str) -> Mapping[str, Mapping[str, str]]:
    """Return the rows of `<name>.csv` by code, in the file's order."""
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return {row["code"]: row for row in csv.DictReader(file)}


def codes(name: str) -> frozenset[str]:
    """Return every code of the list."""
    return frozenset(rows(name))


def label(name: str, code: str, language: str = "en") -> str:
    """Return the code's label; falls back to English, then to the code itself."""
    row = rows(name).get(code, {})
    return row.get(language) or row.get("en") or code


# Matching asks for the group of every need of every candidate.
@lru_cache(maxsize=1_024)
def need_group(code: str) -> str:
    """Return the group of a need; a group is its own group. `legal.wage_claim` -> `legal`."""
    return code.partition(".")[0]


@cache
def sensitive_needs() -> frozenset[str]:
    """Return the needs whose services the network approves one by one, and the groups that are all such."""
    return frozenset(code for code, row in rows("needs").items() if row["sensitive"] == "yes")


def country_of(region: str) -> str:
    """Return the ISO 3166-1 country of a region. `RU-MOW` -> `RU`, `RU` -> `RU`."""
    return region.partition("-")[0]


class InVocabulary(Validator):
    """Validates that a string is a code of the named list. The error names the list, never the value."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, value: str) -> str:
        if value not in rows(self.name):
            raise ValidationError(f"Must be a code of the vocabulary '{self.name}'.")
        return value
