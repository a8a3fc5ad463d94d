"""Full-state facts: the facts that carry whole entries to the other services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from contracts.canonical import content_digest
from contracts.codes import SuspensionReason
from contracts.facts import AgreementChanged, ClientChanged, Fact, OrganizationChanged, TokenKeyChanged
from contracts.organization import Agreement, Organization
from contracts.records import plain
from contracts.topology import EVENT_QUEUES
from services.directory.domain.client import Client
from services.directory.domain.entry import DirectoryEntry, Standing, Subject, TokenKey

# The fact for each kind of entry.
SUBJECT_OF_FACT: Final[Mapping[type[Fact], Subject]] = {
    TokenKeyChanged: Subject.token_key,
    OrganizationChanged: Subject.organization,
    AgreementChanged: Subject.agreement,
    ClientChanged: Subject.client,
}
_REPLICA_SUFFIX: Final = ".directory"


def full_state(
    standing: Standing[DirectoryEntry], *, by: str | None = None, reason: SuspensionReason | None = None
) -> Fact:
    """Return the fact with an entry's current state. by: the principal that changed it; None in a snapshot.

    reason: why the change suspends the organisation.
    A client's fact has no secret and no digest of one: only the directory checks secrets.
    """
    entry, revision = standing.entry, standing.revision
    match entry:
        case Organization():
            return OrganizationChanged(revision=revision, organization=entry, by=by, reason=reason)
        case Agreement():
            return AgreementChanged(revision=revision, agreement=entry, by=by)
        case TokenKey():
            return TokenKeyChanged(revision=revision, key=entry.key, withdrawn=entry.withdrawn)
        case Client():
            return ClientChanged(
                revision=revision,
                client_id=entry.id,
                principal=entry.principal,
                roles=tuple(role.value for role in entry.roles),
                live=entry.live,
                not_before=entry.not_before,
                token_epoch=entry.token_epoch,
                ended_keys=tuple(each.key for each in entry.ended_keys),
                record_sha256=content_digest(plain(entry)),
            )


def subjects_for(queue: str) -> Iterator[Subject]:
    """Yield the kinds of entry that a replica's queue is bound to; none for any other queue."""
    if queue.endswith(_REPLICA_SUFFIX):
        bound = EVENT_QUEUES.get(queue, ())
        yield from (subject for fact, subject in SUBJECT_OF_FACT.items() if fact.routing_key in bound)
