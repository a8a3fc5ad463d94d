"""The languages of stories: sentences from `phrases.csv`, labels from the vocabularies."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import Final

from contracts.vocabularies import label, rows
from services.audit.reports.domain.story import Words

LANGUAGES: Final = ("en", "ru", "ky", "tg", "uz", "uz-Cyrl", "kk")
_FILE: Final = Path(__file__).parent / "phrases.csv"
_VOCABULARIES: Final = {
    "needs": ("needs",),
    "urgency": ("urgencies",),
    "region": ("regions",),
    "origin_country": ("regions",),
    "stage": ("stages",),
    "age_band": ("age_bands",),
    "sex": ("sexes",),
    "languages": ("languages",),
    "special_categories": ("special_categories",),
    "outcome": ("outcomes",),
    "status": ("referral_statuses",),
    "reason": ("decline_reasons", "hand_back_reasons", "withdrawal_reasons"),
}
_NAMES: Final = frozenset({"region", "origin_country"})


@cache
def words_of(language: str) -> Words:
    """Return the phrases and labels of a language (one of LANGUAGES)."""
    with _FILE.open(encoding="utf-8", newline="") as file:
        phrases = {row["code"]: row[language] for row in csv.DictReader(file)}

    def labelled(kind: str, code: str) -> str:
        for vocabulary in _VOCABULARIES.get(kind, ()):
            if code in rows(vocabulary):
                return label(vocabulary, code, language)
        return code

    # English writes the names of languages with a capital; the other languages do not.
    names = _NAMES | {"languages"} if language == "en" else _NAMES
    return Words(language=language, phrases=phrases, label=labelled, names=names)
