"""Rules for open text that the hub shows to many: it hides nothing, and contains no telephone number."""

from __future__ import annotations

import unicodedata
from typing import Final

from marshmallow import ValidationError
from marshmallow.validate import Validator

# The shortest national number with an area code in the network's countries.
_DIGITS_OF_A_NUMBER: Final = 9
# Controls, invisible and unassigned characters, lone surrogates, separators of lines.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_MARKS: Final = frozenset({"Mn", "Mc", "Me"})
# Characters that show nothing although their category is that of letters, marks or symbols: the code points
# with Default_Ignorable_Code_Point (Unicode, DerivedCoreProperties.txt), and blanks and fillers beside them.
_BLANK: Final = frozenset(
    map(
        chr,
        (
            0x034F,  # combining grapheme joiner
            *(0x115F, 0x1160, 0x3164, 0xFFA0),  # Hangul fillers
            *(0x17B4, 0x17B5),  # Khmer inherent vowels
            *(0x180B, 0x180C, 0x180D, 0x180F),  # Mongolian variation selectors
            *range(0xFE00, 0xFE10),  # variation selectors
            *range(0xE0100, 0xE01F0),
            0x2800,  # Braille pattern blank
            0xFFFC,  # object replacement character
            *(0x13441, 0x13442),  # Egyptian hieroglyph blanks
            0x16FE4,  # Khitan small script filler
            0x1D159,  # musical symbol null notehead
        ),
    )
)
# More than a syllable has in any script (Burmese has four); stacks of them cover the lines around.
_MOST_MARKS: Final = 5
_LETTERS: Final = frozenset({"Ll", "Lo", "Lt", "Lu"})
_VALUES_OF_DIGITS: Final = frozenset(map(float, range(10)))


class PlainText(Validator):
    """Refuses a text that shows nothing, controls a terminal or hides characters. lines: it may have several.

    Combining marks must stand after a letter, at most five in a row. Every Unicode form is allowed.
    """

    def __init__(self, *, lines: bool = False) -> None:
        self._allowed = "\n" if lines else ""

    def __call__(self, value: str) -> str:
        if value and not value.strip():
            raise ValidationError("Must not be blank.")
        marks = _MOST_MARKS
        for character in value:
            category = unicodedata.category(character)
            if character in _BLANK or (category in _UNSEEN and character not in self._allowed):
                raise ValidationError("Must have no control characters and no invisible ones.")
            if category in _MARKS:
                marks += 1
            else:
                marks = _MOST_MARKS if character.isspace() else 0
            if marks > _MOST_MARKS:
                raise ValidationError("Must have combining marks only on letters, and few on each letter.")
        return value


class NoTelephoneNumber(Validator):
    """Refuses a text with nine digits or more between which no letter stands. The error never names them.

    Digits of every script count, also in circles or as ideographs. Modifier letters (a raised comma, the long
    vowel of Japanese, which looks like a dash) separate digits and are no letters here.
    """

    def __call__(self, value: str) -> str:
        digits = 0
        for character in unicodedata.normalize("NFKC", value):
            if unicodedata.numeric(character, -1.0) in _VALUES_OF_DIGITS:
                digits += 1
            elif unicodedata.category(character) in _LETTERS and character not in _BLANK:
                digits = 0
            if digits == _DIGITS_OF_A_NUMBER:
                raise ValidationError(
                    "Must contain no telephone number, nor nine digits or more without a letter between them."
                )
        return value
