"""The directory's four kinds of entry and their revisions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from contracts.codes import SuspensionReason
from contracts.errors import Defect
from contracts.organization import Agreement, Organization
from services.directory.domain.client import Client


class Subject(StrEnum):
    """The kinds of entry, as named in the table of revisions."""

    organization = "organization"
    agreement = "agreement"
    token_key = "token_key"  # noqa: S105 - the name of a public key, not a secret
    client = "client"


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenKey:
    """A public key that verifies tokens. id: its kid; key: the JWK (RFC 8037).

    withdrawn: it was replaced, and its signatures are no longer accepted.
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
    """An entry's current state. revision: 1 at creation, incremented by each change."""

    revision: int
    entry: E_co


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision(Generic[E_co]):
    """One change of an entry, with the whole entry after it.

    previous: None if the entry is new. reason: why the change suspends the organisation.
    """

    entry: E_co
    number: int
    previous: int | None
    changed_by: str
    changed_at: dt.datetime
    reason: SuspensionReason | None = None

    @property
    def subject(self) -> Subject:
        """The kind of entry."""
        entry: DirectoryEntry = self.entry
        return SUBJECTS[type(entry)]


def revise(
    standing: Mapping[str, Standing[E]],
    wanted: Sequence[E],
    *,
    by: str,
    at: dt.datetime,
    reason: SuspensionReason | None = None,
) -> list[Revision[E]]:
    """Return the revisions that bring the entries to the wanted state; unchanged entries get none.

    standing: the existing entries of that kind, by id. reason: why the change suspends; with one, an
    unchanged entry gets a revision too. Raises Defect if an id is wanted twice, because either could be
    meant.
    """
    if len({entry.id for entry in wanted}) != len(wanted):
        raise Defect("One call must not change an entry twice.")
    revisions = []
    for entry in wanted:
        present = standing.get(entry.id)
        if present is not None and present.entry == entry and reason is None:
            continue
        previous = None if present is None else present.revision
        revisions.append(
            Revision(
                entry=entry,
                number=(previous or 0) + 1,
                previous=previous,
                changed_by=by,
                changed_at=at,
                reason=reason,
            )
        )
    return revisions
