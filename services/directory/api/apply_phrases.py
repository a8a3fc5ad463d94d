"""The languages of the pages for applicants: texts from `apply_phrases.csv`, labels from the vocabularies."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

LANGUAGES: Final = ("en", "ru", "ky")
# Each language is named in itself, because its readers look for that name.
NAMES: Final[Mapping[str, str]] = {"en": "English", "ru": "Русский", "ky": "Кыргызча"}
_FILE: Final = Path(__file__).parent / "apply_phrases.csv"


@cache
def phrases(language: str) -> Mapping[str, str]:
    """Return the texts of a language (one of LANGUAGES) by code."""
    with _FILE.open(encoding="utf-8", newline="") as file:
        return {row["code"]: row[language] for row in csv.DictReader(file)}
