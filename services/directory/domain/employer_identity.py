"""The entries that a report counts in.

A report counts in the entry of its name: the normalised name, country and region. If it states a registration
number, it also counts in the entry of that number in that country. Neither depends on other reports, so no
report moves, merges or separates the reports of others, and the id of an entry never changes.

Names are compared in Unicode form NFKC, without case and punctuation. Transliteration is not attempted: a
name in Cyrillic and the same one in Latin script do not match, nor do a firm's full and short names.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid5

from contracts.employer import Employer

# The namespace of the entries' ids: an arbitrary UUID that must never change.
_NAMESPACE: Final = UUID("6b1f1f0e-7c34-4d0a-9d53-3f1f6c2f5a60")


@dataclass(frozen=True, slots=True)
class EntryKey:
    """The key that the reports of an entry share. number: None for the entry of a name."""

    country: str
    region: str = ""
    name: str = ""
    number: str | None = None

    @property
    def id(self) -> str:
        """Return the id of the entry, a UUID."""
        if self.number is not None:
            return str(uuid5(_NAMESPACE, "\0".join(("number", self.country, self.number))))
        return str(uuid5(_NAMESPACE, "\0".join(("name", self.country, self.region, self.name))))


def normalized_name(name: str) -> str:
    """Return a name without case, punctuation and repeated spaces. A name of punctuation only stays."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    kept = "".join(char if char.isalnum() or unicodedata.combining(char) else " " for char in folded)
    return " ".join(kept.split()) or folded.strip()


def entry_keys(employer: Employer) -> tuple[EntryKey, ...]:
    """Return the keys of the entries that a report of this employer counts in."""
    named = EntryKey(employer.country, employer.region or "", normalized_name(employer.name))
    if employer.registration_number is None:
        return (named,)
    return (named, EntryKey(employer.country, number=employer.registration_number))
