"""The labels of the network's vocabularies. `labels.json` is generated: `python -m contracts.publish`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

LANGUAGES: Final = ("en", "ru", "ky")
_FILE: Final = Path(__file__).with_name("labels.json")


@cache
def _vocabularies() -> Mapping[str, Mapping[str, list[str]]]:
    read: dict[str, dict[str, list[str]]] = json.loads(_FILE.read_text(encoding="utf-8"))
    return read


def vocabularies() -> frozenset[str]:
    """Return the names of the vocabularies."""
    return frozenset(_vocabularies())


def codes(vocabulary: str) -> frozenset[str]:
    """Return the codes of a vocabulary."""
    return frozenset(_vocabularies()[vocabulary])


def label(vocabulary: str, code: str, language: str) -> str:
    """Return a code's label; the code itself if it is newer than this program."""
    labels = _vocabularies()[vocabulary].get(code)
    return code if labels is None else labels[LANGUAGES.index(language)]


def inside(vocabulary: str, code: str, language: str) -> str:
    """Return a code's label for the inside of a sentence: with a small first letter, except for names.

    Regions are names, and English writes languages with a capital. `HIV care` keeps its capital, too.
    """
    text = label(vocabulary, code, language)
    is_name = vocabulary == "regions" or (vocabulary == "languages" and language == "en")
    if is_name or text == code or text[1:2].isupper():
        return text
    return text[:1].lower() + text[1:]
