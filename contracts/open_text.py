"""Rules for open text that the hub shows to many: it must not carry a telephone number."""

from __future__ import annotations

import re
from typing import Final

from marshmallow import ValidationError
from marshmallow.validate import Validator

# Nine digits are the shortest national number with an area code in the network's countries. Separators as
# people write them.
_NUMBER: Final = re.compile(r"\d(?:[\s().\-\u2010-\u2015]{0,3}\d){8,}")


class NoTelephoneNumber(Validator):
    """Refuses a text with nine digits or more in a row, separators aside. The error never names them."""

    def __call__(self, value: str) -> str:
        if _NUMBER.search(value):
            raise ValidationError(
                "Must contain no telephone number, nor another number of nine digits or more."
            )
        return value
