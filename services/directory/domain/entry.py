"""What the directory keeps: four kinds of entry, each with one revision number for the whole of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from contracts.errors import Defect
from contracts.organization import Agreement, Organization
from services.directory.domain.client import Client


class Subject(StrEnum):
    """The kinds of entry, as the table of revisions names them."""

    organization = "organization"
    agreement = "agreement"
    token_key = "token_key"  # noqa: S105 - the name of a public key, not a secret
    client = "client"


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenKey:
    """A public key that tokens are signed with. id: its kid; key: the JWK, RFC 8037.

    withdrawn: it was replaced, and what it signed is believed no more.
    """

    id: str
    key: Mapping[str, Any]
    withdrawn: bool = False


DirectoryEntry = Organization | Agreement | TokenKey | Client
E = TypeVar("E", Organization, Agreement, TokenKey, Client)
E_co = TypeVar("E_co", bound=DirectoryEntry, covariant=True)

SUBJECTS: Mapping[type[DirectoryEntry], Subject] = {
    Organization: Subject.organization,
    Agreement: Subject.agreement,
    TokenKey: Subject.token_key,
    Client: Subject.client,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing(Generic[E_co]):
    """An entry as it stands. revision: 1 for the first, one more with each change."""

    revision: int
    entry: E_co


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision(Generic[E_co]):
    """One change: who, when, from which revision (None: there was none), and the whole entry after it."""

    entry: E_co
    number: int
    previous: int | None
    changed_by: str
    changed_at: dt.datetime

    @property
    def subject(self) -> Subject:
        """Which kind of entry changed."""
        entry: DirectoryEntry = self.entry
        return SUBJECTS[type(entry)]


def revise(
    standing: Mapping[str, Standing[E]], wanted: Sequence[E], *, by: str, at: dt.datetime
) -> list[Revision[E]]:
    """The revisions that make the entries what is wanted; none for those that are so already.

    standing: the entries of that kind that exist, by id. Raises Defect where an id is wanted twice:
    which of the two would count is not ours to guess.
    """
    if len({entry.id for entry in wanted}) != len(wanted):
        raise Defect("One entry is to be changed twice at once.")
    revisions = []
    for entry in wanted:
        present = standing.get(entry.id)
        if present is not None and present.entry == entry:
            continue
        previous = None if present is None else present.revision
        revisions.append(
            Revision(entry=entry, number=(previous or 0) + 1, previous=previous, changed_by=by, changed_at=at)
        )
    return revisions
