"""Full-state facts: the facts that carry whole entries to the other services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from contracts.facts import AgreementChanged, Fact, OrganizationChanged, TokenKeyChanged
from contracts.organization import Agreement, Organization
from contracts.topology import EVENT_QUEUES
from services.directory.domain.entry import DirectoryEntry, Standing, Subject, TokenKey

# The fact for each kind of entry. Clients have none: only the directory checks secrets.
SUBJECT_OF_FACT: Final[Mapping[type[Fact], Subject]] = {
    TokenKeyChanged: Subject.token_key,
    OrganizationChanged: Subject.organization,
    AgreementChanged: Subject.agreement,
}
_REPLICA_SUFFIX: Final = ".directory"


def full_state(standing: Standing[DirectoryEntry]) -> Fact | None:
    """Return the fact with an entry's current state; None for an entry that is not published."""
    entry = standing.entry
    if isinstance(entry, Organization):
        return OrganizationChanged(revision=standing.revision, organization=entry)
    if isinstance(entry, Agreement):
        return AgreementChanged(revision=standing.revision, agreement=entry)
    if isinstance(entry, TokenKey):
        return TokenKeyChanged(revision=standing.revision, key=entry.key, withdrawn=entry.withdrawn)
    return None


def subjects_for(queue: str) -> Iterator[Subject]:
    """Yield the kinds of entry that a replica's queue is bound to; none for any other queue."""
    if queue.endswith(_REPLICA_SUFFIX):
        bound = EVENT_QUEUES.get(queue, ())
        yield from (subject for fact, subject in SUBJECT_OF_FACT.items() if fact.routing_key in bound)
