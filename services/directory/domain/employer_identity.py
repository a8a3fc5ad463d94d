"""The rule by which reports are about the same employer.

Two reports are about one employer if both state the same registration number in the same country. A report
without a number is matched by normalised name, country and region: with the reports that have a number, if
exactly one number is stated for that name there, and otherwise with the others without a number. So reports
with different numbers never match, and the order of the reports does not matter.

Names are compared in Unicode form NFKC, without case and punctuation. Transliteration is not attempted: a
name in Cyrillic and the same one in Latin script do not match, nor do a firm's full and short names.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID, uuid5

from contracts.employer import Employer

# Of the ids of employers; an arbitrary UUID that must never change.
_NAMESPACE: Final = UUID("6b1f1f0e-7c34-4d0a-9d53-3f1f6c2f5a60")

NameKey = tuple[str, str, str]


def normalized_name(name: str) -> str:
    """Return a name without case, punctuation and repeated spaces. A name of punctuation only stays."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    kept = "".join(char if char.isalnum() or unicodedata.combining(char) else " " for char in folded)
    return " ".join(kept.split()) or folded.strip()


def name_key(employer: Employer) -> NameKey:
    """Return country, region ("" if not known) and normalised name."""
    return (employer.country, employer.region or "", normalized_name(employer.name))


@dataclass(frozen=True, kw_only=True, slots=True)
class Identities:
    """The registration numbers that reports state for each name. `identities` makes it."""

    numbers: Mapping[NameKey, frozenset[str]] = field(default_factory=dict)

    def id_of(self, employer: Employer) -> str:
        """Return the id of the employer, a UUID: equal for those that match."""
        key = name_key(employer)
        number = employer.registration_number
        if number is None and len(stated := self.numbers.get(key, frozenset())) == 1:
            (number,) = stated
        parts = ("name", *key) if number is None else ("number", employer.country, number)
        return str(uuid5(_NAMESPACE, "\0".join(parts)))


def identities(employers: Iterable[Employer]) -> Identities:
    """Return the identities of these employers. Their order does not matter."""
    numbers: dict[NameKey, set[str]] = {}
    for employer in employers:
        if employer.registration_number is not None:
            numbers.setdefault(name_key(employer), set()).add(employer.registration_number)
    return Identities(numbers={key: frozenset(found) for key, found in numbers.items()})
