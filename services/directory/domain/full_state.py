"""Entries as the facts that carry them whole to every other service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from contracts.facts import AgreementChanged, Fact, OrganizationChanged, TokenKeyChanged
from contracts.organization import Agreement, Organization
from contracts.topology import EVENT_QUEUES
from services.directory.domain.entry import DirectoryEntry, Standing, Subject, TokenKey

# The facts that tell others of an entry. Of clients nothing is told: only the directory checks secrets.
TOLD: Final[Mapping[type[Fact], Subject]] = {
    TokenKeyChanged: Subject.token_key,
    OrganizationChanged: Subject.organization,
    AgreementChanged: Subject.agreement,
}
_REPLICA_SUFFIX: Final = ".directory"


def full_state(standing: Standing[DirectoryEntry]) -> Fact | None:
    """The fact that says how an entry stands; None where that is nobody else's business."""
    entry = standing.entry
    if isinstance(entry, Organization):
        return OrganizationChanged(revision=standing.revision, organization=entry)
    if isinstance(entry, Agreement):
        return AgreementChanged(revision=standing.revision, agreement=entry)
    if isinstance(entry, TokenKey):
        return TokenKeyChanged(revision=standing.revision, key=entry.key, withdrawn=entry.withdrawn)
    return None


def subjects_for(queue: str) -> Iterator[Subject]:
    """What a replica's queue is bound to take; nothing for a queue that is no replica's."""
    if queue.endswith(_REPLICA_SUFFIX):
        bound = EVENT_QUEUES.get(queue, ())
        yield from (subject for fact, subject in TOLD.items() if fact.routing_key in bound)
