"""Uzbek from its Latin into its Cyrillic script, for the labels and phrases in `uz-Cyrl`.

Source: the alphabets of 1940 and 1995 (ISO 15924 Cyrl, Latn), whose letters correspond one to one or by
fixed pairs. Loanwords that keep a Russian ь, ц or щ cannot be derived and are listed in LOANWORDS.
"""

from __future__ import annotations

import re
from typing import Final

# Longer sequences first: `yoʻ` is й + ў, not ё + a mark.
_PAIRS: Final = {
    "tsiya": "ция",
    "yoʻ": "йў",
    "sʼh": "сҳ",
    "oʻ": "ў",
    "gʻ": "ғ",
    "sh": "ш",
    "ch": "ч",
    "ya": "я",
    "yo": "ё",
    "yu": "ю",
    "ye": "е",
}
_LETTERS: Final = dict(zip("abdefghijklmnopqrstuvxyzʼ", "абдефгҳижклмнопқрстувхйзъ", strict=True))
_VOWELS: Final = "aeiouʻ"
LOANWORDS: Final = {
    "arxangelsk": "архангельск",
    "astraxan": "астрахань",
    "lipetsk": "липецк",
    "nenets": "ненец",
    "perm": "пермь",
    "primorye": "приморье",
    "ryazan": "рязань",
    "stavropol": "ставрополь",
    "tver": "тверь",
    "tyumen": "тюмень",
    "ulyanovsk": "ульяновск",
    "yaroslavl": "ярославль",
    "zabaykalye": "забайкалье",
}
_WORD: Final = re.compile(r"\{[^}]*\}|[A-Za-zʻʼ]+")
_PIECE: Final = re.compile("|".join([*_PAIRS, "."]), re.IGNORECASE)


def cyrillic(text: str) -> str:
    """`Oʻzbekiston` -> `Ўзбекистон`. Placeholders in braces, digits and marks stay as they are.

    The Latin text has U+02BB in oʻ and gʻ and U+02BC elsewhere. Raises KeyError for a letter that Uzbek
    does not have, such as `w`.
    """
    return _WORD.sub(lambda found: _word(found[0]), text)


def _word(word: str) -> str:
    if word.startswith("{"):
        return word
    loanword = LOANWORDS.get(word.lower())
    if loanword is not None:
        return loanword.capitalize() if word[0].isupper() else loanword
    return _PIECE.sub(lambda found: _piece(found[0], word[: found.start()]), word)


def _piece(piece: str, before: str) -> str:
    small = piece.lower()
    if small == "e" and (not before or before[-1].lower() in _VOWELS):
        written = "э"
    else:
        written = _PAIRS.get(small) or _LETTERS[small]
    if not piece[0].isupper():
        return written
    return written.upper() if len(piece) == 1 or piece[1].isupper() else written.capitalize()
