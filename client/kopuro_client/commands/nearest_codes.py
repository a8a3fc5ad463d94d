"""The valid codes that are nearest to a wrong one, for the refusal of a code of a vocabulary."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Final

from kopuro_client.commands.labels import LANGUAGES, codes, label, vocabularies
from kopuro_client.commands.printable import one_line

_MOST: Final = 3
# A longer value is not a mistyped code, and may be text about a person.
_LONGEST: Final = 40
_LIKENESS: Final = 0.6
# How the hub names the vocabulary in a refusal.
_VOCABULARY: Final = re.compile(r"code of the vocabulary ['`](\w+)['`]")


def with_nearest(detail: str, value: object) -> str:
    """Return the refusal of a value. If no vocabulary has it, add it and the nearest codes.

    A name finds its code too, in each language of the labels: `Moscow` and `Москва` are near RU-MOW.
    """
    found = _VOCABULARY.search(detail)
    if found is None or not isinstance(value, str) or len(value) > _LONGEST:
        return detail
    if found[1] not in vocabularies():
        return detail
    vocabulary = found[1]
    named = f"{one_line(value)} is not a code of the vocabulary {vocabulary}"
    near = nearest(vocabulary, value)
    if not near:
        return f"{named}."
    said = ", ".join(f"{code} ({label(vocabulary, code, 'en')})" for code in near)
    return f"{named}; the nearest: {said}."


def nearest(vocabulary: str, value: str) -> list[str]:
    """Return the codes whose text, last part or label is most like the value, the nearest first."""
    texts: dict[str, str] = {}
    for code in sorted(codes(vocabulary)):
        labels = (label(vocabulary, code, language) for language in LANGUAGES)
        for text in (code, code.rpartition(".")[2], *labels):
            texts.setdefault(text.casefold(), code)
    wanted = (value.casefold(), value.rpartition(".")[2].casefold())
    found = [
        texts[text]
        for one in dict.fromkeys(wanted)
        for text in get_close_matches(one, texts, n=_MOST, cutoff=_LIKENESS)
    ]
    return list(dict.fromkeys(found))[:_MOST]
