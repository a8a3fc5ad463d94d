"""Rules for open text that the hub shows to many: it must not carry a telephone number."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from marshmallow import ValidationError
from marshmallow.validate import Validator

# Nine digits are the shortest national number with an area code in the network's countries. Up to three
# characters between two digits that are neither letters nor digits are separators, whatever they are.
_NUMBER: Final = re.compile(r"\d(?:[\W_]{0,3}\d){8,}")
# Characters that nobody sees: zero-width spaces, soft hyphens, combining marks.
_INVISIBLE: Final = frozenset({"Cf", "Mn", "Me"})


class NoTelephoneNumber(Validator):
    """Refuses a text with nine digits or more in a row, separators aside. The error never names them."""

    def __call__(self, value: str) -> str:
        plain = unicodedata.normalize("NFKC", value)
        if _NUMBER.search("".join(c for c in plain if unicodedata.category(c) not in _INVISIBLE)):
            raise ValidationError(
                "Must contain no telephone number, nor another number of nine digits or more."
            )
        return value
